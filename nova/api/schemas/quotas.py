"""Bodies and queries of quotas and limits."""

from __future__ import annotations

from nova import quota
from nova.api import microversion
from nova.api.schemas import types
from nova.api.validation import Schema

_LIMIT: Schema = {
    'anyOf': [
        {'type': 'integer', 'minimum': quota.UNLIMITED, 'maximum': quota.LIMIT_MAX},
        {'type': 'string', 'pattern': r'^(-1|[0-9]{1,10})\Z'},
    ],
    'description': f'a whole number from {quota.UNLIMITED} (any number) to {quota.LIMIT_MAX}',
}

_LIMITS = dict.fromkeys((*quota.RESOURCES, *quota.ABSENT), _LIMIT)
_UPDATE = types.wrap(
    'quota_set',
    {
        **_LIMITS,
        'force': types.BOOLEAN,
        # clients repeat what the path says
        'tenant_id': {'type': 'string', 'maxLength': 255, 'description': 'a project'},
    },
)
_UPDATE_CLASS = types.wrap('quota_class_set', _LIMITS)


def update(version: microversion.Version) -> Schema:
    """``PUT /os-quota-sets/{project_id}``."""
    return _UPDATE


def update_class(version: microversion.Version) -> Schema:
    """``PUT /os-quota-class-sets/{class_name}``."""
    return _UPDATE_CLASS


#: Quotas of single users, which other clouds have, are refused rather than ignored.
SHOW: Schema = {'type': 'object', 'properties': {}, 'additionalProperties': False}

LIMITS: Schema = {
    'type': 'object',
    'properties': {
        'tenant_id': {'type': 'string', 'minLength': 1, 'maxLength': 255},
        # nothing is ever reserved: what is asked for is counted from then on
        'reserved': {'type': 'string', 'maxLength': 5},
    },
    'additionalProperties': False,
}
