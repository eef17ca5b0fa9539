"""The roles that the other modules' rules are made of."""

from __future__ import annotations

from collections.abc import Iterable

from oslo_policy import policy

PREFIX = 'os_compute_api'

CONTEXT_IS_ADMIN = 'context_is_admin'
ADMIN = f'rule:{CONTEXT_IS_ADMIN}'
MEMBER = 'rule:project_member_or_admin'
READER = 'rule:project_reader_or_admin'
ANY = '@'

RULES = [
    policy.RuleDefault(CONTEXT_IS_ADMIN, 'role:admin', description='Administrators.'),
    policy.RuleDefault(
        'project_member_or_admin',
        f'(role:member and project_id:%(project_id)s) or {ADMIN}',
        description='Those who may change what belongs to the project, and administrators.',
    ),
    policy.RuleDefault(
        'project_reader_or_admin',
        '((role:reader or role:member) and project_id:%(project_id)s) or ' + ADMIN,
        description='Those who may look at what belongs to the project, and administrators.',
    ),
]


def rule(
    name: str, check: str, description: str, operations: Iterable[tuple[str, str]]
) -> policy.DocumentedRuleDefault:
    """A rule named ``os_compute_api:<name>``, for ``operations`` of method and path."""
    return policy.DocumentedRuleDefault(
        name=f'{PREFIX}:{name}',
        check_str=check,
        description=description,
        operations=[{'method': method, 'path': path} for method, path in operations],
        scope_types=['project'],
    )
