"""Rules of floating IPs."""

from __future__ import annotations

from nova.api.policies import base

NAME = f'{base.PREFIX}:os-floating-ips'

LIST = f'{NAME}:list'
SHOW = f'{NAME}:show'
CREATE = f'{NAME}:create'
DELETE = f'{NAME}:delete'
ADD = f'{NAME}:add'
REMOVE = f'{NAME}:remove'
POOLS = f'{base.PREFIX}:os-floating-ip-pools'

_ALL, _ONE = '/os-floating-ips', '/os-floating-ips/{floating_ip_id}'
_ACTION = '/servers/{server_id}/action (%s)'

RULES = [
    base.rule('os-floating-ips:list', base.READER, 'List floating IPs.', [('GET', _ALL)]),
    base.rule('os-floating-ips:show', base.READER, 'Show a floating IP.', [('GET', _ONE)]),
    base.rule('os-floating-ips:create', base.MEMBER, 'Allocate a floating IP.', [('POST', _ALL)]),
    base.rule('os-floating-ips:delete', base.MEMBER, 'Release one.', [('DELETE', _ONE)]),
    base.rule(
        'os-floating-ips:add',
        base.MEMBER,
        'Let a floating IP lead to a server.',
        [('POST', _ACTION % 'addFloatingIp')],
    ),
    base.rule(
        'os-floating-ips:remove',
        base.MEMBER,
        'Let a floating IP lead nowhere.',
        [('POST', _ACTION % 'removeFloatingIp')],
    ),
    base.rule(
        'os-floating-ip-pools',
        base.READER,
        'List the pools of floating IPs.',
        [('GET', '/os-floating-ip-pools')],
    ),
]
