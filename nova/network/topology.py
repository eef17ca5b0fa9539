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
from nova.network import dhcp, model, names


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLink:
    """A bridge, with the interface of the host that is its way out (None: it has none)."""

    name: str
    physical_interface: str | None = None
    mtu: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostNetwork:
    """One network on the host that serves it.

    ``address`` (``address/prefix``) is the host's own on the bridge; ``forwards`` says whether
    the host is the network's gateway.
    """

    uuid: str
    label: str
    link: BridgeLink
    address: str
    forwards: bool
    dhcp: dhcp.Server


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
            network.label, network.bridge, network.physical_network, network.mtu, physical_networks
        )
        for network in networks
    }
    return tuple(links.values())


def plan_host(
    networks: Iterable[records.Network],
    vifs: Mapping[str, Sequence[records.Vif]],
    options: HostOptions,
) -> HostState:
    """What the host needs for those of ``networks`` that it serves and that have a NIC. What is
    not in the answer is not wanted.

    :param vifs: by network uuid; a network that is missing has none.
    """
    planned: list[HostNetwork] = []
    impossible: list[tuple[str, str]] = []
    for network in sorted(networks, key=lambda network: network.id):
        nics = vifs.get(network.uuid, ())
        if network.host != options.host or not nics:
            continue
        try:
            planned.append(_plan_network(network, nics, options))
        except exception.NovaException as exc:
            impossible.append((network.uuid, exc.message))
    return HostState(networks=tuple(planned), impossible=tuple(impossible))


def network_folder(run_path: str, uuid: str) -> str:
    """Where the files of a network that this host serves are."""
    return f'{run_path}/networks/{uuid}'


def _plan_network(
    network: records.Network, vifs: Sequence[records.Vif], options: HostOptions
) -> HostNetwork:
    if network.dhcp_server is None:
        raise exception.NetworkSetupFailed(network=network.label, reason='it has no DHCP server')
    cidr = netaddr.IPNetwork(network.cidr)
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
        lease_max=cidr.size,
        reservations=_plan_reservations(vifs),
    )
    return HostNetwork(
        uuid=network.uuid,
        label=network.label,
        link=_link(
            network.label,
            network.bridge,
            network.physical_network,
            network.mtu,
            options.physical_networks,
        ),
        address=f'{network.dhcp_server}/{cidr.prefixlen}',
        forwards=network.gateway == network.dhcp_server,
        dhcp=server,
    )


def _plan_reservations(vifs: Iterable[records.Vif]) -> tuple[dhcp.Reservation, ...]:
    """One for each NIC, for its first IPv4 address: a client holds one lease."""
    return tuple(
        dhcp.Reservation(
            mac=vif.mac,
            address=addresses[0],
            default_route=vif.default_route,
            hostname=_hostname(vif.hostname),
        )
        for vif in vifs
        if (addresses := [a for a in vif.addresses if netaddr.IPAddress(a).version == 4])
    )


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
    physical_networks: Mapping[str, str],
) -> BridgeLink:
    interface = None
    if physical_network is not None:
        interface = physical_networks.get(physical_network)
        if interface is None:
            reason = f'this host has no interface for the physical network {physical_network!r}'
            raise exception.NetworkSetupFailed(network=label, reason=reason)
        interface = names.parse_device(interface, 'physical_networks')
    return BridgeLink(name=bridge, physical_interface=interface, mtu=mtu)
