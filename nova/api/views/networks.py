"""Networks, as ``os-networks`` and ``os-tenant-networks`` show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import netaddr

from nova.api.views import servers
from nova.db import records


def render_tenant(network: records.Network) -> dict[str, Any]:
    """A network of IPv6 only shows that range as its ``cidr``."""
    return {'id': network.uuid, 'label': network.label, 'cidr': network.cidr or network.cidr_v6}


def render_network(network: records.Network, *, extended: bool) -> dict[str, Any]:
    """``extended`` adds how the network is made, which only operators see. Fields of features
    that we have not got are null, for clients read all of them."""
    cidr = None if network.cidr is None else netaddr.IPNetwork(network.cidr)
    v6 = None if network.cidr_v6 is None else netaddr.IPNetwork(network.cidr_v6)
    view: dict[str, Any] = {
        'id': network.uuid,
        'label': network.label,
        'cidr': network.cidr,
        'netmask': None if cidr is None else str(cidr.netmask),
        'gateway': network.gateway,
        'broadcast': str(cidr.broadcast) if cidr is not None and cidr.broadcast else None,
        'dns1': _nth(network.dns, 0),
        'dns2': _nth(network.dns, 1),
        'cidr_v6': network.cidr_v6,
        'gateway_v6': network.gateway_v6,
        'netmask_v6': None if v6 is None else str(v6.prefixlen),
    }
    return view | _render_extended(network) if extended else view


def _render_extended(network: records.Network) -> dict[str, Any]:
    return {
        'kind': network.kind,
        'dns': list(network.dns),
        'routes': [f'{route.cidr},{route.gateway}' for route in network.routes],
        'ipv6_mode': network.ipv6_mode,
        'physical_network': network.physical_network,
        'dhcp_end': network.dhcp_end,
        'bridge': network.bridge,
        'bridge_interface': network.physical_network,
        'vlan': network.vlan,
        'mtu': network.mtu,
        'project_id': network.project_id,
        'host': network.host,
        'multi_host': network.multi_host,
        'dhcp_server': network.dhcp_server,
        'dhcp_start': network.dhcp_start,
        'enable_dhcp': network.dhcp_server is not None or network.ipv6_mode is not None,
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
