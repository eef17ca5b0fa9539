"""Names that follow from what the user called an instance. Pure."""

from __future__ import annotations

import re
import unicodedata

#: RFC 1035 section 2.3.4.
LABEL_MAX = 63


def build_hostname(display_name: str, instance_uuid: str) -> str:
    """A DNS label (RFC 1123) for the instance: what is usable of ``display_name``, or
    ``server-<uuid>`` when nothing is."""
    ascii_only = unicodedata.normalize('NFKD', display_name).encode('ascii', 'ignore').decode()
    label = re.sub(r'[^a-z0-9-]+', '-', ascii_only.lower()).strip('-')[:LABEL_MAX].strip('-')
    return label or f'server-{instance_uuid}'


def build_display_names(name: str, count: int) -> list[str]:
    """The names of ``count`` servers of one request: ``name`` alone, or ``name-1`` and so on."""
    return [name] if count == 1 else [f'{name}-{number}' for number in range(1, count + 1)]
