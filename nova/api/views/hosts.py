"""Services, hypervisors and availability zones, as the API shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nova.api import microversion
from nova.api.views import servers
from nova.db import records

COMPUTE = 'nova-compute'
#: The zone of hosts that run no guests.
INTERNAL_ZONE = 'internal'

IsUp = Callable[[records.Service], bool]


def zone_of(service: records.Service) -> str:
    return servers.DEFAULT_ZONE if service.binary == COMPUTE else INTERNAL_ZONE


def render_service(
    service: records.Service, *, up: bool, version: microversion.Version
) -> dict[str, Any]:
    view: dict[str, Any] = {
        'id': service.id,
        'binary': service.binary,
        'host': service.host,
        'zone': zone_of(service),
        'status': 'disabled' if service.disabled else 'enabled',
        'state': 'up' if up else 'down',
        'updated_at': servers.render_moment(service.last_seen_at),
        'disabled_reason': service.disabled_reason,
    }
    if version >= (2, 11):
        view['forced_down'] = False
    return view


def render_host_status(services: Iterable[records.Service], is_up: IsUp) -> dict[str, str]:
    """The ``host_status`` of servers by host (microversion 2.16)."""
    return {
        service.host: 'MAINTENANCE' if service.disabled else 'UP' if is_up(service) else 'UNKNOWN'
        for service in services
        if service.binary == COMPUTE
    }


def render_hypervisor_summary(
    node: records.ComputeNode, service: records.Service | None, *, up: bool
) -> dict[str, Any]:
    return {
        'id': node.id,
        'hypervisor_hostname': node.host,
        'state': 'up' if up else 'down',
        'status': 'disabled' if service is not None and service.disabled else 'enabled',
    }


def render_hypervisor(
    node: records.ComputeNode,
    service: records.Service | None,
    *,
    up: bool,
    version: microversion.Version,
) -> dict[str, Any]:
    return {
        **render_hypervisor_summary(node, service, up=up),
        'hypervisor_type': node.hypervisor_type,
        'hypervisor_version': node.hypervisor_version,
        'host_ip': None,
        'cpu_info': {} if version >= (2, 28) else '',
        'current_workload': 0,
        'disk_available_least': None,
        **_render_amounts([node]),
        'service': {
            'id': service.id if service is not None else 0,
            'host': node.host,
            'disabled_reason': service.disabled_reason if service is not None else None,
        },
    }


def render_statistics(nodes: Sequence[records.ComputeNode]) -> dict[str, Any]:
    return {
        'count': len(nodes),
        'current_workload': 0,
        'disk_available_least': None,
        **_render_amounts(nodes),
    }


def _render_amounts(nodes: Sequence[records.ComputeNode]) -> dict[str, int]:
    memory, memory_used = _sum(nodes, 'memory_mb'), _sum(nodes, 'memory_mb_used')
    disk, disk_used = _sum(nodes, 'disk_gb'), _sum(nodes, 'disk_gb_used')
    return {
        'vcpus': _sum(nodes, 'vcpus'),
        'vcpus_used': _sum(nodes, 'vcpus_used'),
        'memory_mb': memory,
        'memory_mb_used': memory_used,
        'free_ram_mb': memory - memory_used,
        'local_gb': disk,
        'local_gb_used': disk_used,
        'free_disk_gb': disk - disk_used,
        'running_vms': _sum(nodes, 'instances'),
    }


def _sum(nodes: Iterable[records.ComputeNode], field: str) -> int:
    return sum(getattr(node, field) for node in nodes)


def render_zones(
    services: Sequence[records.Service], is_up: IsUp, *, detail: bool
) -> list[dict[str, Any]]:
    """The zones: with ``detail`` their hosts and services, and the internal zone as well."""
    zones: dict[str, list[records.Service]] = {}
    for service in services:
        zones.setdefault(zone_of(service), []).append(service)
    shown = {servers.DEFAULT_ZONE, INTERNAL_ZONE} if detail else {servers.DEFAULT_ZONE}
    return [
        {
            'zoneName': name,
            'zoneState': {'available': any(is_up(s) and not s.disabled for s in members)},
            'hosts': _render_hosts(members, is_up) if detail else None,
        }
        for name, members in sorted(zones.items())
        if name in shown
    ]


def _render_hosts(
    services: Iterable[records.Service], is_up: IsUp
) -> Mapping[str, Mapping[str, Any]]:
    hosts: dict[str, dict[str, Any]] = {}
    for service in services:
        hosts.setdefault(service.host, {})[service.binary] = {
            'active': not service.disabled,
            'available': is_up(service),
            'updated_at': servers.render_moment(service.last_seen_at),
        }
    return hosts
