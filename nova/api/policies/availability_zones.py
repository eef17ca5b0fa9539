"""Rules of availability zones."""

from __future__ import annotations

from nova.api.policies import base

LIST = f'{base.PREFIX}:os-availability-zone:list'
DETAIL = f'{base.PREFIX}:os-availability-zone:detail'

RULES = [
    base.rule(
        'os-availability-zone:list',
        base.READER,
        'List availability zones.',
        [('GET', '/os-availability-zone')],
    ),
    base.rule(
        'os-availability-zone:detail',
        base.ADMIN,
        'List availability zones with their hosts and services.',
        [('GET', '/os-availability-zone/detail')],
    ),
]
