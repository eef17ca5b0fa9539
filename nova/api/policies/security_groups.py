"""Rules of security groups."""

from __future__ import annotations

from nova.api.policies import base

NAME = f'{base.PREFIX}:os-security-groups'

LIST = f'{NAME}:get'
SHOW = f'{NAME}:show'
CREATE = f'{NAME}:create'
UPDATE = f'{NAME}:update'
DELETE = f'{NAME}:delete'
ALL_TENANTS = f'{NAME}:all_tenants'
RULE_CREATE = f'{NAME}:rule:create'
RULE_DELETE = f'{NAME}:rule:delete'
SERVER_LIST = f'{NAME}:list'
SERVER_ADD = f'{NAME}:add'
SERVER_REMOVE = f'{NAME}:remove'

_ONE = '/os-security-groups/{security_group_id}'

RULES = [
    base.rule(
        'os-security-groups:get',
        base.READER,
        'List security groups.',
        [('GET', '/os-security-groups')],
    ),
    base.rule(
        'os-security-groups:all_tenants',
        base.ADMIN,
        'List the security groups of every project.',
        [('GET', '/os-security-groups')],
    ),
    base.rule('os-security-groups:show', base.READER, 'Show a security group.', [('GET', _ONE)]),
    base.rule(
        'os-security-groups:create',
        base.MEMBER,
        'Create a security group.',
        [('POST', '/os-security-groups')],
    ),
    base.rule(
        'os-security-groups:update', base.MEMBER, 'Rename a security group.', [('PUT', _ONE)]
    ),
    base.rule(
        'os-security-groups:delete', base.MEMBER, 'Delete a security group.', [('DELETE', _ONE)]
    ),
    base.rule(
        'os-security-groups:rule:create',
        base.MEMBER,
        'Add a rule to a security group.',
        [('POST', '/os-security-group-rules')],
    ),
    base.rule(
        'os-security-groups:rule:delete',
        base.MEMBER,
        'Delete a rule of a security group.',
        [('DELETE', '/os-security-group-rules/{rule_id}')],
    ),
    base.rule(
        'os-security-groups:list',
        base.READER,
        'List the security groups of a server.',
        [('GET', '/servers/{server_id}/os-security-groups')],
    ),
    base.rule(
        'os-security-groups:add',
        base.MEMBER,
        'Put a server into a security group.',
        [('POST', '/servers/{server_id}/action (addSecurityGroup)')],
    ),
    base.rule(
        'os-security-groups:remove',
        base.MEMBER,
        'Take a server out of a security group.',
        [('POST', '/servers/{server_id}/action (removeSecurityGroup)')],
    ),
]
