"""Servers, as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import datetime
import hashlib
from typing import Any

from nova.api import microversion
from nova.api.views import addresses, links
from nova.db import records
from nova.network import model

#: The zone of every host that runs guests.
DEFAULT_ZONE = 'nova'

_STATUS: Mapping[records.VmState, str] = {
    records.VmState.BUILDING: 'BUILD',
    records.VmState.ACTIVE: 'ACTIVE',
    records.VmState.STOPPED: 'SHUTOFF',
    records.VmState.ERROR: 'ERROR',
}

_PROGRESS: Mapping[str, int] = {'BUILD': 0, 'ACTIVE': 100}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What of a server its reader may see besides what everybody does.

    ``host_status`` is the state of the server's host, None for those who may not see it.
    """

    extended: bool = False
    fault_details: bool = False
    host_status: Mapping[str, str] | None = None


def parse_status(status: str) -> records.VmState | None:
    """The state that the API calls ``status``; None when no server can have it."""
    return next((state for state, name in _STATUS.items() if name == status.upper()), None)


def render_status(instance: records.Instance) -> str:
    return _STATUS[instance.vm_state]


def render_host_id(instance: records.Instance) -> str:
    """Lets a project see which of its servers share a host, and nothing else about the host."""
    if instance.host is None:
        return ''
    return hashlib.sha224(f'{instance.project_id}{instance.host}'.encode()).hexdigest()


def render_summary(instance: records.Instance, urls: links.Links) -> dict[str, Any]:
    return {
        'id': instance.uuid,
        'name': instance.display_name,
        'links': urls.of('servers', instance.uuid),
    }


def render_created(instance: records.Instance, password: str, urls: links.Links) -> dict[str, Any]:
    return {
        'id': instance.uuid,
        'links': urls.of('servers', instance.uuid),
        'OS-DCF:diskConfig': 'MANUAL',
        'adminPass': password,
    }


def render_updated(
    instance: records.Instance,
    network_info: model.NetworkInfo,
    floating_ips: Sequence[records.FloatingIp],
    *,
    version: microversion.Version,
    urls: links.Links,
    seen: Seen,
) -> dict[str, Any]:
    """The core of a server, without what extensions had added: the answer to an update."""
    status = render_status(instance)
    view: dict[str, Any] = {
        'id': instance.uuid,
        'name': instance.display_name,
        'status': status,
        'tenant_id': instance.project_id,
        'user_id': instance.user_id,
        'metadata': dict(instance.metadata),
        'hostId': render_host_id(instance),
        'image': {
            'id': instance.image_ref,
            'links': [urls.bookmark('images', instance.image_ref)],
        },
        'flavor': {
            'id': instance.flavor.flavorid,
            'links': [urls.bookmark('flavors', instance.flavor.flavorid)],
        },
        'created': render_time(instance.created_at),
        'updated': render_time(instance.updated_at),
        'addresses': addresses.render_addresses(network_info, floating_ips),
        'accessIPv4': '',
        'accessIPv6': '',
        'links': urls.of('servers', instance.uuid),
        'OS-DCF:diskConfig': 'MANUAL',
    }
    if status in _PROGRESS:
        view['progress'] = _PROGRESS[status]
    if status == 'ERROR' and instance.fault is not None:
        view['fault'] = render_fault(instance.fault, details=seen.fault_details)
    if version >= (2, 9):
        view['locked'] = instance.locked
    if version >= (2, 19):
        view['description'] = None
    if version >= (2, 26):
        view['tags'] = []
    return view


def render_detail(
    instance: records.Instance,
    network_info: model.NetworkInfo,
    floating_ips: Sequence[records.FloatingIp],
    *,
    version: microversion.Version,
    urls: links.Links,
    seen: Seen,
    group_names: list[dict[str, str]],
) -> dict[str, Any]:
    """All that may be seen of a server."""
    view = render_updated(
        instance, network_info, floating_ips, version=version, urls=urls, seen=seen
    )
    view['addresses'] = addresses.render_addresses(network_info, floating_ips, extended=True)
    view |= {
        'key_name': instance.key_name,
        'config_drive': 'True' if instance.config_drive else '',
        'OS-EXT-AZ:availability_zone': DEFAULT_ZONE if instance.host is not None else '',
        'OS-EXT-STS:vm_state': instance.vm_state.value,
        'OS-EXT-STS:task_state': instance.task_state.value if instance.task_state else None,
        'OS-EXT-STS:power_state': instance.power_state.value,
        'OS-SRV-USG:launched_at': render_moment(instance.launched_at),
        'OS-SRV-USG:terminated_at': None,
        'os-extended-volumes:volumes_attached': [],
    }
    if group_names:
        view['security_groups'] = group_names
    if seen.extended:
        view |= _render_extended(instance, version)
    if seen.host_status is not None and version >= (2, 16):
        host = instance.host
        view['host_status'] = '' if host is None else seen.host_status.get(host, 'UNKNOWN')
    return view


def _render_extended(instance: records.Instance, version: microversion.Version) -> dict[str, Any]:
    prefix = 'OS-EXT-SRV-ATTR'
    view: dict[str, Any] = {
        f'{prefix}:host': instance.host,
        f'{prefix}:hypervisor_hostname': instance.host,
        f'{prefix}:instance_name': instance.name,
    }
    if version >= (2, 3):
        view |= {
            f'{prefix}:reservation_id': instance.reservation_id,
            f'{prefix}:launch_index': instance.launch_index,
            f'{prefix}:hostname': instance.hostname,
            f'{prefix}:kernel_id': '',
            f'{prefix}:ramdisk_id': '',
            f'{prefix}:root_device_name': '/dev/vda',
            f'{prefix}:user_data': instance.user_data,
        }
    return view


def render_fault(fault: records.Fault, *, details: bool) -> dict[str, Any]:
    view: dict[str, Any] = {
        'code': fault.code,
        'created': render_time(fault.created_at),
        'message': fault.message,
    }
    if details and fault.details:
        view['details'] = fault.details
    return view


def render_time(moment: datetime.datetime) -> str:
    """UTC to the second, as most of the API writes it: ``2025-01-31T12:00:00Z``."""
    return moment.astimezone(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


def render_moment(moment: datetime.datetime | None) -> str | None:
    """UTC to the microsecond without a zone, as the rest of the API writes it."""
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%S.%f')
