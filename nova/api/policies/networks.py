"""Rules of networks."""

from __future__ import annotations

from nova.api.policies import base

LIST = f'{base.PREFIX}:os-networks:list'
SHOW = f'{base.PREFIX}:os-networks:show'
EXTENDED = f'{base.PREFIX}:os-networks:extended'
CREATE = f'{base.PREFIX}:os-networks:create'
DELETE = f'{base.PREFIX}:os-networks:delete'
ADD = f'{base.PREFIX}:os-networks:add'
ASSOCIATE_HOST = f'{base.PREFIX}:os-networks-associate:associate_host'
DISASSOCIATE = f'{base.PREFIX}:os-networks-associate:disassociate'
DISASSOCIATE_HOST = f'{base.PREFIX}:os-networks-associate:disassociate_host'
DISASSOCIATE_PROJECT = f'{base.PREFIX}:os-networks-associate:disassociate_project'
TENANT_LIST = f'{base.PREFIX}:os-tenant-networks:list'
TENANT_SHOW = f'{base.PREFIX}:os-tenant-networks:show'
TENANT_CREATE = f'{base.PREFIX}:os-tenant-networks:create'
TENANT_DELETE = f'{base.PREFIX}:os-tenant-networks:delete'

_ALL, _ONE = '/os-networks', '/os-networks/{network_id}'
_ACTION = f'{_ONE}/action (%s)'
_TENANT_ALL, _TENANT_ONE = '/os-tenant-networks', '/os-tenant-networks/{network_id}'

RULES = [
    base.rule('os-networks:list', base.READER, 'List networks.', [('GET', _ALL)]),
    base.rule('os-networks:show', base.READER, 'Show a network.', [('GET', _ONE)]),
    base.rule(
        'os-networks:extended',
        base.ADMIN,
        'Show how a network is made: its bridge, VLAN, host and project.',
        [('GET', _ALL), ('GET', _ONE), ('POST', _ALL)],
    ),
    base.rule('os-networks:create', base.ADMIN, 'Make a network.', [('POST', _ALL)]),
    base.rule('os-networks:delete', base.ADMIN, 'Delete any network.', [('DELETE', _ONE)]),
    base.rule(
        'os-networks:add',
        base.ADMIN,
        "Give the caller's project a network that no project has.",
        [('POST', '/os-networks/add')],
    ),
    base.rule(
        'os-networks-associate:associate_host',
        base.ADMIN,
        'Choose the host that serves a network.',
        [('POST', _ACTION % 'associate_host')],
    ),
    base.rule(
        'os-networks-associate:disassociate',
        base.ADMIN,
        'Take a network from its project and its host.',
        [('POST', _ACTION % 'disassociate')],
    ),
    base.rule(
        'os-networks-associate:disassociate_host',
        base.ADMIN,
        'Take a network from its host.',
        [('POST', _ACTION % 'disassociate_host')],
    ),
    base.rule(
        'os-networks-associate:disassociate_project',
        base.ADMIN,
        'Take a network from its project.',
        [('POST', _ACTION % 'disassociate_project')],
    ),
    base.rule(
        'os-tenant-networks:list',
        base.READER,
        'List the networks that the project may use.',
        [('GET', _TENANT_ALL)],
    ),
    base.rule(
        'os-tenant-networks:show',
        base.READER,
        'Show a network that the project may use.',
        [('GET', _TENANT_ONE)],
    ),
    base.rule(
        'os-tenant-networks:create',
        base.MEMBER,
        'Make a network of the project, in the ranges that the operator leaves to projects.',
        [('POST', _TENANT_ALL)],
    ),
    base.rule(
        'os-tenant-networks:delete',
        base.MEMBER,
        'Delete a network of the project.',
        [('DELETE', _TENANT_ONE)],
    ),
]
