"""Queries of services and hypervisors."""

from __future__ import annotations

from nova.api.schemas import types
from nova.api.validation import Schema

SERVICES: Schema = {
    'type': 'object',
    'properties': {
        'host': {'type': 'string', 'maxLength': 255},
        'binary': {'type': 'string', 'maxLength': 255},
    },
}

HYPERVISORS: Schema = {
    'type': 'object',
    'properties': {
        'limit': types.NUMBER,
        'marker': types.NUMBER,
    },
}
