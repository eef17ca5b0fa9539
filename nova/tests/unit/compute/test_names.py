from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova.compute import names

UUID = '5d2c7c1e-6f57-4a3d-9f1b-0c5f7a9e2b11'


@pytest.mark.parametrize(
    ('display_name', 'hostname'),
    [
        ('demo', 'demo'),
        ('My Server_1', 'my-server-1'),
        ('-.-', f'server-{UUID}'),
        ('größe', 'groe'),
        ('日本', f'server-{UUID}'),
        ('x' * 70, 'x' * 63),
        ('a' * 62 + '-b', 'a' * 62),
    ],
)
def test_host_names(display_name: str, hostname: str) -> None:
    assert names.build_hostname(display_name, UUID) == hostname


@given(st.text(max_size=255))
def test_a_host_name_is_always_a_dns_label(display_name: str) -> None:
    hostname = names.build_hostname(display_name, UUID)
    assert re.fullmatch(r'[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?', hostname)


def test_display_names_are_numbered_when_there_are_several() -> None:
    assert names.build_display_names('web', 1) == ['web']
    assert names.build_display_names('web', 3) == ['web-1', 'web-2', 'web-3']
