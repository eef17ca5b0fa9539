"""libvirt's own RELAX NG schemas as judges of what we write."""

from __future__ import annotations

from pathlib import Path

from lxml import etree
import pytest

_FOLDER = Path('/usr/share/libvirt/schemas')


def check(text: str, schema: str) -> etree._Element:
    """Assert that ``text`` is XML of this schema (``domain``, ``nwfilter``); gives its root.

    Skips the test where libvirt's schemas are not installed.
    """
    path = _FOLDER / f'{schema}.rng'
    if not path.exists():
        pytest.skip(f'{path} is missing (package libvirt-daemon or libvirt0)')
    root = etree.fromstring(text)
    judge = etree.RelaxNG(etree.parse(path))
    assert judge.validate(root), judge.error_log
    return root
