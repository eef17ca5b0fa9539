"""Bodies about networks.

What a value means is checked where networks are planned (:mod:`nova.network.network_spec`); here
are the fields and their types. Every field may be null, which is what clients send for those that
their users left out.
"""

from __future__ import annotations

from nova.api import microversion
from nova.api.schemas import types
from nova.api.validation import Schema


def _text(description: str, max_length: int = 64) -> Schema:
    return {'type': 'string', 'minLength': 1, 'maxLength': max_length, 'description': description}


def _list(description: str) -> Schema:
    return {
        'type': 'array',
        'maxItems': 64,
        'items': _text('a text'),
        'description': description,
    }


_LABEL: Schema = {**types.NAME, 'description': 'a name of 1 to 255 characters'}
_RANGE_V4 = types.or_null(_text('an IPv4 range such as 10.0.0.0/24'))
_RANGE_V6 = types.or_null(_text('an IPv6 range such as fd00:1::/64'))
_ADDRESS = types.or_null(_text('an IP address'))
_GATEWAY = types.or_null(_text('an IP address or "none"'))
_DEVICE = types.or_null(_text('the name of a device'))
_VLAN = types.or_null(types.count(minimum=1, maximum=4094))
_COUNT = types.or_null(types.count(minimum=1, maximum=4096))
_BOOLEAN = types.or_null(types.BOOLEAN)
#: Features of the Compute API that nobody here has: said to be off, they do no harm.
_OFF: Schema = {
    'enum': [None, False, 'False', 'false', '0'],
    'description': 'false; it is not supported',
}
_ABSENT: Schema = {'type': 'null', 'description': 'null; it is not supported'}

#: What a project may say of its own network, too.
_BY_PROJECTS = {
    'label': _LABEL,
    'cidr': _RANGE_V4,
    'cidr_v6': _RANGE_V6,
    'ipam': _OFF,
    'vlan_start': _VLAN,
    'network_size': _COUNT,
    'num_networks': _COUNT,
}

_BY_OPERATORS = {
    **_BY_PROJECTS,
    'kind': types.or_null(_text('flat, flat_dhcp or vlan')),
    'project_id': types.or_null(_text('the id of a project')),
    'gateway': _GATEWAY,
    'gateway_v6': _GATEWAY,
    'ipv6_mode': types.or_null(_text('slaac, stateless or stateful')),
    'dns1': _ADDRESS,
    'dns2': _ADDRESS,
    'dns': types.or_null(_list('a list of IP addresses')),
    'routes': types.or_null(_list('a list of routes, each RANGE,GATEWAY')),
    'dhcp_server': _ADDRESS,
    'enable_dhcp': _BOOLEAN,
    'allowed_start': _ADDRESS,
    'allowed_end': _ADDRESS,
    'fixed_cidr': _RANGE_V4,
    'bridge': _DEVICE,
    'bridge_interface': types.or_null(_text('the name of a physical network')),
    'physical_network': types.or_null(_text('the name of a physical network')),
    'vlan': _VLAN,
    'mtu': types.or_null(types.count(minimum=68, maximum=65535)),
    'multi_host': _BOOLEAN,
    'share_address': _OFF,
    'vpn_start': _ABSENT,
}

_CREATE = types.wrap('network', _BY_OPERATORS, ('label',))
_CREATE_TENANT = types.wrap('network', _BY_PROJECTS, ('label',))


def create(version: microversion.Version) -> Schema:
    """``POST /os-networks``."""
    return _CREATE


def create_tenant(version: microversion.Version) -> Schema:
    """``POST /os-tenant-networks``."""
    return _CREATE_TENANT


_ADD: Schema = {
    'type': 'object',
    'properties': {'id': types.or_null(types.UUID)},
    'required': ['id'],
    'additionalProperties': False,
}


def add(version: microversion.Version) -> Schema:
    """``POST /os-networks/add``: null means any that is free."""
    return _ADD


_ASSOCIATE_HOST: Schema = {
    'type': 'object',
    'properties': {'associate_host': _text('the name of a host', 255)},
    'required': ['associate_host'],
    'additionalProperties': False,
}
_DISASSOCIATE, _DISASSOCIATE_HOST, _DISASSOCIATE_PROJECT = (
    types.bare(name) for name in ('disassociate', 'disassociate_host', 'disassociate_project')
)


def associate_host(version: microversion.Version) -> Schema:
    """The action ``associate_host``."""
    return _ASSOCIATE_HOST


def disassociate(version: microversion.Version) -> Schema:
    """The action ``disassociate``."""
    return _DISASSOCIATE


def disassociate_host(version: microversion.Version) -> Schema:
    """The action ``disassociate_host``."""
    return _DISASSOCIATE_HOST


def disassociate_project(version: microversion.Version) -> Schema:
    """The action ``disassociate_project``."""
    return _DISASSOCIATE_PROJECT
