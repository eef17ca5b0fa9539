"""Servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import secrets
from typing import Any

import netaddr

from nova import exception
from nova.api.call import Answer, Call
from nova.api.policies import servers as rules
from nova.api.schemas import types
from nova.api.views import hosts, security_groups, servers
from nova.db import records
from nova.network import model

_PASSWORD_BYTES = 9


def create(call: Call) -> Answer:
    """``POST /servers``"""
    body = call.body['server']
    _check_boot_disk(body)
    requested = parse_networks(body.get('networks'))
    low, high = parse_counts(body)
    groups = tuple(group['name'] for group in body.get('security_groups', ()))
    with _naming_fields(requested, groups):
        instances = call.compute.create(
            call.context,
            name=body['name'],
            image_ref=body['imageRef'].lower(),
            flavor_ref=str(body['flavorRef']),
            requested_networks=requested,
            min_count=low,
            max_count=high,
            metadata=body.get('metadata', {}),
            user_data=body.get('user_data'),
            config_drive=types.is_true(body.get('config_drive')),
            availability_zone=_parse_zone(body.get('availability_zone')),
            security_groups=groups,
        )
    first = instances[0]
    if types.is_true(body.get('return_reservation_id', False)):
        return Answer({'reservation_id': first.reservation_id})
    password = body.get('adminPass') or secrets.token_urlsafe(_PASSWORD_BYTES)
    return Answer(
        {'server': servers.render_created(first, password, call.urls)},
        {'Location': call.urls.location('servers', first.uuid)},
    )


def parse_networks(
    networks: str | Sequence[Mapping[str, Any]] | None,
) -> tuple[records.RequestedNetwork, ...]:
    """The NICs that a create request asks for, in its order. None asked for, the network side
    chooses; clients say that by no field, by ``[]`` or by ``"auto"``."""
    if networks is None or isinstance(networks, str):
        return ()
    return tuple(
        records.RequestedNetwork(
            network_uuid=nic['uuid'].lower(),
            fixed_ip=str(netaddr.IPAddress(nic['fixed_ip'])) if 'fixed_ip' in nic else None,
            tag=nic.get('tag'),
            security_groups=tuple(group['name'] for group in nic.get('security_groups', ())),
        )
        for nic in networks
    )


def parse_counts(body: Mapping[str, Any]) -> tuple[int, int]:
    """How many servers are wanted at least and at most.

    :raises InvalidInput: one is out of range, or they contradict each other.
    """
    low = types.integer(body.get('min_count', 1), 'min_count', minimum=1)
    high = types.integer(body.get('max_count', low), 'max_count', minimum=1)
    if low > high:
        raise exception.InvalidInput(
            field='min_count', reason=f'{low} is greater than max_count, {high}'
        )
    return low, high


def _parse_zone(zone: str | None) -> str | None:
    if zone is not None and zone != servers.DEFAULT_ZONE:
        raise exception.InvalidInput(
            field='availability_zone',
            reason=f'{zone!r} does not exist; all hosts are in {servers.DEFAULT_ZONE!r}',
        )
    return zone


def _check_boot_disk(body: Mapping[str, Any]) -> None:
    for disk in body.get('block_device_mapping_v2', ()):
        if disk['uuid'].lower() != body['imageRef'].lower():
            raise exception.InvalidInput(
                field='block_device_mapping_v2[0].uuid', reason='it is not the imageRef'
            )


@contextlib.contextmanager
def _naming_fields(
    requested: Sequence[records.RequestedNetwork], groups: Sequence[str]
) -> Iterator[None]:
    """Errors of things that the body names say by which field, and one that is not found is the
    body's fault (400), as the URL was found."""
    try:
        yield
    except exception.FlavorNotFound as exc:
        raise exception.InvalidInput(field='flavorRef', reason=exc.message) from exc
    except (exception.ImageNotFound, exception.ImageUnacceptable) as exc:
        raise exception.InvalidInput(field='imageRef', reason=exc.message) from exc
    except exception.SecurityGroupNotFound as exc:
        field = find_group_field(exc.kwargs['group_id'], requested, groups)
        raise exception.InvalidInput(field=field, reason=exc.message) from exc
    except (exception.NetworkNotFound, exception.FixedIpInvalid) as exc:
        field = find_field(exc, requested)
        raise exception.InvalidInput(field=field, reason=exc.message) from exc
    except (exception.FixedIpInUse, exception.NoMoreFixedIps) as exc:
        field = find_field(exc, requested)
        raise type(exc)(f'{field}: {exc.message}', **exc.kwargs) from exc


def find_field(
    error: exception.NovaException, requested: Sequence[records.RequestedNetwork]
) -> str:
    """The field of ``networks`` that ``error`` is about, as far as it tells."""
    network = error.kwargs.get('network_id', error.kwargs.get('network'))
    address = error.kwargs.get('address')
    for index, nic in enumerate(requested):
        if address is not None and nic.fixed_ip == address:
            return f'networks[{index}].fixed_ip'
        if address is None and nic.network_uuid == network:
            return f'networks[{index}].uuid'
    return 'networks'


def find_group_field(
    name: str, requested: Sequence[records.RequestedNetwork], groups: Sequence[str]
) -> str:
    """The field of a create request that names this security group."""
    if name in groups:
        return f'security_groups[{groups.index(name)}].name'
    for index, nic in enumerate(requested):
        if name in nic.security_groups:
            return f'networks[{index}].security_groups[{nic.security_groups.index(name)}].name'
    return 'security_groups'


