"""Rules of servers' network interfaces."""

from __future__ import annotations

from nova.api.policies import base

NAME = f'{base.PREFIX}:os-attach-interfaces'

LIST = f'{NAME}:list'
SHOW = f'{NAME}:show'

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
]
