"""Which ranges, addresses and MAC addresses networks and NICs get.

Randomness is a parameter (:class:`random.Random`; the services pass ``SystemRandom``), so that
every function is a function of its arguments. Only IPv4 ranges are served so far.
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
from nova.network import model, names

#: The kinds of network that can be made, and what makes one when no kind is named.
SERVED_KINDS = (model.NetworkKind.FLAT_DHCP,)

#: Ranges from /16 (65,536 rows) to /30 (one guest beside a gateway).
PREFIX_MIN, PREFIX_MAX = 16, 30
#: Every IPv4 host takes datagrams of 576 octets (RFC 791, section 3.1); 65,535 is the largest.
MTU_MIN, MTU_MAX = 576, 65535
#: More would not fit into every DHCP answer beside the other options (RFC 2131, section 2).
DNS_MAX = 8
#: ``NetworkSpec.gateway`` of a network that leads nowhere.
NO_GATEWAY = 'none'

#: Locally known as OpenStack's; unicast.
_MAC_PREFIX = 'fa:16:3e'
_CIDR = re.compile(r'[0-9.]{7,15}/[0-9]{1,2}')
#: Ranges whose addresses mean something else to every host (RFC 6890).
_UNUSABLE = tuple(
    netaddr.IPNetwork(cidr)
    for cidr in ('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4')
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """What an operator says about a new network; what is None is decided by
    :func:`plan_network`.

    ``kind`` is a :class:`nova.network.model.NetworkKind` by its value. ``gateway`` may be
    ``'none'``. ``allowed_start`` and ``allowed_end`` bound what NICs are given.
    """

    label: str
    cidr: str
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

    Without a word about it the first address is the gateway, the gateway is the DHCP server, and
    every other address of the range may be given out.

    :raises InvalidCidr: the range, or an address that must be in it, is not usable.
    :raises InvalidName: a name has characters that it may not have.
    :raises InvalidInput: another value is wrong.
    :raises NetworkKindUnsupported:
    """
    kind = parse_kind(spec.kind)
    cidr = parse_cidr(spec.cidr)
    gateway, server = _infrastructure(spec, cidr)
    reserved = {str(cidr.network), str(cidr.broadcast), server} | ({gateway} - {None})
    start = _host_address(spec.allowed_start, cidr, 'allowed_start') or str(cidr[1])
    end = _host_address(spec.allowed_end, cidr, 'allowed_end') or str(cidr[-2])
    given = netaddr.IPRange(start, end) if _number(start) <= _number(end) else ()
    free = {str(address) for address in given} - reserved
    if not free:
        reason = f'nothing between {start} and {end} could be given to a NIC'
        raise exception.InvalidCidr(field='cidr', value=spec.cidr, reason=reason)
    in_order = sorted(free, key=_number)
    return NetworkPlan(
        network=records.NewNetwork(
            uuid=uuid,
            label=names.parse_label(spec.label),
            kind=kind,
            project_id=spec.project_id,
            cidr=str(cidr),
            gateway=gateway,
            dhcp_server=server,
            dhcp_start=in_order[0],
            dhcp_end=in_order[-1],
            dns=_dns(spec.dns),
            bridge=_bridge(spec.bridge, uuid),
            physical_network=_physical_network(spec.physical_network),
            vlan=None,
            mtu=_mtu(spec.mtu),
            multi_host=False,
        ),
        addresses=tuple((str(address), str(address) not in free) for address in cidr),
    )


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
    cidr = netaddr.IPNetwork(new.cidr)
    for other in others:
        for field, value, conflict in (
            ('Range', new.cidr, _overlap(cidr, netaddr.IPNetwork(other.cidr))),
            ('Bridge', new.bridge, new.bridge == other.bridge),
            (
                'Physical network',
                new.physical_network,
                new.physical_network is not None
                and (new.physical_network, new.vlan) == (other.physical_network, other.vlan),
            ),
        ):
            if conflict:
                raise exception.NetworkOverlap(
                    field=field, value=value, label=other.label, network_id=other.uuid
                )


def _overlap(one: Any, other: Any) -> bool:
    return one in other or other in one


def _infrastructure(spec: NetworkSpec, cidr: Any) -> tuple[str | None, str]:
    """The gateway and the DHCP server."""
    server = _host_address(spec.dhcp_server, cidr, 'dhcp_server')
    if spec.gateway == NO_GATEWAY:
        return None, server or str(cidr[1])
    gateway = _host_address(spec.gateway, cidr, 'gateway') or str(cidr[1])
    return gateway, server or gateway


