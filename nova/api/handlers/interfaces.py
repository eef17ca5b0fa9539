"""Addresses and network interfaces of a server."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any

from nova import exception
from nova.api.call import Answer, Call
from nova.api.views import addresses
from nova.db import records
from nova.network import model


def index_ips(call: Call, server_id: str) -> Answer:
    """``GET /servers/{server_id}/ips``"""
    return Answer({'addresses': _render_ips(call, server_id)})


def show_ips(call: Call, server_id: str, label: str) -> Answer:
    """``GET /servers/{server_id}/ips/{label}``"""
    found = _render_ips(call, server_id)
    if label not in found:
        raise exception.NetworkNotFound(network_id=label)
    return Answer({label: found[label]})


def _render_ips(call: Call, server_id: str) -> dict[str, list[dict[str, Any]]]:
    instance, network_info = _get(call, server_id)
    found = call.network.floating_ips.of_servers([instance.uuid])
    return addresses.render_addresses(network_info, found.get(instance.uuid, ()))


def index(call: Call, server_id: str) -> Answer:
    """``GET /servers/{server_id}/os-interface``"""
    instance, network_info = _get(call, server_id)
    plugged = _plugged(instance)
    views = [addresses.render_interface(vif, plugged=plugged) for vif in network_info]
    return Answer({'interfaceAttachments': views})


def show(call: Call, server_id: str, port_id: str) -> Answer:
    """``GET /servers/{server_id}/os-interface/{port_id}``"""
    instance, network_info = _get(call, server_id)
    vif = next((vif for vif in network_info if vif.id == port_id), None)
    if vif is None:
        raise exception.VifNotFound(vif_id=port_id)
    view = addresses.render_interface(vif, plugged=_plugged(instance))
    return Answer({'interfaceAttachment': view})


def attach(call: Call, server_id: str) -> Answer:
    """``POST /servers/{server_id}/os-interface``"""
    body = call.body['interfaceAttachment']
    (fixed_ip,) = body.get('fixed_ips') or [{'ip_address': None}]
    instance = call.compute.get(call.context, server_id)
    with _naming_fields():
        vif = call.compute.attach_interface(
            call.context,
            instance,
            network=body.get('net_id'),
            fixed_ip=fixed_ip['ip_address'],
            security_groups=tuple(group['name'] for group in body.get('security_groups', ())),
        )
    view = addresses.render_interface(vif, plugged=_plugged(instance))
    return Answer({'interfaceAttachment': view})


def detach(call: Call, server_id: str, port_id: str) -> Answer:
    """``DELETE /servers/{server_id}/os-interface/{port_id}``"""
    instance = call.compute.get(call.context, server_id)
    call.compute.detach_interface(call.context, instance, port_id)
    return Answer()


@contextlib.contextmanager
def _naming_fields() -> Iterator[None]:
    """What the body names and is not found is the body's fault (400), as the URL was found."""
    try:
        yield
    except exception.NetworkNotFound as exc:
        raise exception.InvalidInput(field='net_id', reason=exc.message) from exc
    except exception.SecurityGroupNotFound as exc:
        raise exception.InvalidInput(field='security_groups', reason=exc.message) from exc


def _get(call: Call, server_id: str) -> tuple[records.Instance, model.NetworkInfo]:
    instance = call.compute.get(call.context, server_id)
    infos = call.network.network_infos([instance.uuid])
    return instance, infos.get(instance.uuid, model.NetworkInfo())


def _plugged(instance: records.Instance) -> bool:
    return instance.vm_state is records.VmState.ACTIVE