def index(call: Call) -> Answer:
    """``GET /servers``"""
    found, page = _find(call, 'servers')
    return Answer({'servers': [servers.render_summary(i, call.urls) for i in found], **page})


def detail(call: Call) -> Answer:
    """``GET /servers/detail``"""
    found, page = _find(call, 'servers/detail')
    known = _know(call, found)
    return Answer({'servers': [_render(call, instance, known) for instance in found], **page})


def _find(call: Call, path: str) -> tuple[list[records.Instance], dict[str, Any]]:
    """The page that is asked for, and the link to the next one if there may be one."""
    everybody = _wants_all_projects(call)
    filters = parse_filters(call.query, admin=call.can(rules.ADMIN_FILTERS))
    limit = call.limit
    if filters is None or limit == 0:
        return [], {}
    if not everybody:
        filters.pop('project_id', None)
    found = call.compute.list(
        call.context,
        filters=filters,
        limit=limit,
        marker=call.query.get('marker'),
        all_projects=everybody,
    )
    more = len(found) == limit
    return found, {'servers_links': call.next_page(path, found[-1].uuid)} if more else {}


def _wants_all_projects(call: Call) -> bool:
    # A client that writes ?all_tenants means it.
    asked = call.query.get('all_tenants')
    if asked is None or (asked != '' and not types.is_true(asked)):
        return False
    if not call.can(rules.ALL_TENANTS):
        raise exception.NotAuthorized(f"Policy doesn't allow {rules.ALL_TENANTS} to be performed.")
    return True


def parse_filters(query: Mapping[str, str], *, admin: bool) -> dict[str, Any] | None:
    """The filters of a list request for ``compute.api.list``; None when they exclude each
    other or name a state that no server has, so that nothing can be found.

    Without ``admin``, what only an administrator may ask for is left out.
    """
    names = ['name', 'flavor', 'image', 'reservation_id', 'uuid']
    if admin:
        names += ['host', 'project_id']
    filters: dict[str, Any] = {name: query[name] for name in names if name in query}
    if admin and 'tenant_id' in query:
        filters['project_id'] = query['tenant_id']
    states = _parse_states(query)
    if states is not None:
        if not states:
            return None
        filters['vm_states'] = tuple(states)
    return filters


def _parse_states(query: Mapping[str, str]) -> list[records.VmState] | None:
    wanted: list[set[records.VmState]] = []
    if 'status' in query:
        wanted.append({s for s in [servers.parse_status(query['status'])] if s is not None})
    if 'vm_state' in query:
        wanted.append({s for s in records.VmState if s.value == query['vm_state'].lower()})
    return sorted(set.intersection(*wanted)) if wanted else None


def show(call: Call, server_id: str) -> Answer:
    """``GET /servers/{server_id}``"""
    instance = call.compute.get(call.context, server_id)
    return Answer({'server': _render(call, instance, _know(call, [instance]))})


def update(call: Call, server_id: str) -> Answer:
    """``PUT /servers/{server_id}``"""
    instance = call.compute.get(call.context, server_id)
    instance = call.compute.update(call.context, instance, display_name=call.body['server']['name'])
    infos = call.network.network_infos([instance.uuid])
    view = servers.render_updated(
        instance,
        infos.get(instance.uuid, model.NetworkInfo()),
        call.network.floating_ips.of_servers([instance.uuid]).get(instance.uuid, ()),
        version=call.version,
        urls=call.urls,
        seen=_seen(call),
    )
    return Answer({'server': view})


def delete(call: Call, server_id: str) -> Answer:
    """``DELETE /servers/{server_id}``"""
    call.compute.delete(call.context, call.compute.get(call.context, server_id))
    return Answer()


def _seen(call: Call) -> servers.Seen:
    status = None
    if call.version >= (2, 16) and call.can(rules.HOST_STATUS):
        services = call.compute.service_list(call.context)
        status = hosts.render_host_status(services, call.compute.is_up)
    return servers.Seen(
        extended=call.can(rules.EXTENDED),
        fault_details=call.can(rules.FAULT_DETAILS),
        host_status=status,
    )


def _group_names(
    call: Call, found: Sequence[records.Instance], infos: Mapping[str, model.NetworkInfo]
) -> dict[str, list[dict[str, str]]]:
    """The names of each server's security groups, by one query for all."""
    none = model.NetworkInfo()
    uuids = {i.uuid: security_groups.uuids_of(i, infos.get(i.uuid, none)) for i in found}
    groups = call.groups.groups_of(uuid for of_one in uuids.values() for uuid in of_one)
    return {key: security_groups.render_names(of_one, groups) for key, of_one in uuids.items()}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What answers say of servers besides what they are, by server."""

    infos: Mapping[str, model.NetworkInfo]
    floating_ips: Mapping[str, Sequence[records.FloatingIp]]
    names: Mapping[str, list[dict[str, str]]]
    seen: servers.Seen


def _know(call: Call, found: Sequence[records.Instance]) -> _Known:
    """By a few queries for all of them."""
    uuids = [instance.uuid for instance in found]
    infos = call.network.network_infos(uuids)
    return _Known(
        infos=infos,
        floating_ips=call.network.floating_ips.of_servers(uuids),
        names=_group_names(call, found, infos),
        seen=_seen(call),
    )


def _render(call: Call, instance: records.Instance, known: _Known) -> dict[str, Any]:
    return servers.render_detail(
        instance,
        known.infos.get(instance.uuid, model.NetworkInfo()),
        known.floating_ips.get(instance.uuid, ()),
        group_names=known.names[instance.uuid],
        version=call.version,
        urls=call.urls,
        seen=known.seen,
    )
