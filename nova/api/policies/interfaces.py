"""Rules of servers' network interfaces."""

from __future__ import annotations

from nova.api.policies import base

NAME = f'{base.PREFIX}:os-attach-interfaces'

LIST = f'{NAME}:list'
SHOW = f'{NAME}:show'
CREATE = f'{NAME}:create'
DELETE = f'{NAME}:delete'
FIXED_IPS = f'{base.PREFIX}:os-multinic'

RULES = [
    base.rule(
        'os-attach-interfaces:list',
        base.READER,
        "List a server's network interfaces.",
        [('GET', '/servers/{server_id}/os-interface')],
    ),
    base.rule(
        'os-attach-interfaces:show',
        base.READER,
        'Show a network interface of a server.',
        [('GET', '/servers/{server_id}/os-interface/{port_id}')],
    ),
    base.rule(
        'os-attach-interfaces:create',
        base.MEMBER,
        'Attach a network interface to a server.',
        [('POST', '/servers/{server_id}/os-interface')],
    ),
    base.rule(
        'os-attach-interfaces:delete',
        base.MEMBER,
        'Detach a network interface from a server.',
        [('DELETE', '/servers/{server_id}/os-interface/{port_id}')],
    ),
    base.rule(
        'os-multinic',
        base.MEMBER,
        'Give an interface of a server a further fixed IP address, or take one from it.',
        [
            ('POST', '/servers/{server_id}/action (addFixedIp)'),
            ('POST', '/servers/{server_id}/action (removeFixedIp)'),
        ],
    ),
]
