"""Rules of quotas and limits."""

from __future__ import annotations

from nova.api.policies import base

SHOW = f'{base.PREFIX}:os-quota-sets:show'
DEFAULTS = f'{base.PREFIX}:os-quota-sets:defaults'
DETAIL = f'{base.PREFIX}:os-quota-sets:detail'
UPDATE = f'{base.PREFIX}:os-quota-sets:update'
DELETE = f'{base.PREFIX}:os-quota-sets:delete'
OTHER_PROJECT = f'{base.PREFIX}:os-quota-sets:other_project'
CLASS_SHOW = f'{base.PREFIX}:os-quota-class-sets:show'
CLASS_UPDATE = f'{base.PREFIX}:os-quota-class-sets:update'
LIMITS = f'{base.PREFIX}:limits'
LIMITS_OTHER_PROJECT = f'{base.PREFIX}:limits:other_project'

_ONE, _CLASS = '/os-quota-sets/{project_id}', '/os-quota-class-sets/{class_name}'

RULES = [
    base.rule('os-quota-sets:show', base.READER, 'Show quotas.', [('GET', _ONE)]),
    base.rule(
        'os-quota-sets:defaults',
        base.READER,
        'Show the quotas of projects for which nothing was said.',
        [('GET', f'{_ONE}/defaults')],
    ),
    base.rule(
        'os-quota-sets:detail', base.READER, 'Show quotas and usage.', [('GET', f'{_ONE}/detail')]
    ),
    base.rule('os-quota-sets:update', base.ADMIN, 'Change quotas.', [('PUT', _ONE)]),
    base.rule(
        'os-quota-sets:delete',
        base.ADMIN,
        'Let the quotas of all projects hold for a project again.',
        [('DELETE', _ONE)],
    ),
    base.rule(
        'os-quota-sets:other_project',
        base.ADMIN,
        "Show another project's quotas.",
        [('GET', _ONE), ('GET', f'{_ONE}/detail')],
    ),
    base.rule(
        'os-quota-class-sets:show',
        base.ADMIN,
        'Show the quotas of all projects.',
        [('GET', _CLASS)],
    ),
    base.rule(
        'os-quota-class-sets:update',
        base.ADMIN,
        'Change the quotas of all projects.',
        [('PUT', _CLASS)],
    ),
    base.rule('limits', base.READER, 'Show limits and usage.', [('GET', '/limits')]),
    base.rule(
        'limits:other_project',
        base.ADMIN,
        "Show another project's limits and usage.",
        [('GET', '/limits')],
    ),
]
