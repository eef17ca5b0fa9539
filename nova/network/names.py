"""Which strings may become names on a host, in a DHCP answer or in a configuration file.

Each function returns its argument, in canonical form where there is one, or raises
:class:`nova.exception.InvalidName`. The sets of characters are small on purpose: what comes out
needs no quoting in any file that is rendered from it (CVE-2021-40085 was a newline in one).
"""

from __future__ import annotations

import re

from nova import exception
from nova.network import model

LABEL_MAX = 255
#: RFC 1035, section 2.3.4.
_DNS_LABEL_MAX, _DNS_NAME_MAX = 63, 253

_LABEL = re.compile(r'[A-Za-z0-9][A-Za-z0-9 ._-]*')
_TOKEN = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
#: RFC 952 as relaxed by RFC 1123, section 2.1.
_DNS_LABEL = re.compile(r'[a-z0-9]([a-z0-9-]*[a-z0-9])?')
#: Names that mean every device, or another one, to the kernel's per-device settings.
_RESERVED_DEVICES = frozenset({'all', 'default', 'lo'})


def parse_label(text: str, field: str = 'label') -> str:
    """A network's name, as users see it."""
    return _checked(text, field, _LABEL, LABEL_MAX, 'letters, digits, spaces and . _ -')


def parse_token(text: str, field: str) -> str:
    """A name that operators use in options, such as that of a physical network."""
    return _checked(text, field, _TOKEN, 64, 'letters, digits and . _ -')


def parse_hostname(text: str, field: str = 'hostname') -> str:
    """A host's name without its domain (RFC 1123, section 2.1), in lower case."""
    allowed = 'letters and digits, with - between them'
    return _checked(text.lower(), field, _DNS_LABEL, _DNS_LABEL_MAX, allowed)


def parse_domain(text: str, field: str = 'domain') -> str:
    """A DNS domain, in lower case and without a dot at its end."""
    if len(text) > _DNS_NAME_MAX:
        raise _refusal(text, field, f'it is longer than {_DNS_NAME_MAX} characters')
    return '.'.join(parse_hostname(part, field) for part in text.split('.'))


def parse_device(text: str, field: str) -> str:
    """The name of a network device on a host."""
    allowed = 'letters, digits and . _ -'
    name = _checked(text, field, _TOKEN, model.DEVICE_NAME_MAX, allowed)
    if name in _RESERVED_DEVICES:
        raise _refusal(text, field, 'the kernel gives this name a meaning of its own')
    return name


def _checked(text: str, field: str, pattern: re.Pattern[str], max_length: int, allowed: str) -> str:
    if not text:
        raise _refusal(text, field, 'it is empty')
    if len(text) > max_length:
        raise _refusal(text, field, f'it is longer than {max_length} characters')
    if not text.isascii() or pattern.fullmatch(text) is None:
        raise _refusal(text, field, f'only {allowed} are allowed, the first a letter or digit')
    return text


def _refusal(text: str, field: str, reason: str) -> exception.InvalidName:
    return exception.InvalidName(field=field, value=text, reason=reason)
