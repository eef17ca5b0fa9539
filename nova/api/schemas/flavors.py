"""Bodies and queries of flavors."""

from __future__ import annotations

from nova.api import microversion
from nova.api.schemas import types
from nova.api.validation import Schema

_CREATE = types.wrap(
    'flavor',
    {
        'name': types.NAME,
        'id': {
            'anyOf': [
                {'type': 'null'},
                {'type': 'integer', 'minimum': 0},
                # Ids are parts of paths.
                {
                    'type': 'string',
                    'pattern': r'^[a-zA-Z0-9](?:[a-zA-Z0-9. _-]{0,253}[a-zA-Z0-9._-])?\Z',
                },
            ],
            'description': 'null or an id of at most 255 letters, digits, spaces and ._-',
        },
        'ram': types.count(minimum=1),
        'vcpus': types.count(minimum=1),
        'disk': types.count(),
        'swap': {'anyOf': [types.count(), {'const': ''}], 'description': 'a number of MiB'},
        'OS-FLV-EXT-DATA:ephemeral': types.count(),
        'rxtx_factor': {
            'enum': [1, '1', '1.0'],
            'description': '1: no share of the network can be set',
        },
        'os-flavor-access:is_public': types.BOOLEAN,
    },
    ('name', 'ram', 'vcpus', 'disk'),
)


def create(version: microversion.Version) -> Schema:
    """``POST /flavors``."""
    return _CREATE


LIST: Schema = {
    'type': 'object',
    'properties': {
        'is_public': {
            'enum': ['None', 'none', 'True', 'true', '1', 'False', 'false', '0'],
            'description': 'None, true or false',
        },
        'minRam': types.NUMBER,
        'minDisk': types.NUMBER,
        'limit': types.NUMBER,
        'marker': {'type': 'string', 'maxLength': 255},
    },
}
