"""What an operator says about a new network, and what is decided from it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any

import netaddr

from nova import exception
from nova.db import records
from nova.network import model, names, ranges

#: The kinds of network that can be made, and what makes one when no kind is named.
SERVED_KINDS = (
    model.NetworkKind.FLAT_DHCP,
    model.NetworkKind.FLAT,
    model.NetworkKind.VLAN,
)

#: Every IPv4 host takes datagrams of 576 octets (RFC 791, section 3.1); 65,535 is the largest.
MTU_MIN, MTU_MAX = 576, 65535
#: More would not fit into every DHCP answer beside the other options (RFC 2131, section 2).
DNS_MAX = 8
#: Every IPv6 link takes packets of 1280 octets (RFC 8200, section 5).
MTU_MIN_V6 = 1280
#: Each takes up to nine octets of one DHCP option (RFC 3442).
ROUTES_MAX = 16
#: VLAN identifiers that may be used (IEEE 802.1Q, table 9-2).
VLAN_MIN, VLAN_MAX = 1, 4094
#: ``NetworkSpec.gateway`` of a network that leads nowhere.
NO_GATEWAY = 'none'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """What an operator says about a new network; what is None is decided by
    :func:`plan_network`.

    ``kind`` is a :class:`nova.network.model.NetworkKind` by its value. ``gateway`` may be
    ``'none'``. ``allowed_start`` and ``allowed_end``, or ``fixed_cidr``, bound what IPv4 addresses
    NICs are given. A range of one family at least is needed. ``routes`` are ``range,gateway``.
    ``vlan_start`` is the first VLAN that may be chosen where none is named.
    """

    label: str
    cidr: str | None
    kind: str | None = None
    project_id: str | None = None
    gateway: str | None = None
    dhcp_server: str | None = None
    allowed_start: str | None = None
    allowed_end: str | None = None
    fixed_cidr: str | None = None
    enable_dhcp: bool | None = None
    dns: tuple[str, ...] = ()
    bridge: str | None = None
    physical_network: str | None = None
    mtu: int | None = None
    cidr_v6: str | None = None
    gateway_v6: str | None = None
    ipv6_mode: str | None = None
    routes: tuple[str, ...] = ()
    vlan: int | None = None
    vlan_start: int | None = None
    multi_host: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """A network to be stored, with every address of its range and whether it is reserved."""

    network: records.NewNetwork
    addresses: tuple[tuple[str, bool], ...]


def parse_kind(text: str | None) -> model.NetworkKind:
    """The kind named ``text``; None takes the first that is served.

    :raises NetworkKindUnsupported: it is unknown, or not served yet.
    """
    if text is None:
        return SERVED_KINDS[0]
    for kind in SERVED_KINDS:
        if kind.value == text:
            return kind
    allowed = ', '.join(kind.value for kind in SERVED_KINDS)
    raise exception.NetworkKindUnsupported(kind=text, allowed=allowed)


def plan_network(spec: NetworkSpec, uuid: str) -> NetworkPlan:
    """All that is decided about a new network.

    Where we serve a network, the first IPv4 address is the gateway unless another is named, the
    gateway is the DHCP server (none with ``enable_dhcp`` false), and every other address of the
    range may be given out. The network of an operator (kind ``flat``) has a gateway only if one is
    named.

    An IPv6 range has a gateway only if one is named, whatever the kind: an announcement of a
    router reaches all guests of a network alike, so that the operator has to choose which networks
    give a default route.

    :raises InvalidCidr: the range, or an address that must be in it, is not usable.
    :raises InvalidName: a name has characters that it may not have.
    :raises InvalidInput: another value is wrong.
    :raises NetworkKindUnsupported:
    """
    kind = parse_kind(spec.kind)
    served = _is_dhcp_served(spec, kind)
    if spec.cidr is None and spec.cidr_v6 is None:
        raise exception.InvalidInput(field='cidr', reason='a range of IPv4 or IPv6 is needed')
    v4 = _plan_v4(spec, kind, served)
    cidr_v6, gateway_v6, mode = _plan_v6(spec, kind, served)
    return NetworkPlan(
        network=records.NewNetwork(
            uuid=uuid,
            label=names.parse_label(spec.label),
            kind=kind,
            project_id=parse_project(spec.project_id),
            cidr=None if v4 is None else v4.cidr,
            gateway=None if v4 is None else v4.gateway,
            dhcp_server=None if v4 is None else v4.server,
            dhcp_start=None if v4 is None else v4.free[0],
            dhcp_end=None if v4 is None else v4.free[-1],
            dns=parse_dns(spec.dns),
            bridge=_bridge(spec.bridge, uuid),
            physical_network=_physical_network(spec.physical_network),
            vlan=_vlan(spec, kind),
            mtu=parse_mtu(spec.mtu, v6=cidr_v6 is not None),
            multi_host=_multi_host(spec, kind),
            cidr_v6=cidr_v6,
            gateway_v6=gateway_v6,
            ipv6_mode=mode,
            routes=parse_routes(spec.routes),
        ),
        addresses=() if v4 is None else v4.addresses,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _V4:
    """What is decided about an IPv4 range; ``free`` are the addresses for NICs, in order."""

    cidr: str
    gateway: str | None
    server: str | None
    free: tuple[str, ...]
    addresses: tuple[tuple[str, bool], ...]


def _plan_v4(spec: NetworkSpec, kind: model.NetworkKind, served: bool) -> _V4 | None:
    if spec.cidr is None:
        for field in ('gateway', 'dhcp_server', 'allowed_start', 'allowed_end', 'fixed_cidr'):
            if getattr(spec, field) not in (None, NO_GATEWAY):
                raise exception.InvalidInput(field=field, reason='there is no IPv4 range')
        return None
    cidr = ranges.parse_cidr(spec.cidr)
    gateway, server = _infrastructure(spec, cidr, kind, served)
    reserved = {str(cidr.network), str(cidr.broadcast)} | ({gateway, server} - {None})
    start, end = _bounds(spec, cidr)
    given = netaddr.IPRange(start, end) if ranges.number(start) <= ranges.number(end) else ()
    free = {str(address) for address in given} - reserved
    if not free:
        reason = f'nothing between {start} and {end} could be given to a NIC'
        raise exception.InvalidCidr(field='cidr', value=spec.cidr, reason=reason)
    return _V4(
        cidr=str(cidr),
        gateway=gateway,
        server=server,
        free=tuple(sorted(free, key=ranges.number)),
        addresses=tuple((str(address), str(address) not in free) for address in cidr),
    )


def _bounds(spec: NetworkSpec, cidr: Any) -> tuple[str, str]:
    """The first and the last address that NICs are given."""
    start = ranges.parse_host(spec.allowed_start, cidr, 'allowed_start')
    end = ranges.parse_host(spec.allowed_end, cidr, 'allowed_end')
    if spec.fixed_cidr is None:
        return start or str(cidr[1]), end or str(cidr[-2])
    if start is not None or end is not None:
        reason = 'it stands beside allowed_start or allowed_end'
        raise exception.InvalidInput(field='fixed_cidr', reason=reason)
    part = ranges.parse_part(spec.fixed_cidr, cidr, 'fixed_cidr')
    return str(max(part[0], cidr[1])), str(min(part[-1], cidr[-2]))


def _is_dhcp_served(spec: NetworkSpec, kind: model.NetworkKind) -> bool:
    """Whether guests get their addresses of both families by DHCP and announcements.

    :raises InvalidInput: it is said to be served where it cannot be, or the other way round.
    """
    if kind is model.NetworkKind.FLAT:
        if spec.enable_dhcp:
            reason = 'on a flat network nobody serves DHCP'
            raise exception.InvalidInput(field='enable_dhcp', reason=reason)
        return False
    if spec.enable_dhcp is not False:
        return True
    for field in ('dhcp_server', 'ipv6_mode', 'multi_host'):
        if getattr(spec, field):
            reason = 'it is for networks with DHCP, and enable_dhcp is false'
            raise exception.InvalidInput(field=field, reason=reason)
    return False


def parse_project(project_id: str | None) -> str | None:
    """:raises InvalidName: it is nothing that Keystone gives as an id."""
    return None if project_id is None else names.parse_token(project_id, 'project_id')


def _plan_v6(
    spec: NetworkSpec, kind: model.NetworkKind, served: bool
) -> tuple[str | None, str | None, model.Ipv6Mode | None]:
    """The IPv6 range, its gateway and the mode."""
    if spec.cidr_v6 is None:
        for field in ('gateway_v6', 'ipv6_mode'):
            if getattr(spec, field) not in (None, NO_GATEWAY):
                raise exception.InvalidInput(field=field, reason='there is no IPv6 range')
        return None, None, None
    cidr = ranges.parse_cidr_v6(spec.cidr_v6)
    gateway = None
    if spec.gateway_v6 not in (None, NO_GATEWAY):
        gateway = str(ranges.parse_address(str(spec.gateway_v6), 'gateway_v6', 6))
        if netaddr.IPAddress(gateway) not in cidr or gateway == str(cidr.network):
            reason = f'it is not the address of a router in {cidr}'
            raise exception.InvalidCidr(field='gateway_v6', value=gateway, reason=reason)
    return str(cidr), gateway, _ipv6_mode(spec.ipv6_mode, kind, served)


def _ipv6_mode(text: str | None, kind: model.NetworkKind, served: bool) -> model.Ipv6Mode | None:
    if kind is model.NetworkKind.FLAT:
        if text is not None:
            reason = 'on a flat network nobody announces the range'
            raise exception.InvalidInput(field='ipv6_mode', reason=reason)
        return None
    if not served:
        return None
    try:
        return model.Ipv6Mode(text or model.Ipv6Mode.SLAAC)
    except ValueError as exc:
        allowed = ', '.join(mode.value for mode in model.Ipv6Mode)
        raise exception.InvalidInput(field='ipv6_mode', reason=f'not one of {allowed}') from exc


def _multi_host(spec: NetworkSpec, kind: model.NetworkKind) -> bool:
    if spec.multi_host and kind is model.NetworkKind.FLAT:
        reason = 'a flat network is served by no host'
        raise exception.InvalidInput(field='multi_host', reason=reason)
    return spec.multi_host


def choose_vlan(physical_network: str, others: Sequence[records.Network], first: int) -> int:
    """The lowest VLAN from ``first`` on that is free on the physical network.

    :raises InvalidInput: there is none.
    """
    taken = {n.vlan for n in others if n.physical_network == physical_network}
    for vlan in range(first, VLAN_MAX + 1):
        if vlan not in taken:
            return vlan
    reason = f'no VLAN from {first} to {VLAN_MAX} is free on {physical_network}'
    raise exception.InvalidInput(field='vlan', reason=reason)


def _vlan(spec: NetworkSpec, kind: model.NetworkKind) -> int | None:
    if kind is not model.NetworkKind.VLAN:
        if spec.vlan is not None:
            raise exception.InvalidInput(field='vlan', reason='only a vlan network has a VLAN')
        return None
    if spec.physical_network is None:
        reason = 'a vlan network needs one'
        raise exception.InvalidInput(field='physical_network', reason=reason)
    if spec.vlan is None or not VLAN_MIN <= spec.vlan <= VLAN_MAX:
        reason = f'{spec.vlan} is not from {VLAN_MIN} to {VLAN_MAX}'
        raise exception.InvalidInput(field='vlan', reason=reason)
    return spec.vlan


def parse_routes(texts: Sequence[str]) -> tuple[model.Route, ...]:
    """Static routes, each ``range,gateway``.

    :raises InvalidInput:
    """
    if len(texts) > ROUTES_MAX:
        raise exception.InvalidInput(field='route', reason=f'there are more than {ROUTES_MAX}')
    return tuple(_parse_route(text) for text in texts)


def _parse_route(text: str) -> model.Route:
    cidr, _, gateway = text.partition(',')
    address = ranges.parse_address(gateway, 'route')
    try:
        network = netaddr.IPNetwork(cidr, version=address.version)
    except (netaddr.AddrFormatError, ValueError) as exc:
        reason = f'{text!r} is not RANGE,GATEWAY of one family'
        raise exception.InvalidInput(field='route', reason=reason) from exc
    if '/' not in cidr or not cidr.isascii() or network.ip != network.network:
        reason = f'{cidr!r} is not a range'
        raise exception.InvalidInput(field='route', reason=reason)
    if network.prefixlen == 0:
        raise exception.InvalidInput(field='route', reason='the default route is the gateway')
    return model.Route(cidr=str(network.cidr), gateway=str(address))


def _infrastructure(
    spec: NetworkSpec, cidr: Any, kind: model.NetworkKind, served: bool
) -> tuple[str | None, str | None]:
    """The gateway and the DHCP server."""
    if kind is model.NetworkKind.FLAT:
        if spec.dhcp_server is not None:
            reason = 'on a flat network nobody serves DHCP'
            raise exception.InvalidInput(field='dhcp_server', reason=reason)
        named = None if spec.gateway == NO_GATEWAY else spec.gateway
        return ranges.parse_host(named, cidr, 'gateway'), None
    server = ranges.parse_host(spec.dhcp_server, cidr, 'dhcp_server')
    if spec.gateway == NO_GATEWAY:
        return None, (server or str(cidr[1])) if served else None
    gateway = ranges.parse_host(spec.gateway, cidr, 'gateway') or str(cidr[1])
    return gateway, (server or gateway) if served else None


def parse_new_gateway(text: str, network: records.Network) -> str | None:
    """Another IPv4 gateway of a network that is there; ``'none'`` takes it away. Its DHCP server
    keeps its address, so that a gateway with another one is a router of the operator's.

    :raises InvalidInput: the network cannot have it.
    """
    if network.cidr is None:
        raise exception.InvalidInput(field='gateway', reason='there is no IPv4 range')
    if network.multi_host:
        reason = 'each host is the gateway of its own guests'
        raise exception.InvalidInput(field='gateway', reason=reason)
    if text == NO_GATEWAY:
        return None
    return ranges.parse_host(text, netaddr.IPNetwork(network.cidr), 'gateway')


def is_gateway_fixed(network: records.Network, gateway: str | None) -> bool:
    """Whether the gateway can become ``gateway`` only while no NIC is on the network. Which NIC
    has a server's default route is chosen when it is made, by which networks have a gateway; and
    where our host is the gateway without DHCP, its guests would not hear of another."""
    if gateway == network.gateway:
        return False
    ours = network.kind is not model.NetworkKind.FLAT and network.dhcp_server is None
    return ours or None in (gateway, network.gateway)


def parse_dns(servers: Sequence[str]) -> tuple[str, ...]:
    """DNS servers of both families, in canonical form.

    :raises InvalidInput:
    """
    if len(servers) > DNS_MAX:
        raise exception.InvalidInput(field='dns', reason=f'there are more than {DNS_MAX}')
    return tuple(str(ranges.parse_address(server, 'dns')) for server in servers)


def _bridge(name: str | None, uuid: str) -> str:
    if name is None:
        return model.bounded_device_name('br', uuid)
    return names.parse_device(name, 'bridge')


def _physical_network(name: str | None) -> str | None:
    return None if name is None else names.parse_token(name, 'physical_network')


def parse_mtu(mtu: int | None, *, v6: bool) -> int | None:
    """:raises InvalidInput: links of the network's families cannot have it."""
    lowest = MTU_MIN_V6 if v6 else MTU_MIN
    if mtu is not None and not lowest <= mtu <= MTU_MAX:
        raise exception.InvalidInput(field='mtu', reason=f'not from {lowest} to {MTU_MAX}')
    return mtu


