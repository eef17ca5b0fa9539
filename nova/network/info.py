"""From the database's records to the snapshot that everything about NICs is rendered from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses

import netaddr

from nova.db import records
from nova.network import model


def on_host(network: records.Network, host: str | None) -> records.Network:
    """The network as it is for the guests of ``host``: the network itself, if one host serves it
    to all of them.

    Where every host serves its own guests (``multi_host``), ``host`` is that host, which is the
    DHCP server under an address of its own, and the gateway if the network has one of ours. To a
    host that does not serve it (yet), its ``host`` is None.
    """
    if not network.multi_host:
        return network
    if host is None or host not in network.hosts:
        return dataclasses.replace(network, host=None)
    ours = network.gateway == network.dhcp_server
    address = network.hosts[host]
    there = dataclasses.replace(
        network,
        host=host,
        dhcp_server=address,
        gateway=address if ours else network.gateway,
    )
    if network.gateway_v6 is None:
        return there
    return dataclasses.replace(there, gateway_v6=server_address_v6(there))


def build_network(network: records.Network) -> model.Network:
    """The network as its guests see it.

    :param network: as it is on their host.
    """
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
                ra_server=router_link_local(network) if announced else None,
            )
        )
    return tuple(subnets)


def server_address(network: records.NewNetwork | model.Subnet) -> str | None:
    """The address that our host has in the IPv4 range, if it serves it: the DHCP server's. Without
    DHCP it is the gateway all the same."""
    return network.dhcp_server or network.gateway


def is_gateway(network: records.NewNetwork | model.Subnet) -> bool:
    """Whether our host, if it serves the network, is its IPv4 gateway. The subnet is that of
    IPv4."""
    return network.gateway is not None and network.gateway == server_address(network)


def server_address_v6(network: records.NewNetwork) -> str | None:
    """The address that our host has in the IPv6 range, if it serves it: the gateway's, else, if it
    announces the range, the first; where every host serves, one of its own. A flat network is
    served by nobody."""
    if network.cidr_v6 is None or network.kind is model.NetworkKind.FLAT:
        return None
    if network.ipv6_mode is None:
        return network.gateway_v6
    if isinstance(network, records.Network) and network.multi_host:
        return model.host_address_v6(network.cidr_v6, _key(network))
    return network.gateway_v6 or str(netaddr.IPNetwork(network.cidr_v6)[1])


def router_link_local(network: records.Network) -> str:
    """The link-local address that announcements of the network come from."""
    return model.router_link_local(_key(network))


def _key(network: records.Network) -> str:
    """What the addresses are made of that we choose for whoever serves the network."""
    return f'{network.uuid} {network.host}' if network.multi_host else network.uuid


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
                network=build_network(on_host(networks[vif.network_uuid], vif.host)),
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
