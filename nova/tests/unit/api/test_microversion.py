"""Which version a request's headers ask for."""

from __future__ import annotations

import pytest

from nova import exception
from nova.api import microversion


@pytest.mark.parametrize(
    ('header', 'legacy', 'expected'),
    [
        (None, None, '2.1'),
        ('compute 2.19', None, '2.19'),
        (None, '2.19', '2.19'),
        ('compute 2.19', '2.3', '2.19'),
        ('Compute  2.9', None, '2.9'),
        ('identity 3.1', '2.3', '2.3'),
        ('identity 3.1, compute 2.26', None, '2.26'),
        ('identity 3.1', None, '2.1'),
        ('compute latest', None, '2.35'),
        (None, 'latest', '2.35'),
        ('compute 2.35', None, '2.35'),
        ('compute', None, '2.1'),
    ],
)
def test_parse_version(header: str | None, legacy: str | None, expected: str) -> None:
    assert str(microversion.parse_version(header, legacy)) == expected


@pytest.mark.parametrize('asked', ['2.0', '2.36', '2.99', '1.1', '3.0'])
def test_versions_that_are_not_served(asked: str) -> None:
    with pytest.raises(exception.MicroversionUnsupported, match=r'2\.1.*2\.35'):
        microversion.parse_version(f'compute {asked}', None)


@pytest.mark.parametrize(
    'asked', ['2', '2.', 'x', '2.01', '-2.1', '2.1.1', '\u0662.\u0661', '2.1\n2.2']
)
def test_malformed_versions(asked: str) -> None:
    with pytest.raises(exception.InvalidInput):
        microversion.parse_version(f'compute {asked}', None)
