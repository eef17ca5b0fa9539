"""Bodies of security groups and their rules."""

from __future__ import annotations

from nova.api import microversion
from nova.api.schemas import types
from nova.api.validation import Schema

#: A reference to a group, at create and in actions.
NAME: Schema = types.NAME

_DESCRIPTION: Schema = {
    'type': ['string', 'null'],
    'maxLength': 255,
    'format': 'printable',
    'description': 'at most 255 printable characters without a space at either end',
}

_GROUP = types.wrap('security_group', {'name': types.NAME, 'description': _DESCRIPTION}, ('name',))


def group(version: microversion.Version) -> Schema:
    """``POST /os-security-groups`` and ``PUT /os-security-groups/{security_group_id}``."""
    return _GROUP


_PORT: Schema = {
    'anyOf': [
        {'type': 'null'},
        {'type': 'integer', 'minimum': -1, 'maximum': 65535},
        {'type': 'string', 'pattern': r'^(-1|[0-9]{1,5})\Z'},
    ],
    'description': 'a whole number from -1 to 65535, or null',
}

_ID: Schema = {'type': 'string', 'maxLength': 255, 'description': 'the id of a security group'}

_RULE = types.wrap(
    'security_group_rule',
    {
        'parent_group_id': _ID,
        'direction': {'enum': ['ingress', 'egress']},
        'ip_protocol': {
            'type': ['string', 'integer', 'null'],
            'maxLength': 16,
            'description': 'the name or number of a protocol of IP, or null',
        },
        'from_port': _PORT,
        'to_port': _PORT,
        'cidr': {
            'type': ['string', 'null'],
            'maxLength': 43,
            'description': 'an address or a range, or null',
        },
        'group_id': {**_ID, 'type': ['string', 'null']},
    },
    ('parent_group_id',),
)


def rule(version: microversion.Version) -> Schema:
    """``POST /os-security-group-rules``."""
    return _RULE


_ACTIONS = {
    name: types.wrap(name, {'name': NAME}, ('name',))
    for name in ('addSecurityGroup', 'removeSecurityGroup')
}


def add(version: microversion.Version) -> Schema:
    """The action ``addSecurityGroup``."""
    return _ACTIONS['addSecurityGroup']


def remove(version: microversion.Version) -> Schema:
    """The action ``removeSecurityGroup``."""
    return _ACTIONS['removeSecurityGroup']


_TRUE_OR_FALSE: Schema = {
    'enum': ['True', 'true', '1', 'False', 'false', '0', ''],
    'description': 'true or false',
}

#: Some clients say which project they mean although the token does; more they cannot ask for.
LIST: Schema = {
    'type': 'object',
    'properties': {
        'all_tenants': _TRUE_OR_FALSE,
        'limit': types.NUMBER,
        'offset': types.NUMBER,
    },
    'additionalProperties': False,
}
