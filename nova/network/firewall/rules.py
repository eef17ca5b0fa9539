"""What may pass on a NIC, said without regard to who makes it so; pure.

A frame that a guest sends has to pass the first-hop stage (:class:`FirstHop`: the NIC speaks only
with its own addresses and is a client, never a router or a server), then the provider rules, then
the security groups of its NIC. A frame to the guest passes them likewise. The stages are apart on
purpose: no group rule can admit what the first-hop stage refuses (CVE-2025-52890 was a firewall
in which one could).

Groups only ever admit, in one direction for new connections; what belongs to an admitted
connection passes in both. Members of a group are a set, which rules refer to by the group's id.

:mod:`nova.network.firewall.interpreter` says precisely what all this means for a given packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import enum

import netaddr

from nova import exception, primitive
from nova.network import model

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

#: Names of https://www.iana.org/assignments/protocol-numbers that a rule may use.
PROTOCOLS: Mapping[str, int] = {
    'icmp': ICMP,
    'igmp': 2,
    'tcp': TCP,
    'egp': 8,
    'udp': UDP,
    'dccp': 33,
    'rsvp': 46,
    'gre': 47,
    'esp': 50,
    'ah': 51,
    'icmpv6': ICMPV6,
    'ipv6-icmp': ICMPV6,
    'ospf': 89,
    'pgm': 113,
    'vrrp': 112,
    'sctp': 132,
    'udplite': 136,
}
#: Protocols whose headers begin with a source and a destination port.
WITH_PORTS = frozenset({TCP, UDP, PROTOCOLS['dccp'], PROTOCOLS['sctp'], PROTOCOLS['udplite']})


class Direction(enum.StrEnum):
    """As the guest sees it."""

    INGRESS = 'ingress'
    EGRESS = 'egress'


class EtherType(enum.StrEnum):
    """The family of addresses that a rule is about."""

    IPV4 = 'IPv4'
    IPV6 = 'IPv6'

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if self is EtherType.IPV4 else 6


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupRule:
    """Admits new connections that match all that is not None; made by :func:`parse_rule`.

    ``protocol`` is a number of IP. ``port_min`` and ``port_max`` are destination ports.
    ``remote_cidr`` and ``remote_group_id`` say who is at the other end, at most one of them.
    """

    id: str
    direction: Direction
    ethertype: EtherType
    protocol: int | None = None
    port_min: int | None = None
    port_max: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    remote_cidr: str | None = None
    remote_group_id: str | None = None


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """An address of a member, as the NICs on network ``network_id`` see it. Networks may overlap:
    an address on one of them is not the same on another."""

    network_id: str
    address: str


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """``members`` need be filled in only for groups that a rule refers to."""

    id: str
    rules: tuple[SecurityGroupRule, ...] = ()
    members: tuple[GroupMember, ...] = ()

    def addresses(self, network_id: str, version: int) -> frozenset[str]:
        """The set of one family that a rule of a NIC on this network means."""
        return frozenset(
            m.address
            for m in self.members
            if m.network_id == network_id and (':' in m.address) is (version == 6)
        )


def keep_members(old: SecurityGroup | None, new: SecurityGroup) -> SecurityGroup:
    """The new group, with the old one's members if they are equal. What is the same object is found
    equal at once, and whoever looks for what has changed in a large group compares thousands."""
    if old is None or old.members is new.members or old.members != new.members:
        return new
    return dataclasses.replace(new, members=old.members)


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """All that the NICs of a host refer to. What matches one of ``provider`` is dropped on every
    NIC before its groups are asked."""

    groups: tuple[SecurityGroup, ...] = ()
    provider: tuple[SecurityGroupRule, ...] = ()

    def group(self, group_id: str) -> SecurityGroup | None:
        """The group of this id, or None."""
        return next((group for group in self.groups if group.id == group_id), None)

    def only_for(self, nics: Iterable[NicPolicy]) -> Ruleset:
        """What these NICs refer to: their groups, and those that the rules of theirs name."""
        own = {group_id for nic in nics for group_id in nic.groups or ()}
        named = {
            rule.remote_group_id for group in self.groups if group.id in own for rule in group.rules
        }
        kept = tuple(group for group in self.groups if group.id in own or group.id in named)
        return dataclasses.replace(self, groups=kept)


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FirstHop:
    """Who a NIC is. Without an address of a family it may not speak that family at all.

    ``ipv6`` includes the link-local address that follows from the MAC (RFC 4291, appendix A).
    """

    mac: str
    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    dhcp_servers: tuple[str, ...] = ()
    dhcpv6_servers: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()

    def addresses(self, version: int) -> tuple[str, ...]:
        """Its own addresses of IP ``version`` 4 or 6."""
        return self.ipv4 if version == 4 else self.ipv6


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NicPolicy:
    """What one NIC may do. ``groups`` are ids; none at all (``()``) admits nothing, and None means
    that security groups do not apply to this NIC."""

    vif_id: str
    device: str
    bridge: str
    network_id: str
    first_hop: FirstHop
    groups: tuple[str, ...] | None = None


_NOTHING: tuple[int | None, int | None] = (None, None)


def build_nic_policy(vif: model.VIF, groups: Iterable[str] | None = None) -> NicPolicy:
    """The policy of a NIC, from the same snapshot that its DHCP answers are made of."""
    v4, v6 = vif.network.subnet(4), vif.network.subnet(6)
    link_local = build_link_local(vif.mac)
    ipv6 = vif.addresses_of(6)
    first_hop = FirstHop(
        mac=vif.mac,
        ipv4=vif.addresses_of(4),
        ipv6=(link_local, *(a for a in ipv6 if a != link_local)) if ipv6 else (),
        dhcp_servers=_present(v4.dhcp_server) if v4 else (),
        dhcpv6_servers=_present(v6.ra_server) if v6 else (),
        routers=_present(v6.ra_server) if v6 else (),
    )
    return NicPolicy(
        vif_id=vif.id,
        device=vif.device,
        bridge=vif.network.bridge,
        network_id=vif.network.id,
        first_hop=first_hop,
        groups=None if groups is None else tuple(sorted(set(groups))),
    )


def build_link_local(mac: str) -> str:
    """The link-local address of an interface with this MAC (RFC 4291, appendix A)."""
    return str(netaddr.EUI(mac).ipv6_link_local())


def _present(address: str | None) -> tuple[str, ...]:
    return () if address is None else (address,)


def parse_rule(
    *,
    rule_id: str,
    direction: str,
    ethertype: str | None = None,
    protocol: str | int | None = None,
    port_min: int | None = None,
    port_max: int | None = None,
    remote_cidr: str | None = None,
    remote_group_id: str | None = None,
) -> SecurityGroupRule:
    """A rule as users write it.

    For ICMP and ICMPv6 the ports are the type and the code. -1 means any, for ports as for the
    protocol. ``ethertype`` follows from the range when it is not given, else from the protocol,
    and is IPv4 in the end. ``icmp`` means ICMPv6 where the ethertype is IPv6.

    :raises InvalidInput: with ``field`` as the parameter is called here.
    """
    way = _parse_direction(direction)
    cidr = None if remote_cidr is None else _parse_cidr(remote_cidr)
    if cidr is not None and remote_group_id is not None:
        raise _invalid('remote_group_id', 'a rule has a range or a group at its other end')
    number = _parse_protocol(protocol)
    family = _parse_ethertype(ethertype, cidr, number)
    if number == ICMP and family is EtherType.IPV6:
        number = ICMPV6
    if number == ICMPV6 and family is EtherType.IPV4:
        raise _invalid('ethertype', 'ICMPv6 is of IPv6')
    low, high = _any(port_min), _any(port_max)
    icmp, ports = _NOTHING, _NOTHING
    if number in (ICMP, ICMPV6):
        icmp = _parse_icmp(low, high)
    else:
        ports = _parse_ports(number, low, high)
    return SecurityGroupRule(
        id=rule_id,
        direction=way,
        ethertype=family,
        protocol=number,
        port_min=ports[0],
        port_max=ports[1],
        icmp_type=icmp[0],
        icmp_code=icmp[1],
        remote_cidr=None if cidr is None or cidr.prefixlen == 0 else str(cidr),
        remote_group_id=remote_group_id,
    )


def _parse_direction(text: str) -> Direction:
    try:
        return Direction(text)
    except ValueError as exc:
        raise _invalid('direction', 'it is ingress or egress') from exc


def _parse_cidr(text: str) -> netaddr.IPNetwork:
    try:
        network = netaddr.IPNetwork(text)
    except (netaddr.AddrFormatError, ValueError, TypeError) as exc:
        raise _invalid('remote_cidr', 'it is not an address or a range') from exc
    if network.version == 6 and network.is_ipv4_mapped():
        raise _invalid('remote_cidr', 'write an IPv4 range as such')
    return network.cidr


def _parse_protocol(protocol: str | int | None) -> int | None:
    if protocol is None:
        return None
    text = str(protocol).strip().lower()
    if text in ('', '-1', 'any'):
        return None
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if text.isascii() and text.isdecimal() and 0 <= int(text[:8]) <= 255 and len(text) <= 3:
        return int(text)
    raise _invalid('protocol', f'it is a number from 0 to 255 or one of {", ".join(PROTOCOLS)}')


def _parse_ethertype(
    text: str | None, cidr: netaddr.IPNetwork | None, protocol: int | None
) -> EtherType:
    if text is None:
        is_v6 = protocol == ICMPV6 if cidr is None else cidr.version == 6
        return EtherType.IPV6 if is_v6 else EtherType.IPV4
    known = {family.lower(): family for family in EtherType}
    if text.lower() not in known:
        raise _invalid('ethertype', 'it is IPv4 or IPv6')
    family = known[text.lower()]
    if cidr is not None and cidr.version != family.version:
        raise _invalid('remote_cidr', f'it is not of {family}')
    return family


def _any(number: int | None) -> int | None:
    return None if number == -1 else number


def _parse_icmp(kind: int | None, code: int | None) -> tuple[int | None, int | None]:
    for field, value in (('port_min', kind), ('port_max', code)):
        if value is not None and not 0 <= value <= 255:
            raise _invalid(field, 'ICMP types and codes are 0 to 255')
    if code is not None and kind is None:
        raise _invalid('port_min', 'a code is that of a type')
    return kind, code


def _parse_ports(
    protocol: int | None, low: int | None, high: int | None
) -> tuple[int | None, int | None]:
    if low is None and high is None:
        return None, None
    if protocol not in WITH_PORTS:
        raise _invalid('protocol', 'ports need tcp, udp, udplite, sctp or dccp')
    low, high = (high if low is None else low), (low if high is None else high)
    for field, value in (('port_min', low), ('port_max', high)):
        if value is None or not 0 <= value <= 65535:
            raise _invalid(field, 'ports are 0 to 65535')
    if low is not None and high is not None and low > high:
        raise _invalid('port_max', 'it is below port_min')
    if (low, high) == (0, 65535):
        return None, None
    return low, high


def _invalid(field: str, reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(field=field, reason=reason)