def _host_address(text: str | None, cidr: Any, field: str) -> str | None:
    """``text`` in canonical form, if it is an address that a host of ``cidr`` may have."""
    if text is None:
        return None
    address = _parse_address(text, field)
    if address not in cidr or address in (cidr.network, cidr.broadcast):
        reason = f'it is not the address of a host in {cidr}'
        raise exception.InvalidCidr(field=field, value=text, reason=reason)
    return str(address)


def _parse_address(text: str, field: str) -> Any:
    if not text.isascii() or not netaddr.valid_ipv4(text, flags=netaddr.INET_PTON):
        raise exception.InvalidCidr(field=field, value=text, reason='it is not an IPv4 address')
    return netaddr.IPAddress(text, 4)


def _number(address: str) -> int:
    return int(netaddr.IPAddress(address))


def _dns(servers: Sequence[str]) -> tuple[str, ...]:
    if len(servers) > DNS_MAX:
        raise exception.InvalidInput(field='dns', reason=f'there are more than {DNS_MAX}')
    return tuple(str(_parse_address(server, 'dns')) for server in servers)


def _bridge(name: str | None, uuid: str) -> str:
    if name is None:
        return model.bounded_device_name('br', uuid)
    return names.parse_device(name, 'bridge')


def _physical_network(name: str | None) -> str | None:
    return None if name is None else names.parse_token(name, 'physical_network')


def _mtu(mtu: int | None) -> int | None:
    if mtu is not None and not MTU_MIN <= mtu <= MTU_MAX:
        raise exception.InvalidInput(field='mtu', reason=f'not from {MTU_MIN} to {MTU_MAX}')
    return mtu


# --- NICs


def choose_mac(random_source: random.Random) -> str:
    """A random MAC address of ours."""
    tail = random_source.getrandbits(24).to_bytes(3, 'big')
    return f'{_MAC_PREFIX}:{tail.hex(":")}'


def choose_default_route(networks: Sequence[records.NewNetwork]) -> int | None:
    """Which NIC gets the instance's IPv4 default route, given each NIC's network in NIC order:
    the first whose network has a gateway; None where none has."""
    return next((i for i, network in enumerate(networks) if network.gateway is not None), None)


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
    """
    for request in requested:
        if request.network_uuid not in networks:
            raise exception.NetworkNotFound(network_id=request.network_uuid)
    default = choose_default_route([networks[r.network_uuid] for r in requested])
    macs: dict[str, None] = {}
    while len(macs) < len(requested):
        macs[choose_mac(random_source)] = None
    return tuple(
        records.WantedNic(
            uuid=str(uuids.UUID(int=random_source.getrandbits(128), version=4)),
            index=index,
            network_uuid=request.network_uuid,
            mac=mac,
            default_route=index == default,
            fixed_ip=(
                None
                if request.fixed_ip is None
                else parse_fixed_ip(request.fixed_ip, networks[request.network_uuid])
            ),
            tag=request.tag,
            security_groups=request.security_groups,
        )
        for index, (request, mac) in enumerate(zip(requested, macs, strict=True))
    )


def parse_fixed_ip(text: str, network: records.NewNetwork) -> str:
    """The address ``text`` in canonical form, if a NIC on ``network`` may ask for it.

    :raises FixedIpInvalid:
    """

    def refusal(reason: str) -> exception.FixedIpInvalid:
        return exception.FixedIpInvalid(address=text, network=network.label, reason=reason)

    try:
        address = _parse_address(text, 'fixed_ip')
    except exception.InvalidCidr as exc:
        raise refusal('it is not an IPv4 address') from exc
    if address not in netaddr.IPNetwork(network.cidr):
        raise refusal(f'it is not in the range {network.cidr}')
    if not _number(network.dhcp_start) <= int(address) <= _number(network.dhcp_end):
        raise refusal(f'NICs get {network.dhcp_start} to {network.dhcp_end}')
    cidr = netaddr.IPNetwork(network.cidr)
    taken = (str(cidr.network), str(cidr.broadcast), network.gateway, network.dhcp_server)
    if str(address) in taken:
        raise refusal('it is reserved')
    return str(address)
