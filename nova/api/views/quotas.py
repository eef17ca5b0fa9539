"""Quotas and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova import quota

#: The names of limits in ``GET /limits``.
_LIMITS = {
    'maxTotalInstances': 'instances',
    'maxTotalCores': 'cores',
    'maxTotalRAMSize': 'ram',
    'maxServerMeta': 'metadata_items',
    'maxImageMeta': 'metadata_items',
    'maxPersonality': 'injected_files',
    'maxPersonalitySize': 'injected_file_content_bytes',
    'maxTotalKeypairs': 'key_pairs',
    'maxServerGroups': 'server_groups',
    'maxServerGroupMembers': 'server_group_members',
    'maxTotalFloatingIps': 'floating_ips',
    'maxSecurityGroups': 'security_groups',
    'maxSecurityGroupRules': 'security_group_rules',
}
_USED = {
    'totalInstancesUsed': 'instances',
    'totalCoresUsed': 'cores',
    'totalRAMUsed': 'ram',
    'totalFloatingIpsUsed': 'floating_ips',
    'totalSecurityGroupsUsed': 'security_groups',
    'totalServerGroupsUsed': 'server_groups',
}


def choose_shown(limits: Mapping[str, int], configured: Mapping[str, int]) -> dict[str, int]:
    """Those limits that an answer has: the Compute API's, and of ours, which strict clients would
    stumble over, those that were set by the API."""
    return {
        resource: limit
        for resource, limit in limits.items()
        if resource not in quota.OWN or limit != configured[resource]
    }


def render_usage(limits: Mapping[str, int], usage: Mapping[str, int]) -> dict[str, Any]:
    """Nothing is ever reserved: a server counts from the moment it is accepted."""
    return {
        resource: {'limit': limit, 'in_use': usage[resource], 'reserved': 0}
        for resource, limit in limits.items()
    }


def render_limits(limits: Mapping[str, int], usage: Mapping[str, int]) -> dict[str, Any]:
    """``GET /limits``. There are no limits of rates."""
    most = {name: limits[resource] for name, resource in _LIMITS.items()}
    used = {name: usage[resource] for name, resource in _USED.items()}
    return {'rate': [], 'absolute': most | used}
