from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova import exception
from nova.network import names

PARSERS: list[Callable[[str, str], str]] = [
    names.parse_label,
    names.parse_token,
    names.parse_hostname,
    names.parse_domain,
    names.parse_device,
]


@pytest.mark.parametrize('parse', PARSERS)
@pytest.mark.parametrize(
    'text',
    [
        '',
        'a\nb',
        'a\n',
        '\na',
        'a,b',
        'a"b',
        "a'b",
        'a#b',
        'a/b',
        'a\\b',
        'é',
        'a\0',
        '-a',
        ' a',
        '\uff11',
    ],
)
def test_what_no_name_may_be(parse: Callable[[str, str], str], text: str) -> None:
    with pytest.raises(exception.InvalidName) as caught:
        parse(text, 'thing')

    assert caught.value.code == 400
    assert caught.value.kwargs['field'] == 'thing'


@pytest.mark.parametrize('parse', PARSERS)
@given(text=st.text(max_size=300))
def test_what_passes_needs_no_quoting(parse: Callable[[str, str], str], text: str) -> None:
    try:
        parsed = parse(text, 'thing')
    except exception.InvalidName:
        return
    assert parsed.isascii()
    assert not set(parsed) & set('\n\r\t\0,;:=#"\'\\/|&<>$`*?()[]{}')


@pytest.mark.parametrize(
    ('parse', 'text', 'parsed'),
    [
        (names.parse_label, 'Net 1_a.b-c', 'Net 1_a.b-c'),
        (names.parse_label, 'x' * 255, 'x' * 255),
        (names.parse_token, 'physnet1', 'physnet1'),
        (names.parse_hostname, 'VM-1', 'vm-1'),
        (names.parse_hostname, 'x' * 63, 'x' * 63),
        (names.parse_domain, 'Cloud.Example', 'cloud.example'),
        (names.parse_device, 'br100', 'br100'),
        (names.parse_device, 'eth0.100', 'eth0.100'),
    ],
)
def test_what_passes(parse: Callable[[str, str], str], text: str, parsed: str) -> None:
    assert parse(text, 'thing') == parsed


@pytest.mark.parametrize(
    ('parse', 'text'),
    [
        (names.parse_label, 'x' * 256),
        (names.parse_hostname, 'x' * 64),
        (names.parse_hostname, 'a.b'),
        (names.parse_hostname, 'a-'),
        (names.parse_domain, 'a..b'),
        (names.parse_domain, 'a.'),
        (names.parse_domain, '.'.join(['x' * 50] * 6)),
        (names.parse_device, 'x' * 16),
        (names.parse_device, 'all'),
        (names.parse_device, 'default'),
        (names.parse_device, 'lo'),
        (names.parse_device, '..'),
    ],
)
def test_what_is_refused(parse: Callable[[str, str], str], text: str) -> None:
    with pytest.raises(exception.InvalidName):
        parse(text, 'thing')
