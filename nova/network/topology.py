"""What a host must have for its networks, as a value.

:func:`plan_host` computes the whole desired state of the host that serves networks: bridges,
addresses, DHCP servers. :func:`plan_links` computes the bridges alone, which is all that a host
needs whose guests are on a network that another host serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses

import netaddr

from nova import exception
from nova.db import records
from nova.network import dhcp, info, model, names

#: Leases of a /64, which could have any number; as many as the largest IPv4 range has.
_LEASES_V6 = 65536


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLink:
    """A bridge, with the interface of the host that is its way out (None: it has none). With a
    ``vlan``, its port is that VLAN of the interface."""

    name: str
    physical_interface: str | None = None
    mtu: int | None = None
    vlan: int | None = None

    @property
    def vlan_device(self) -> str | None:
        """The name of the VLAN's device: ``eth1.100``."""
        if self.vlan is None or self.physical_interface is None:
            return None
        name = f'{self.physical_interface}.{self.vlan}'
        if len(name) > model.DEVICE_NAME_MAX:
            return model.bounded_device_name('vl', name)
        return name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostNetwork:
    """One network on the host that serves it.

    ``address`` (``address/prefix``) is the host's own IPv4 address on the bridge, ``addresses_v6``
    are those of IPv6, the link-local one first. ``forwards`` and ``forwards_v6`` say whether the
    host is the network's gateway, ``serves_dhcp`` whether the server ``dhcp`` runs.
    """

    uuid: str
    label: str
    link: BridgeLink
    address: str | None
    forwards: bool
    dhcp: dhcp.Server
    serves_dhcp: bool = True
    addresses_v6: tuple[str, ...] = ()
    forwards_v6: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What a host must have, in id order of the networks. ``impossible`` holds networks that this
    host cannot have, with the reason; they do not keep it from having the others."""

    networks: tuple[HostNetwork, ...] = ()
    impossible: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What the plan depends on besides the database. ``run_path`` is a folder that does not
    outlive a boot."""

    host: str
    run_path: str
    dhcp_domain: str
    dhcp_lease_time_s: int
    physical_networks: Mapping[str, str] = dataclasses.field(default_factory=dict)


def plan_links(
    networks: Iterable[model.Network], physical_networks: Mapping[str, str]
) -> tuple[BridgeLink, ...]:
    """The bridges that guests on ``networks`` are plugged into; one each, in order.

    :param physical_networks: the host's interface for each physical network.
    :raises NetworkSetupFailed: a physical network has no interface on this host.
    """
    links = {
        network.bridge: _link(
            network.label,
            network.bridge,
            network.physical_network,
            network.mtu,
            network.vlan,
            physical_networks,
        )
        for network in networks
    }
    return tuple(links.values())


def plan_edges(
    networks: Iterable[records.Network], physical_networks: Mapping[str, str]
) -> tuple[str, ...]:
    """The ports by which bridges lead to other hosts, of those networks that every host serves to
    its own guests.

    :param physical_networks: the host's interface for each physical network; one that it has none
        for is passed over.
    """
    ports = []
    for network in networks:
        interface = physical_networks.get(network.physical_network or '')
        if network.multi_host and interface is not None:
            link = BridgeLink(name=network.bridge, physical_interface=interface, vlan=network.vlan)
            ports.append(link.vlan_device or interface)
    return tuple(ports)


def plan_host(
    networks: Iterable[records.Network],
    vifs: Mapping[str, Sequence[records.Vif]],
    options: HostOptions,
) -> HostState:
    """What the host needs for those of ``networks`` that it serves and that have a NIC. What is
    not in the answer is not wanted.

    :param networks: as they are on this host (:func:`nova.network.info.on_host`).
    :param vifs: by network uuid, of all hosts; a network that is missing has none.
    """
    planned: list[HostNetwork] = []
    impossible: list[tuple[str, str]] = []
    for network in sorted(networks, key=lambda network: network.id):
        nics = _nics_served(network, vifs.get(network.uuid, ()))
        if network.host != options.host or not nics or network.kind is model.NetworkKind.FLAT:
            continue
        try:
            planned.append(_plan_network(network, nics, options))
        except exception.NovaException as exc:
            impossible.append((network.uuid, exc.message))
    return HostState(networks=tuple(planned), impossible=tuple(impossible))


