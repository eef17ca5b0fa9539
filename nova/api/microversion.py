"""Microversions of the Compute API: the small steps in which its bodies change.

A client asks for one by ``OpenStack-API-Version: compute 2.19`` or by the older
``X-OpenStack-Nova-API-Version: 2.19``; the newer header wins. No header means the lowest, and
``latest`` the highest (the OpenStack API working group's microversion specification).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nova import exception

HEADER = 'OpenStack-API-Version'
LEGACY_HEADER = 'X-OpenStack-Nova-API-Version'
SERVICE = 'compute'

_FORM = re.compile(r'([1-9]\d*)\.(0|[1-9]\d*)', re.ASCII)


class Version(NamedTuple):
    """Compares as a pair, so ``call.version >= (2, 19)`` reads as it is meant."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f'{self.major}.{self.minor}'


MIN = Version(2, 1)
#: 2.36 would take away the network resources, which are this project's own.
MAX = Version(2, 35)


def parse_version(header: str | None, legacy: str | None) -> Version:
    """The version that a request asks for by its two headers.

    :raises InvalidInput: a header is malformed.
    :raises MicroversionUnsupported: it asks for a version that is not served.
    """
    asked = _of_our_service(header) if header else None
    name = HEADER if asked is not None else LEGACY_HEADER
    text = (asked if asked is not None else legacy or '').strip()
    if not text:
        return MIN
    if text == 'latest':
        return MAX
    match = _FORM.fullmatch(text)
    if match is None:
        raise exception.InvalidInput(
            field=f'header {name}', reason=f'{text[:40]!r} is no version of the form 2.1'
        )
    version = Version(int(match[1]), int(match[2]))
    if not MIN <= version <= MAX:
        raise exception.MicroversionUnsupported(
            version=str(version), lowest=str(MIN), highest=str(MAX)
        )
    return version


def _of_our_service(header: str) -> str | None:
    """One header may hold versions of several services, with commas between."""
    for entry in header.split(','):
        service, _, version = entry.strip().partition(' ')
        if service.lower() == SERVICE:
            return version.strip()
    return None
