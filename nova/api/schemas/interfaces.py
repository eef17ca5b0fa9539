"""Bodies of what is done to servers' network interfaces and addresses."""

from __future__ import annotations

from nova.api import microversion
from nova.api.schemas import types
from nova.api.validation import Schema

_ADDRESS: Schema = {'type': 'string', 'format': 'ip-address', 'description': 'an IP address'}

#: Clients also pass what their user typed, which may be the label.
_NETWORK: Schema = {**types.NAME, 'description': 'the UUID or the label of a network'}

_ATTACH = types.wrap(
    'interfaceAttachment',
    {
        'net_id': _NETWORK,
        'fixed_ips': {
            'type': 'array',
            'minItems': 1,
            'maxItems': 1,
            'items': {
                'type': 'object',
                'properties': {'ip_address': _ADDRESS},
                'required': ['ip_address'],
                'additionalProperties': False,
            },
            'description': 'a list of one fixed IP address',
        },
        'security_groups': types.GROUPS,
        'port_id': {'type': 'null', 'description': 'null: networks are served without ports'},
    },
)
_ATTACH['properties']['interfaceAttachment']['dependentRequired'] = {'fixed_ips': ['net_id']}

_ADD_FIXED_IP = types.wrap(
    'addFixedIp', {'networkId': {'anyOf': [_NETWORK, {'type': 'integer'}]}}, ('networkId',)
)
_REMOVE_FIXED_IP = types.wrap('removeFixedIp', {'address': _ADDRESS}, ('address',))


def attach(version: microversion.Version) -> Schema:
    """``POST /servers/{server_id}/os-interface``."""
    return _ATTACH


def add_fixed_ip(version: microversion.Version) -> Schema:
    """The action ``addFixedIp``."""
    return _ADD_FIXED_IP


def remove_fixed_ip(version: microversion.Version) -> Schema:
    """The action ``removeFixedIp``."""
    return _REMOVE_FIXED_IP
