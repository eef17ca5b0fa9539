"""From the database's records to the snapshot that everything about NICs is rendered from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova.db import records
from nova.network import model


def build_network(network: records.Network) -> model.Network:
    """The network as its guests see it."""
    subnet = model.Subnet(
        cidr=network.cidr,
        gateway=network.gateway,
        dhcp_server=network.dhcp_server,
        dns=network.dns,
    )
    return model.Network(
        id=network.uuid,
        label=network.label,
        kind=network.kind,
        bridge=network.bridge,
        subnets=(subnet,),
        mtu=network.mtu,
        vlan=network.vlan,
        physical_network=network.physical_network,
        host=network.host,
        multi_host=network.multi_host,
    )


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
