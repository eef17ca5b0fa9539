"""Rules of services."""

from __future__ import annotations

from nova.api.policies import base

LIST = f'{base.PREFIX}:os-services:list'

RULES = [
    base.rule(
        'os-services:list', base.ADMIN, 'List the services of the cloud.', [('GET', '/os-services')]
    ),
]
