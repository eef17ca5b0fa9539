"""Rules of flavors."""

from __future__ import annotations

from nova.api.policies import base

INDEX = f'{base.PREFIX}:flavors:index'
DETAIL = f'{base.PREFIX}:flavors:detail'
SHOW = f'{base.PREFIX}:flavors:show'
CREATE = f'{base.PREFIX}:os-flavor-manage:create'
DELETE = f'{base.PREFIX}:os-flavor-manage:delete'
SPECS_INDEX = f'{base.PREFIX}:os-flavor-extra-specs:index'
SPECS_SHOW = f'{base.PREFIX}:os-flavor-extra-specs:show'

RULES = [
    base.rule('flavors:index', base.READER, 'List flavors.', [('GET', '/flavors')]),
    base.rule(
        'flavors:detail', base.READER, 'List flavors with details.', [('GET', '/flavors/detail')]
    ),
    base.rule('flavors:show', base.READER, 'Show a flavor.', [('GET', '/flavors/{flavor_id}')]),
    base.rule('os-flavor-manage:create', base.ADMIN, 'Create a flavor.', [('POST', '/flavors')]),
    base.rule(
        'os-flavor-manage:delete',
        base.ADMIN,
        'Delete a flavor.',
        [('DELETE', '/flavors/{flavor_id}')],
    ),
    base.rule(
        'os-flavor-extra-specs:index',
        base.READER,
        "List a flavor's extra specifications.",
        [('GET', '/flavors/{flavor_id}/os-extra_specs')],
    ),
    base.rule(
        'os-flavor-extra-specs:show',
        base.READER,
        "Show one of a flavor's extra specifications.",
        [('GET', '/flavors/{flavor_id}/os-extra_specs/{key}')],
    ),
]
