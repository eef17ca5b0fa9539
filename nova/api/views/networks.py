"""Networks, as ``os-networks`` and ``os-tenant-networks`` show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import netaddr

from nova.api.views import servers
from nova.db import records


def render_tenant(network: records.Network) -> dict[str, Any]:
    return {'id': network.uuid, 'label': network.label, 'cidr': network.cidr}


def render_network(network: records.Network, *, extended: bool) -> dict[str, Any]:
    """``extended`` adds how the network is made, which only operators see. Fields of features
    that we have not got are null, for clients read all of them."""
    cidr = netaddr.IPNetwork(network.cidr)
    view: dict[str, Any] = {
        'id': network.uuid,
        'label': network.label,
        'cidr': network.cidr,
        'netmask': str(cidr.netmask),
        'gateway': network.gateway,
        'broadcast': str(cidr.broadcast) if cidr.broadcast is not None else None,
        'dns1': _nth(network.dns, 0),
        'dns2': _nth(network.dns, 1),
        'cidr_v6': None,
        'gateway_v6': None,
        'netmask_v6': None,
    }
    return view | _render_extended(network) if extended else view


def _render_extended(network: records.Network) -> dict[str, Any]:
    return {
        'bridge': network.bridge,
        'bridge_interface': network.physical_network,
        'vlan': network.vlan,
        'mtu': network.mtu,
        'project_id': network.project_id,
        'host': network.host,
        'multi_host': network.multi_host,
        'dhcp_server': network.dhcp_server,
        'dhcp_start': network.dhcp_start,
        'enable_dhcp': network.dhcp_server is not None,
        'share_address': False,
        'injected': False,
        'priority': None,
        'rxtx_base': None,
        'vpn_public_address': None,
        'vpn_public_port': None,
        'vpn_private_address': None,
        'created_at': servers.render_moment(network.created_at),
        'updated_at': servers.render_moment(network.updated_at),
        'deleted': False,
        'deleted_at': None,
    }


def _nth(values: Sequence[str], position: int) -> str | None:
    return values[position] if position < len(values) else None
