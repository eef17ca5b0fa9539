"""Rules of servers and their actions."""

from __future__ import annotations

from nova.api.policies import base

NAME = f'{base.PREFIX}:servers'

CREATE = f'{NAME}:create'
INDEX = f'{NAME}:index'
DETAIL = f'{NAME}:detail'
SHOW = f'{NAME}:show'
UPDATE = f'{NAME}:update'
DELETE = f'{NAME}:delete'
START = f'{NAME}:start'
STOP = f'{NAME}:stop'
REBOOT = f'{NAME}:reboot'
ALL_TENANTS = f'{NAME}:all_tenants'
ADMIN_FILTERS = f'{NAME}:allow_all_filters'
HOST_STATUS = f'{NAME}:show:host_status'
EXTENDED = f'{base.PREFIX}:os-extended-server-attributes'
FAULT_DETAILS = f'{NAME}:show:fault_details'
IPS_INDEX = f'{base.PREFIX}:ips:index'
IPS_SHOW = f'{base.PREFIX}:ips:show'
CONSOLE_OUTPUT = f'{base.PREFIX}:os-console-output'

_SHOWING = [('GET', '/servers/{server_id}'), ('GET', '/servers/detail')]
_LISTING = [('GET', '/servers'), ('GET', '/servers/detail')]

RULES = [
    base.rule('servers:create', base.MEMBER, 'Create a server.', [('POST', '/servers')]),
    base.rule('servers:index', base.READER, 'List servers.', [('GET', '/servers')]),
    base.rule(
        'servers:detail', base.READER, 'List servers with details.', [('GET', '/servers/detail')]
    ),
    base.rule('servers:show', base.READER, 'Show a server.', [('GET', '/servers/{server_id}')]),
    base.rule('servers:update', base.MEMBER, 'Rename a server.', [('PUT', '/servers/{server_id}')]),
    base.rule(
        'servers:delete', base.MEMBER, 'Delete a server.', [('DELETE', '/servers/{server_id}')]
    ),
    base.rule('servers:all_tenants', base.ADMIN, 'List the servers of every project.', _LISTING),
    base.rule(
        'servers:allow_all_filters',
        base.ADMIN,
        'Choose servers by what only operators know, such as their host.',
        _LISTING,
    ),
    base.rule(
        'servers:show:host_status', base.ADMIN, "Show the state of a server's host.", _SHOWING
    ),
    base.rule('servers:show:fault_details', base.ADMIN, 'Show the details of a fault.', _SHOWING),
    base.rule(
        'os-extended-server-attributes',
        base.ADMIN,
        'Show the OS-EXT-SRV-ATTR attributes: the host and the name of the guest on it, and more.',
        _SHOWING,
    ),
    base.rule(
        'ips:index',
        base.READER,
        "List a server's addresses.",
        [('GET', '/servers/{server_id}/ips')],
    ),
    base.rule(
        'ips:show',
        base.READER,
        "Show a server's addresses on one network.",
        [('GET', '/servers/{server_id}/ips/{label}')],
    ),
    base.rule(
        'os-console-output',
        base.MEMBER,
        "Read the guest's console.",
        [('POST', '/servers/{server_id}/action (os-getConsoleOutput)')],
    ),
    base.rule(
        'servers:start',
        base.MEMBER,
        'Start a stopped server.',
        [('POST', '/servers/{server_id}/action (os-start)')],
    ),
    base.rule(
        'servers:stop',
        base.MEMBER,
        'Stop a server.',
        [('POST', '/servers/{server_id}/action (os-stop)')],
    ),
    base.rule(
        'servers:reboot',
        base.MEMBER,
        'Reboot a server.',
        [('POST', '/servers/{server_id}/action (reboot)')],
    ),
]
