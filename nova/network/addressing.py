"""Which ranges, addresses and MAC addresses networks and NICs get.

Randomness is a parameter (:class:`random.Random`; the services pass ``SystemRandom``), so that
every function is a function of its arguments.

An IPv6 address of a NIC is made of its MAC address (modified EUI-64), unless another was asked for:
it is the one that a guest gives itself where addresses are left to guests, and since no two NICs
have one MAC address it is free, without a search or a lock. So IPv6 ranges are /64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import random
import re
from typing import Any
import uuid as uuids

import netaddr

from nova import exception
from nova.db import records
from nova.network import info, model, names

#: The kinds of network that can be made, and what makes one when no kind is named.
SERVED_KINDS = (
    model.NetworkKind.FLAT_DHCP,
    model.NetworkKind.FLAT,
    model.NetworkKind.VLAN,
)

#: Ranges from /16 (65,536 rows) to /30 (one guest beside a gateway).
PREFIX_MIN, PREFIX_MAX = 16, 30
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

#: Locally known as OpenStack's; unicast.
_MAC_PREFIX = 'fa:16:3e'
#: What :data:`_MAC_PREFIX` makes of the last 64 bits of an address.
_MADE_OF_MAC = 0xF8163EFFFE
_CIDR = re.compile(r'[0-9.]{7,15}/[0-9]{1,2}')
_CIDR_V6 = re.compile(r'[0-9A-Fa-f:]{2,39}/64')
#: Ranges whose addresses mean something else to every host (RFC 6890).
_UNUSABLE = tuple(
    netaddr.IPNetwork(cidr)
    for cidr in ('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4')
)
#: What networks may have of IPv6: global unicast and unique local addresses (RFC 4291, RFC 4193).
_USABLE_V6 = tuple(netaddr.IPNetwork(cidr) for cidr in ('2000::/3', 'fc00::/7'))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """What an operator says about a new network; what is None is decided by
    :func:`plan_network`.

    ``kind`` is a :class:`nova.network.model.NetworkKind` by its value. ``gateway`` may be
    ``'none'``. ``allowed_start`` and ``allowed_end`` bound what IPv4 addresses NICs are given.
    A range of one family at least is needed. ``routes`` are ``range,gateway``.
    """

    label: str
    cidr: str | None
    kind: str | None = None
    project_id: str | None = None
    gateway: str | None = None
    dhcp_server: str | None = None
    allowed_start: str | None = None
    allowed_end: str | None = None
    dns: tuple[str, ...] = ()
    bridge: str | None = None
    physical_network: str | None = None
    mtu: int | None = None
    cidr_v6: str | None = None
    gateway_v6: str | None = None
    ipv6_mode: str | None = None
    routes: tuple[str, ...] = ()
    vlan: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """A network to be stored, with every address of its range and whether it is reserved."""

    network: records.NewNetwork
    addresses: tuple[tuple[str, bool], ...]


# --- networks


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

    Where we serve DHCP, the first IPv4 address is the gateway unless another is named, the gateway
    is the DHCP server, and every other address of the range may be given out. The network of an
    operator (kind ``flat``) has a gateway only if one is named.

    An IPv6 range has a gateway only if one is named, whatever the kind: an announcement of a
    router reaches all guests of a network alike, so that the operator has to choose which networks
    give a default route.

    :raises InvalidCidr: the range, or an address that must be in it, is not usable.
    :raises InvalidName: a name has characters that it may not have.
    :raises InvalidInput: another value is wrong.
    :raises NetworkKindUnsupported:
    """
    kind = parse_kind(spec.kind)
    if spec.cidr is None and spec.cidr_v6 is None:
        raise exception.InvalidInput(field='cidr', reason='a range of IPv4 or IPv6 is needed')
    v4 = _plan_v4(spec, kind)
    cidr_v6, gateway_v6, mode = _plan_v6(spec, kind)
    return NetworkPlan(
        network=records.NewNetwork(
            uuid=uuid,
            label=names.parse_label(spec.label),
            kind=kind,
            project_id=spec.project_id,
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
            multi_host=False,
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


def _plan_v4(spec: NetworkSpec, kind: model.NetworkKind) -> _V4 | None:
    if spec.cidr is None:
        for field in ('gateway', 'dhcp_server', 'allowed_start', 'allowed_end'):
            if getattr(spec, field) not in (None, NO_GATEWAY):
                raise exception.InvalidInput(field=field, reason='there is no IPv4 range')
        return None
    cidr = parse_cidr(spec.cidr)
    gateway, server = _infrastructure(spec, cidr, kind)
    reserved = {str(cidr.network), str(cidr.broadcast)} | ({gateway, server} - {None})
    start = _host_address(spec.allowed_start, cidr, 'allowed_start') or str(cidr[1])
    end = _host_address(spec.allowed_end, cidr, 'allowed_end') or str(cidr[-2])
    given = netaddr.IPRange(start, end) if _number(start) <= _number(end) else ()
    free = {str(address) for address in given} - reserved
    if not free:
        reason = f'nothing between {start} and {end} could be given to a NIC'
        raise exception.InvalidCidr(field='cidr', value=spec.cidr, reason=reason)
    return _V4(
        cidr=str(cidr),
        gateway=gateway,
        server=server,
        free=tuple(sorted(free, key=_number)),
        addresses=tuple((str(address), str(address) not in free) for address in cidr),
    )


def _plan_v6(
    spec: NetworkSpec, kind: model.NetworkKind
) -> tuple[str | None, str | None, model.Ipv6Mode | None]:
    """The IPv6 range, its gateway and the mode."""
    if spec.cidr_v6 is None:
        for field in ('gateway_v6', 'ipv6_mode'):
            if getattr(spec, field) not in (None, NO_GATEWAY):
                raise exception.InvalidInput(field=field, reason='there is no IPv6 range')
        return None, None, None
    cidr = parse_cidr_v6(spec.cidr_v6)
    gateway = None
    if spec.gateway_v6 not in (None, NO_GATEWAY):
        gateway = str(_parse_address(str(spec.gateway_v6), 'gateway_v6', 6))
        if netaddr.IPAddress(gateway) not in cidr or gateway == str(cidr.network):
            reason = f'it is not the address of a router in {cidr}'
            raise exception.InvalidCidr(field='gateway_v6', value=gateway, reason=reason)
    return str(cidr), gateway, _ipv6_mode(spec.ipv6_mode, kind)


def _ipv6_mode(text: str | None, kind: model.NetworkKind) -> model.Ipv6Mode | None:
    if kind is model.NetworkKind.FLAT:
        if text is not None:
            reason = 'on a flat network nobody announces the range'
            raise exception.InvalidInput(field='ipv6_mode', reason=reason)
        return None
    try:
        return model.Ipv6Mode(text or model.Ipv6Mode.SLAAC)
    except ValueError as exc:
        allowed = ', '.join(mode.value for mode in model.Ipv6Mode)
        raise exception.InvalidInput(field='ipv6_mode', reason=f'not one of {allowed}') from exc


def parse_cidr_v6(text: str) -> Any:
    """The IPv6 range ``text`` (``fd00:1::/64``) as a ``netaddr.IPNetwork``.

    :raises InvalidCidr:
    """

    def refusal(reason: str) -> exception.InvalidCidr:
        return exception.InvalidCidr(field='cidr_v6', value=text, reason=reason)

    if _CIDR_V6.fullmatch(text) is None:
        raise refusal('it is not an IPv6 range of /64 such as fd00:1::/64')
    try:
        network = netaddr.IPNetwork(text, version=6)
    except (netaddr.AddrFormatError, ValueError) as exc:
        raise refusal('it is not an IPv6 range of /64 such as fd00:1::/64') from exc
    if network.ip != network.network:
        raise refusal(f'it begins at {network.cidr}')
    if not any(network in usable for usable in _USABLE_V6):
        raise refusal('it holds no global and no unique local addresses')
    return network


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
    address = _parse_address(gateway, 'route')
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


def parse_cidr(text: str) -> Any:
    """The IPv4 range ``text`` (``10.0.0.0/24``) as a ``netaddr.IPNetwork``.

    :raises InvalidCidr:
    """

    def refusal(reason: str) -> exception.InvalidCidr:
        return exception.InvalidCidr(field='cidr', value=text, reason=reason)

    if _CIDR.fullmatch(text) is None:
        raise refusal('it is not an IPv4 range such as 10.0.0.0/24')
    try:
        network = netaddr.IPNetwork(text, version=4)
    except (netaddr.AddrFormatError, ValueError) as exc:
        raise refusal('it is not an IPv4 range such as 10.0.0.0/24') from exc
    if not PREFIX_MIN <= network.prefixlen <= PREFIX_MAX:
        raise refusal(f'its size must be from /{PREFIX_MIN} to /{PREFIX_MAX}')
    if network.ip != network.network:
        raise refusal(f'it begins at {network.cidr}')
    for unusable in _UNUSABLE:
        if network in unusable:
            raise refusal(f'addresses of {unusable} cannot be given to hosts')
    return network


def check_conflict(new: records.NewNetwork, others: Sequence[records.Network]) -> None:
    """Refuse a network that cannot live beside ``others``: they share the hosts' routes, and a
    bridge or an untagged physical network carries one of them.

    :raises NetworkOverlap: naming the one in the way.
    """
    for other in others:
        for field, value, conflict in (
            ('Range', new.cidr, _overlap(new.cidr, other.cidr)),
            ('Range', new.cidr_v6, _overlap(new.cidr_v6, other.cidr_v6)),
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


def _overlap(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return False
    range1, range2 = netaddr.IPNetwork(one), netaddr.IPNetwork(other)
    return range1 in range2 or range2 in range1


def _infrastructure(
    spec: NetworkSpec, cidr: Any, kind: model.NetworkKind
) -> tuple[str | None, str | None]:
    """The gateway and the DHCP server."""
    if kind is model.NetworkKind.FLAT:
        if spec.dhcp_server is not None:
            reason = 'on a flat network nobody serves DHCP'
            raise exception.InvalidInput(field='dhcp_server', reason=reason)
        named = None if spec.gateway == NO_GATEWAY else spec.gateway
        return _host_address(named, cidr, 'gateway'), None
    server = _host_address(spec.dhcp_server, cidr, 'dhcp_server')
    if spec.gateway == NO_GATEWAY:
        return None, server or str(cidr[1])
    gateway = _host_address(spec.gateway, cidr, 'gateway') or str(cidr[1])
    return gateway, server or gateway


def _host_address(text: str | None, cidr: Any, field: str) -> str | None:
    """``text`` in canonical form, if it is an address that a host of ``cidr`` may have."""
    if text is None:
        return None
    address = _parse_address(text, field, 4)
    if address not in cidr or address in (cidr.network, cidr.broadcast):
        reason = f'it is not the address of a host in {cidr}'
        raise exception.InvalidCidr(field=field, value=text, reason=reason)
    return str(address)


def _parse_address(text: str, field: str, version: int | None = None) -> Any:
    """:param version: 4 or 6; None takes both."""
    if text.isascii():
        if version != 6 and netaddr.valid_ipv4(text, flags=netaddr.INET_PTON):
            return netaddr.IPAddress(text, 4)
        if version != 4 and '%' not in text and netaddr.valid_ipv6(text):
            return netaddr.IPAddress(text, 6)
    family = 'IP' if version is None else f'IPv{version}'
    raise exception.InvalidCidr(field=field, value=text, reason=f'it is not an {family} address')


def _number(address: str) -> int:
    return int(netaddr.IPAddress(address))


def parse_dns(servers: Sequence[str]) -> tuple[str, ...]:
    """DNS servers of both families, in canonical form.

    :raises InvalidInput:
    """
    if len(servers) > DNS_MAX:
        raise exception.InvalidInput(field='dns', reason=f'there are more than {DNS_MAX}')
    return tuple(str(_parse_address(server, 'dns')) for server in servers)


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
    for field in ('gateway', 'gateway_v6', 'dhcp_server', 'allowed_start', 'allowed_end', 'bridge'):
        if getattr(spec, field) not in (None, NO_GATEWAY):
            reason = 'it can belong to one network only'
            raise exception.InvalidInput(field=field, reason=reason)
    v4 = _carve_v4(spec.cidr, count, prefix_length, [n.cidr for n in others if n.cidr])
    v6 = _carve_v6(spec.cidr_v6, count, [n.cidr_v6 for n in others if n.cidr_v6])
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


def _carve_v4(
    text: str | None, count: int, prefix_length: int | None, taken: Sequence[str]
) -> Sequence[str | None]:
    if text is None:
        return [None] * count
    try:
        whole = netaddr.IPNetwork(text, version=4)
    except (netaddr.AddrFormatError, ValueError) as exc:
        reason = 'it is not an IPv4 range'
        raise exception.InvalidCidr(field='cidr', value=text, reason=reason) from exc
    length = prefix_length or whole.prefixlen + (count - 1).bit_length()
    if not max(whole.prefixlen, PREFIX_MIN) <= length <= PREFIX_MAX:
        reason = f'networks of /{length} cannot be carved out of {whole}'
        raise exception.InvalidInput(field='network_size', reason=reason)
    return _first_free(whole, length, count, taken, 'cidr')


def _carve_v6(text: str | None, count: int, taken: Sequence[str]) -> Sequence[str | None]:
    if text is None:
        return [None] * count
    try:
        whole = netaddr.IPNetwork(text, version=6)
    except (netaddr.AddrFormatError, ValueError) as exc:
        reason = 'it is not an IPv6 range'
        raise exception.InvalidCidr(field='cidr_v6', value=text, reason=reason) from exc
    return _first_free(whole, 64, count, taken, 'cidr_v6')


def _first_free(
    whole: Any, length: int, count: int, taken: Sequence[str], field: str
) -> list[str | None]:
    found: list[str | None] = []
    ranges = [netaddr.IPNetwork(text) for text in taken]
    for part in whole.subnet(length):
        if not any(part in other or other in part for other in ranges):
            found.append(str(part))
        if len(found) == count:
            return found
    reason = f'only {len(found)} networks of /{length} are free in it'
    raise exception.InvalidCidr(field=field, value=str(whole), reason=reason)


# --- NICs


def choose_mac(random_source: random.Random) -> str:
    """A random MAC address of ours."""
    tail = random_source.getrandbits(24).to_bytes(3, 'big')
    return f'{_MAC_PREFIX}:{tail.hex(":")}'


def choose_default_route(networks: Sequence[records.NewNetwork]) -> int | None:
    """Which NIC gets the instance's IPv4 default route, given each NIC's network in NIC order:
    the first whose network has a gateway; None where none has."""
    return next((i for i, network in enumerate(networks) if network.gateway is not None), None)


def check_default_routes(networks: Sequence[records.NewNetwork]) -> None:
    """Refuse a guest with NICs on these networks, if it would have several IPv6 default routes:
    whoever is on a network with an IPv6 gateway hears of it, and there is no telling one NIC.

    :raises InvalidInput:
    """
    leading = [network.label for network in networks if network.gateway_v6 is not None]
    if len(leading) > 1:
        reason = (
            f'{" and ".join(leading)} would each give the server an IPv6 default route;'
            ' only one of its interfaces can be on a network with an IPv6 gateway'
        )
        raise exception.InvalidInput(field='networks', reason=reason)


def plan_nics(
    requested: Sequence[records.RequestedNetwork],
    networks: Mapping[str, records.NewNetwork],
    random_source: random.Random,
) -> tuple[records.WantedNic, ...]:
    """One NIC for each request, in the same order. A network may be asked for any number of
    times.

    :param networks: by uuid; those asked for are among them.
    :raises NetworkNotFound: one is not.
    :raises FixedIpInvalid: an address asked for cannot be given.
    :raises InvalidInput: see :func:`check_default_routes`.
    """
    for request in requested:
        if request.network_uuid not in networks:
            raise exception.NetworkNotFound(network_id=request.network_uuid)
    on = [networks[request.network_uuid] for request in requested]
    check_default_routes(on)
    default = choose_default_route(on)
    macs: dict[str, None] = {}
    while len(macs) < len(requested):
        macs[choose_mac(random_source)] = None
    return tuple(
        _plan_nic(index, request, networks[request.network_uuid], mac, index == default, node)
        for index, (request, mac) in enumerate(zip(requested, macs, strict=True))
        for node in [random_source.getrandbits(128)]
    )


def _plan_nic(
    index: int,
    request: records.RequestedNetwork,
    network: records.NewNetwork,
    mac: str,
    default_route: bool,
    node: int,
) -> records.WantedNic:
    asked = request.fixed_ip and parse_fixed_ip(request.fixed_ip, network)
    asked_v6 = asked if asked is not None and ':' in asked else None
    return records.WantedNic(
        uuid=str(uuids.UUID(int=node, version=4)),
        index=index,
        network_uuid=request.network_uuid,
        mac=mac,
        default_route=default_route,
        fixed_ip=None if asked_v6 else asked,
        tag=request.tag,
        security_groups=request.security_groups,
        fixed_ip_v6=asked_v6 or choose_address_v6(network, mac),
    )


def choose_address_v6(network: records.NewNetwork, mac: str) -> str | None:
    """The IPv6 address of a NIC that asks for none."""
    return None if network.cidr_v6 is None else model.mac_address_v6(network.cidr_v6, mac)


def parse_fixed_ip(text: str, network: records.NewNetwork) -> str:
    """The address ``text`` in canonical form, if a NIC on ``network`` may ask for it.

    :raises FixedIpInvalid:
    """

    def refusal(reason: str) -> exception.FixedIpInvalid:
        return exception.FixedIpInvalid(address=text, network=network.label, reason=reason)

    try:
        address = _parse_address(text, 'fixed_ip')
    except exception.InvalidCidr as exc:
        raise refusal('it is not an IP address') from exc
    reason = (
        _why_not_v4(address, network) if address.version == 4 else _why_not_v6(address, network)
    )
    if reason is not None:
        raise refusal(reason)
    return str(address)


def _why_not_v4(address: Any, network: records.NewNetwork) -> str | None:
    if network.cidr is None or network.dhcp_start is None or network.dhcp_end is None:
        return 'the network has no IPv4 range'
    cidr = netaddr.IPNetwork(network.cidr)
    if address not in cidr:
        return f'it is not in the range {network.cidr}'
    if not _number(network.dhcp_start) <= int(address) <= _number(network.dhcp_end):
        return f'NICs get {network.dhcp_start} to {network.dhcp_end}'
    taken = (str(cidr.network), str(cidr.broadcast), network.gateway, network.dhcp_server)
    return 'it is reserved' if str(address) in taken else None


def _why_not_v6(address: Any, network: records.NewNetwork) -> str | None:
    if network.cidr_v6 is None:
        return 'the network has no IPv6 range'
    cidr = netaddr.IPNetwork(network.cidr_v6)
    if address not in cidr:
        return f'it is not in the range {network.cidr_v6}'
    if network.ipv6_mode in (model.Ipv6Mode.SLAAC, model.Ipv6Mode.STATELESS):
        return 'guests of the network make their IPv6 addresses of their MAC addresses'
    taken = (str(cidr.network), network.gateway_v6, info.server_address_v6(network))
    if str(address) in taken:
        return 'it is reserved'
    if int(address) >> 24 & 0xFFFFFFFFFF == _MADE_OF_MAC:
        return 'it is kept for the NIC with that MAC address'
    return None
