"""Addresses and network interfaces of a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
import uuid

import netaddr

from nova.db import records
from nova.network import model


def render_addresses(
    network_info: model.NetworkInfo,
    floating_ips: Iterable[records.FloatingIp] = (),
    *,
    extended: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """The addresses by the label of their network, in NIC order, those of a NIC followed by the
    floating IPs that lead to them. Two NICs on networks of one label stand in one list;
    ``extended`` tells them apart by their MACs."""
    leading = {(one.network_uuid, one.fixed_ip): one.address for one in floating_ips}
    found: dict[str, list[dict[str, Any]]] = {}
    for vif in network_info:
        keys = [(vif.network.id, address) for address in vif.addresses]
        entries = found.setdefault(vif.network.label, [])
        entries += [_render_address(vif, address, 'fixed', extended) for address in vif.addresses]
        entries += [
            _render_address(vif, leading[key], 'floating', extended)
            for key in keys
            if key in leading
        ]
    return found


def _render_address(vif: model.VIF, address: str, kind: str, extended: bool) -> dict[str, Any]:
    view: dict[str, Any] = {'version': netaddr.IPAddress(address).version, 'addr': address}
    if extended:
        view |= {'OS-EXT-IPS:type': kind, 'OS-EXT-IPS-MAC:mac_addr': vif.mac}
    return view


def render_interface(vif: model.VIF, *, plugged: bool) -> dict[str, Any]:
    """A NIC as an ``interfaceAttachment``. Its id stands as the port's, by which clients detach
    it."""
    return {
        'port_id': vif.id,
        'net_id': vif.network.id,
        'mac_addr': vif.mac,
        'port_state': _render_state(vif, plugged),
        'fixed_ips': [
            {'ip_address': address, 'subnet_id': _subnet_id(vif.network, address)}
            for address in vif.addresses
        ],
    }


def _render_state(vif: model.VIF, plugged: bool) -> str:
    match vif.state:
        case model.VifState.ATTACHING:
            return 'BUILD'
        case model.VifState.DETACHING:
            return 'DETACHING'
    return 'ACTIVE' if plugged else 'DOWN'


def _subnet_id(network: model.Network, address: str) -> str:
    """Our subnets have no id of their own. A network has at most one of each IP version, so
    these two make one, as the API demands a UUID."""
    return str(uuid.uuid5(uuid.UUID(network.id), f'ipv{netaddr.IPAddress(address).version}'))