def _nics_served(network: records.Network, vifs: Sequence[records.Vif]) -> Sequence[records.Vif]:
    """Those that the network's host serves: all of them, or its own guests'."""
    return [v for v in vifs if v.host == network.host] if network.multi_host else vifs


def network_folder(run_path: str, uuid: str) -> str:
    """Where the files of a network that this host serves are."""
    return f'{run_path}/networks/{uuid}'


def _plan_network(
    network: records.Network, vifs: Sequence[records.Vif], options: HostOptions
) -> HostNetwork:
    server_v6 = info.server_address_v6(network)
    server = dhcp.Server(
        network_id=network.uuid,
        interface=network.bridge,
        folder=network_folder(options.run_path, network.uuid),
        cidr=network.cidr,
        gateway=network.gateway,
        dns=network.dns,
        mtu=network.mtu,
        domain=names.parse_domain(options.dhcp_domain),
        lease_time_s=options.dhcp_lease_time_s,
        lease_max=_lease_max(network),
        reservations=_plan_reservations(network, vifs),
        cidr_v6=network.cidr_v6,
        ipv6_mode=network.ipv6_mode,
        routed_v6=network.gateway_v6 is not None,
        routes=(*network.routes, *_metadata_routes(network)),
    )
    return HostNetwork(
        uuid=network.uuid,
        label=network.label,
        link=_link(
            network.label,
            network.bridge,
            network.physical_network,
            network.mtu,
            network.vlan,
            options.physical_networks,
        ),
        address=_with_prefix(info.server_address(network), network.cidr),
        forwards=info.is_gateway(network),
        dhcp=server,
        serves_dhcp=network.dhcp_server is not None or network.ipv6_mode is not None,
        addresses_v6=tuple(
            f'{address}/64'
            for address in (info.router_link_local(network), server_v6)
            if server_v6 is not None and address is not None
        ),
        forwards_v6=network.gateway_v6 is not None,
    )


def _metadata_routes(network: records.Network) -> tuple[model.Route, ...]:
    """How guests find the metadata service where their default route does not lead to this host:
    there is none, or another router is the gateway."""
    if network.dhcp_server is None or network.dhcp_server == network.gateway:
        return ()
    return (model.Route(cidr=f'{model.METADATA_ADDRESS}/32', gateway=network.dhcp_server),)


def _with_prefix(address: str | None, cidr: str | None) -> str | None:
    if address is None or cidr is None:
        return None
    return f'{address}/{netaddr.IPNetwork(cidr).prefixlen}'


def _lease_max(network: records.Network) -> int:
    """As many as there can be; IPv4 and IPv6 are counted together."""
    size = _LEASES_V6 if network.cidr_v6 is not None else 0
    return size + (netaddr.IPNetwork(network.cidr).size if network.cidr is not None else 0)


def _plan_reservations(
    network: records.Network, vifs: Iterable[records.Vif]
) -> tuple[dhcp.Reservation, ...]:
    """One for each NIC, for its first address of each family: a client holds one lease."""
    # who asks for DNS only is known by the address as well: dnsmasq looks for none of IPv4 there
    asks = network.ipv6_mode in (model.Ipv6Mode.STATEFUL, model.Ipv6Mode.STATELESS)
    found = []
    for vif in vifs:
        address = next(iter(model.of_family(4, vif.addresses)), None)
        address_v6 = next(iter(model.of_family(6, vif.addresses)), None) if asks else None
        if address is not None or address_v6 is not None:
            found.append(
                dhcp.Reservation(
                    mac=vif.mac,
                    address=address,
                    default_route=vif.default_route,
                    hostname=_hostname(vif.hostname),
                    address_v6=address_v6,
                )
            )
    return tuple(found)


def _hostname(text: str) -> str | None:
    """A name that DHCP cannot carry costs its guest the name, and no other guest anything."""
    try:
        return names.parse_hostname(text)
    except exception.InvalidName:
        return None


def _link(
    label: str,
    bridge: str,
    physical_network: str | None,
    mtu: int | None,
    vlan: int | None,
    physical_networks: Mapping[str, str],
) -> BridgeLink:
    interface = None
    if physical_network is not None:
        interface = physical_networks.get(physical_network)
        if interface is None:
            reason = f'this host has no interface for the physical network {physical_network!r}'
            raise exception.NetworkSetupFailed(network=label, reason=reason)
        interface = names.parse_device(interface, 'physical_networks')
    return BridgeLink(name=bridge, physical_interface=interface, mtu=mtu, vlan=vlan)
