"""Bodies about floating IPs."""

from __future__ import annotations

from nova.api import microversion
from nova.api.schemas import types
from nova.api.validation import Schema

_ADDRESS: Schema = {'type': 'string', 'format': 'ip-address', 'description': 'an IP address'}


def create(version: microversion.Version) -> Schema:
    """``POST /os-floating-ips``."""
    return {
        'type': 'object',
        'properties': {'pool': {'anyOf': [types.NAME, {'type': 'null'}]}},
        'additionalProperties': False,
    }


def add(version: microversion.Version) -> Schema:
    """The action ``addFloatingIp``."""
    properties = {'address': _ADDRESS, 'fixed_address': _ADDRESS}
    return types.wrap('addFloatingIp', properties, ('address',))


def remove(version: microversion.Version) -> Schema:
    """The action ``removeFloatingIp``."""
    return types.wrap('removeFloatingIp', {'address': _ADDRESS}, ('address',))