def carve(
    spec: NetworkSpec,
    count: int,
    prefix_length: int | None,
    others: Sequence[records.Network],
) -> tuple[NetworkSpec, ...]:
    """``count`` networks of one size out of the ranges of ``spec``, those passed over that overlap
    ``others``. Of an IPv6 range each gets a /64.

    :raises InvalidInput: there is not so much room, or a value can belong to one network only.
    """
    if count < 1:
        raise exception.InvalidInput(field='num_networks', reason='it is less than 1')
    for field in (
        *('gateway', 'gateway_v6', 'dhcp_server', 'bridge'),
        *('allowed_start', 'allowed_end', 'fixed_cidr'),
    ):
        if getattr(spec, field) not in (None, NO_GATEWAY):
            reason = 'it can belong to one network only'
            raise exception.InvalidInput(field=field, reason=reason)
    v4 = ranges.carve_v4(spec.cidr, count, prefix_length, [n.cidr for n in others if n.cidr])
    v6 = ranges.carve_v6(spec.cidr_v6, count, [n.cidr_v6 for n in others if n.cidr_v6])
    return tuple(
        dataclasses.replace(
            spec,
            label=f'{spec.label}_{number}',
            cidr=v4[number],
            cidr_v6=v6[number],
            vlan=None if spec.vlan is None else spec.vlan + number,
        )
        for number in range(count)
    )


def check_conflict(new: records.NewNetwork, others: Sequence[records.Network]) -> None:
    """Refuse a network that cannot live beside ``others``: they share the hosts' routes, and a
    bridge or an untagged physical network carries one of them.

    :raises NetworkOverlap: naming the one in the way.
    """
    for other in others:
        for field, value, conflict in (
            ('Range', new.cidr, ranges.is_overlapping(new.cidr, other.cidr)),
            ('Range', new.cidr_v6, ranges.is_overlapping(new.cidr_v6, other.cidr_v6)),
            ('Bridge', new.bridge, new.bridge == other.bridge),
        ):
            if conflict:
                raise exception.NetworkOverlap(
                    field=field, value=value, label=other.label, network_id=other.uuid
                )
        shared = new.physical_network == other.physical_network is not None
        if shared and new.vlan == other.vlan:
            raise _same_link(new, other)


def _same_link(new: records.NewNetwork, other: records.Network) -> exception.NetworkOverlap:
    kind = exception.NetworkOverlap if new.vlan is None else exception.VlanInUse
    value = str(new.physical_network) if new.vlan is None else f'{new.physical_network}:{new.vlan}'
    return kind(field='Physical network', value=value, label=other.label, network_id=other.uuid)
