"""From the database's records to the snapshot that everything about NICs is rendered from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import netaddr

from nova.db import records
from nova.network import model


def build_network(network: records.Network) -> model.Network:
    """The network as its guests see it."""
    return model.Network(
        id=network.uuid,
        label=network.label,
        kind=network.kind,
        bridge=network.bridge,
        subnets=_build_subnets(network),
        mtu=network.mtu,
        vlan=network.vlan,
        physical_network=network.physical_network,
        host=network.host,
        multi_host=network.multi_host,
    )


def _build_subnets(network: records.Network) -> tuple[model.Subnet, ...]:
    subnets = []
    if network.cidr is not None:
        subnets.append(
            model.Subnet(
                cidr=network.cidr,
                gateway=network.gateway,
                dhcp_server=network.dhcp_server,
                dns=model.of_family(4, network.dns),
                routes=tuple(r for r in network.routes if ':' not in r.cidr),
            )
        )
    if network.cidr_v6 is not None:
        announced = network.ipv6_mode is not None
        subnets.append(
            model.Subnet(
                cidr=network.cidr_v6,
                gateway=network.gateway_v6,
                dns=model.of_family(6, network.dns),
                routes=tuple(r for r in network.routes if ':' in r.cidr),
                ipv6_mode=network.ipv6_mode,
                ra_server=model.router_link_local(network.uuid) if announced else None,
            )
        )
    return tuple(subnets)


def server_address_v6(network: records.NewNetwork) -> str | None:
    """The address that our host has in the IPv6 range, if it serves it: the gateway's, else the
    first."""
    if network.cidr_v6 is None or network.ipv6_mode is None:
        return None
    return network.gateway_v6 or str(netaddr.IPNetwork(network.cidr_v6)[1])


def build_network_info(
    vifs: Iterable[records.Vif], networks: Mapping[str, records.Network]
) -> model.NetworkInfo:
    """One instance's NICs, in the order of their index.

    :param networks: by uuid; those of the NICs are among them.
    """
    return model.NetworkInfo(
        tuple(
            model.VIF(
                id=vif.uuid,
                index=vif.index,
                mac=vif.mac,
                network=build_network(networks[vif.network_uuid]),
                addresses=vif.addresses,
                default_route=vif.default_route,
                tag=vif.tag,
                security_groups=vif.security_groups,
                slot=vif.slot,
                state=vif.state,
            )
            for vif in sorted(vifs, key=lambda vif: vif.index)
        )
    )
