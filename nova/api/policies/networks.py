"""Rules of networks."""

from __future__ import annotations

from nova.api.policies import base

LIST = f'{base.PREFIX}:os-networks:list'
SHOW = f'{base.PREFIX}:os-networks:show'
EXTENDED = f'{base.PREFIX}:os-networks:extended'
TENANT_LIST = f'{base.PREFIX}:os-tenant-networks:list'
TENANT_SHOW = f'{base.PREFIX}:os-tenant-networks:show'

RULES = [
    base.rule('os-networks:list', base.READER, 'List networks.', [('GET', '/os-networks')]),
    base.rule(
        'os-networks:show', base.READER, 'Show a network.', [('GET', '/os-networks/{network_id}')]
    ),
    base.rule(
        'os-networks:extended',
        base.ADMIN,
        'Show how a network is made: its bridge, VLAN, host and project.',
        [('GET', '/os-networks'), ('GET', '/os-networks/{network_id}')],
    ),
    base.rule(
        'os-tenant-networks:list',
        base.READER,
        'List the networks that the project may use.',
        [('GET', '/os-tenant-networks')],
    ),
    base.rule(
        'os-tenant-networks:show',
        base.READER,
        'Show a network that the project may use.',
        [('GET', '/os-tenant-networks/{network_id}')],
    ),
]
