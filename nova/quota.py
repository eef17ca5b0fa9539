"""How much a project may have: the operator's configuration, what was said since for all projects,
and what differs for one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova import exception
from nova.db import api as db

UNLIMITED = -1
LIMIT_MAX = 2**31 - 1

#: What is limited, by the Compute API's names, as far as it has one.
RESOURCES = (
    'instances',
    'cores',
    'ram',
    'metadata_items',
    'interfaces',
    'interfaces_per_server',
    'fixed_ips',
    'floating_ips',
    'networks',
    'security_groups',
    'security_group_rules',
)
#: What the Compute API has limits of and this service has none of, with the limits that clients
#: know. They can be set, and are kept without effort.
ABSENT: Mapping[str, int] = {
    'injected_files': 5,
    'injected_file_content_bytes': 10240,
    'injected_file_path_bytes': 255,
    'key_pairs': 100,
    'server_groups': 10,
    'server_group_members': 10,
}
#: Those that the Compute API does not know.
OWN = ('interfaces', 'interfaces_per_server', 'networks')


class Quotas:
    """The limits of projects.

    :param configured: of each resource; one that is missing has none.
    """

    def __init__(self, configured: Mapping[str, int] | None = None) -> None:
        self._configured: dict[str, int] = {
            **dict.fromkeys(RESOURCES, UNLIMITED),
            **ABSENT,
            **(configured or {}),
        }

    @property
    def configured(self) -> dict[str, int]:
        """The limits of all projects, before anybody said otherwise."""
        return dict(self._configured)

    @property
    def defaults(self) -> dict[str, int]:
        """The limits of a project for which nothing else was said."""
        return self._configured | db.quota_defaults()

    def limits(self, project_id: str) -> dict[str, int]:
        """The most that the project may have of each resource; -1 for any number."""
        return self._configured | db.quota_get(project_id)

    def limit(self, project_id: str, resource: str) -> int:
        """One of :meth:`limits`."""
        return self.limits(project_id)[resource]

    def nic_limits(self, project_id: str) -> db.NicLimits:
        """Those that an allocation of NICs has to keep."""
        limits = self.limits(project_id)
        return db.NicLimits(interfaces=limits['interfaces'], fixed_ips=limits['fixed_ips'])

    def usage(self, project_id: str) -> dict[str, int]:
        """How much the project has of each resource. Of those that are not counted by project, such
        as the rules of a security group, it is 0."""
        return dict.fromkeys(self._configured, 0) | db.quota_usage(project_id)

    def change(self, project_id: str, limits: Mapping[str, int], *, force: bool) -> None:
        """Give the project other limits.

        :param force: also such that it has more already. It keeps what it has then.
        :raises InvalidInput: there is no such resource, or a limit is out of range, or below what
            the project has.
        """
        usage = {} if force else self.usage(project_id)
        self._check(limits)
        for resource, limit in limits.items():
            if 0 <= limit < usage.get(resource, 0):
                reason = f'the project has {usage[resource]}, more than {limit}; force would set it'
                raise exception.InvalidInput(field=resource, reason=reason)
        db.quota_set(project_id, limits)

    def reset(self, project_id: str) -> None:
        """Let the limits of all projects hold for the project again."""
        db.quota_reset(project_id)

    def change_defaults(self, limits: Mapping[str, int]) -> None:
        """Give all projects other limits; who was given one of its own keeps that, and everybody
        what he has.

        :raises InvalidInput: there is no such resource, or a limit is out of range.
        """
        self._check(limits)
        db.quota_set_defaults(limits)

    def _check(self, limits: Mapping[str, int]) -> None:
        for resource, limit in limits.items():
            if resource not in self._configured:
                raise exception.InvalidInput(field=resource, reason='there is no such quota')
            if not UNLIMITED <= limit <= LIMIT_MAX:
                reason = f'{limit} is not from {UNLIMITED} to {LIMIT_MAX}'
                raise exception.InvalidInput(field=resource, reason=reason)


def from_conf(conf: Any) -> Quotas:
    """The limits that ``conf`` has for all projects."""
    return Quotas({resource: getattr(conf.quota, resource) for resource in RESOURCES})
