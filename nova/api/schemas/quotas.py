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

_UPDATE = types.wrap(
    'quota_set',
    {
        **dict.fromkeys((*quota.RESOURCES, *quota.ABSENT), _LIMIT),
        'force': types.BOOLEAN,
        # clients repeat what the path says
        'tenant_id': {'type': 'string', 'maxLength': 255, 'description': 'a project'},
    },
)


def update(version: microversion.Version) -> Schema:
    """``PUT /os-quota-sets/{project_id}``."""
    return _UPDATE


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
