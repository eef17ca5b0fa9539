"""Rules of hypervisors."""

from __future__ import annotations

from nova.api.policies import base

NAME = f'{base.PREFIX}:os-hypervisors'

LIST = f'{NAME}:list'
DETAIL = f'{NAME}:list-detail'
SHOW = f'{NAME}:show'
STATISTICS = f'{NAME}:statistics'

RULES = [
    base.rule('os-hypervisors:list', base.ADMIN, 'List hypervisors.', [('GET', '/os-hypervisors')]),
    base.rule(
        'os-hypervisors:list-detail',
        base.ADMIN,
        'List hypervisors with details.',
        [('GET', '/os-hypervisors/detail')],
    ),
    base.rule(
        'os-hypervisors:show',
        base.ADMIN,
        'Show a hypervisor.',
        [('GET', '/os-hypervisors/{hypervisor_id}')],
    ),
    base.rule(
        'os-hypervisors:statistics',
        base.ADMIN,
        'Sum up all hypervisors.',
        [('GET', '/os-hypervisors/statistics')],
    ),
]
