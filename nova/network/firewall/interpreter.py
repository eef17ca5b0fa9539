"""The rules of :mod:`nova.network.firewall.rules`, carried out in plain Python; pure.

This is the reference that drivers are compared with, and what explains a decision. It judges one
Ethernet frame at one NIC, without memory: that a packet belongs to an admitted connection is told
by the caller. Formats: RFC 791, 826, 2131, 4443, 4861, 8200, 8415.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress

import netaddr

from nova.network.firewall import rules

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
#: Extension headers of IPv6, and 59, behind which there is nothing (IANA's list; 44 is Fragment).
EXTENSIONS = frozenset({0, 43, 44, 51, 59, 60, 135, 139, 140, 253, 254})
#: ICMPv6 that is not for guests to send, or only in the forms below: multicast listeners and
#: routers, neighbours, redirects, renumbering, inverse neighbours, certification paths.
ICMPV6_CONTROL = frozenset({*range(130, 139), 141, 142, 143, 148, 149, 151, 152, 153})
MLD_REPORTS = frozenset({131, 132, 143})
#: What a client of DHCPv6 sends (RFC 8415, section 7.3).
DHCPV6_CLIENT = frozenset({1, 3, 4, 5, 6, 8, 9, 11})
#: What may come in fragments.
FRAGMENTED = frozenset({6, 17, 50, 58, 132})
_RS, _RA, _NS, _NA = 133, 134, 135, 136


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` names the stage that decided, ``rule_id`` the rule that did so."""

    allowed: bool
    reason: str
    rule_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A connection's first packet as far as group rules can see it. For ICMP the ports are the
    type and the code."""

    version: int
    protocol: int
    source: str
    destination: str
    source_port: int | None = None
    port: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Frame:
    source: str
    kind: int
    payload: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Packet:
    """``upper`` begins with the header of ``protocol``, or with what a later fragment carries;
    ``declared`` is the length of it that the header states."""

    version: int
    source: str
    destination: str
    hops: int
    protocol: int
    upper: bytes
    declared: int
    first: bool = True
    whole: bool = True
    behind: int | None = None

    def number(self, offset: int, size: int) -> int | None:
        """A field of the upper layer; None where it has none there."""
        part = self.upper[offset : offset + size]
        return int.from_bytes(part, 'big') if self.first and len(part) == size else None


_PASS = Verdict(True, 'first-hop')


def judge(
    frame: bytes,
    direction: rules.Direction,
    nic: rules.NicPolicy,
    ruleset: rules.Ruleset,
    *,
    established: bool = False,
) -> Verdict:
    """What becomes of a frame at this NIC."""
    verdict, packet = _first_hop(frame, direction, nic.first_hop)
    if not verdict.allowed or packet is None:
        return verdict
    if established:
        return Verdict(True, 'established')
    return GroupJudge(ruleset).judge(_flow(packet), direction, nic)


class GroupJudge:
    """What the provider rules and the groups of one ruleset say to new connections. It keeps what
    it has looked up, since there may be a hundred thousand connections to ask about."""

    def __init__(self, ruleset: rules.Ruleset) -> None:
        self._provider = ruleset.provider
        self._groups = {group.id: group for group in ruleset.groups}
        self._members: dict[tuple[str, str, int], frozenset[str]] = {}

    def judge(self, flow: Flow, direction: rules.Direction, nic: rules.NicPolicy) -> Verdict:
        """What they say to a connection of this NIC."""
        for rule in self._provider:
            if self._matches(rule, flow, direction, nic):
                return Verdict(False, 'provider', rule.id)
        if nic.groups is None:
            return Verdict(True, 'no-groups')
        for group_id in nic.groups:
            group = self._groups.get(group_id)
            for rule in group.rules if group is not None else ():
                if self._matches(rule, flow, direction, nic):
                    return Verdict(True, 'group', rule.id)
        return Verdict(False, 'group')

    def _matches(
        self,
        rule: rules.SecurityGroupRule,
        flow: Flow,
        direction: rules.Direction,
        nic: rules.NicPolicy,
    ) -> bool:
        """Whether a rule of this NIC is about this connection."""
        if rule.direction is not direction or rule.ethertype.version != flow.version:
            return False
        if rule.protocol is not None and rule.protocol != flow.protocol:
            return False
        if not _port_matches(rule, flow):
            return False
        remote = flow.source if direction is rules.Direction.INGRESS else flow.destination
        if rule.remote_cidr is not None:
            first, last = _bounds(rule.remote_cidr)
            return first <= _number(remote) <= last
        if rule.remote_group_id is not None:
            return remote in self._members_of(rule.remote_group_id, nic.network_id, flow.version)
        return True

    def _members_of(self, group_id: str, network_id: str, version: int) -> frozenset[str]:
        key = (group_id, network_id, version)
        if key not in self._members:
            group = self._groups.get(group_id)
            found = frozenset() if group is None else group.addresses(network_id, version)
            self._members[key] = found
        return self._members[key]


@functools.lru_cache(maxsize=1 << 12)
def _bounds(cidr: str) -> tuple[int, int]:
    """The first and the last address of a range."""
    network = netaddr.IPNetwork(cidr)
    return int(network.first), int(network.last)


@functools.lru_cache(maxsize=1 << 14)
def _number(address: str) -> int:
    return int(netaddr.IPAddress(address))


def _port_matches(rule: rules.SecurityGroupRule, flow: Flow) -> bool:
    if rule.icmp_type is not None and rule.icmp_type != flow.source_port:
        return False
    if rule.icmp_code is not None and rule.icmp_code != flow.port:
        return False
    if rule.port_min is None or rule.port_max is None:
        return True
    return flow.port is not None and rule.port_min <= flow.port <= rule.port_max


def _flow(packet: _Packet) -> Flow:
    first: int | None = None
    second: int | None = None
    if packet.protocol in (rules.ICMP, rules.ICMPV6):
        first, second = packet.number(0, 1), packet.number(1, 1)
    elif packet.protocol in rules.WITH_PORTS:
        first, second = packet.number(0, 2), packet.number(2, 2)
    return Flow(
        version=packet.version,
        protocol=packet.protocol,
        source=packet.source,
        destination=packet.destination,
        source_port=first,
        port=second,
    )


# --- first hop

_Result = tuple[Verdict, _Packet | None]


def _refuse(reason: str) -> _Result:
    return Verdict(False, reason), None


def _first_hop(frame: bytes, direction: rules.Direction, nic: rules.FirstHop) -> _Result:
    if len(frame) < 14:
        return _refuse('kind')
    parsed = _Frame(_mac(frame[6:12]), int.from_bytes(frame[12:14], 'big'), frame[14:])
    version = {_ARP: 4, _IPV4: 4, _IPV6: 6}.get(parsed.kind)
    if version is None or not nic.addresses(version):
        return _refuse('kind')
    if direction is rules.Direction.EGRESS and parsed.source != nic.mac:
        return _refuse('mac')
    if parsed.kind == _ARP:
        return _arp(parsed, direction, nic)
    packet = _parse_v4(parsed.payload) if version == 4 else _parse_v6(parsed.payload)
    if packet is None:
        return _refuse(f'ipv{version}')
    if direction is rules.Direction.EGRESS:
        return _v4_out(packet, nic) if version == 4 else _v6_out(packet, nic)
    return _v4_in(packet, nic) if version == 4 else _v6_in(packet, nic)


def _arp(frame: _Frame, direction: rules.Direction, nic: rules.FirstHop) -> _Result:
    if direction is rules.Direction.INGRESS:
        return _PASS, None
    arp = frame.payload[:28]
    operation = int.from_bytes(arp[6:8], 'big')
    if len(arp) < 28 or arp[:6] != bytes.fromhex('000108000604') or operation not in (1, 2):
        return _refuse('arp')
    sender, target = _v4(arp[14:18]), _v4(arp[24:28])
    is_probe = operation == 1 and sender == '0.0.0.0' and target in nic.ipv4
    nobody = target == '255.255.255.255'
    if _mac(arp[8:14]) == nic.mac and not nobody and (sender in nic.ipv4 or is_probe):
        return _PASS, None
    return _refuse('arp')


def _v4_out(packet: _Packet, nic: rules.FirstHop) -> _Result:
    if packet.protocol == rules.UDP and packet.number(2, 2) == 67:
        return _dhcp_out(packet, nic)
    if packet.source not in nic.ipv4:
        return _refuse('ipv4')
    if packet.protocol == rules.UDP and packet.number(0, 2) == 67:
        return _refuse('dhcp')
    if packet.protocol == rules.ICMP and packet.number(0, 1) in (5, 9):
        return _refuse('router')
    if packet.protocol == 2 and packet.number(0, 1) == 0x11:
        return _refuse('router')
    return _PASS, packet


def _dhcp_out(packet: _Packet, nic: rules.FirstHop) -> _Result:
    """A client's message about its own hardware address, that no relay has touched."""
    if not packet.whole or packet.number(0, 2) != 68:
        return _refuse('dhcp')
    hardware = packet.number(36, 6)
    if (packet.number(8, 1), packet.number(10, 1), packet.number(32, 4)) != (1, 6, 0):
        return _refuse('dhcp')
    if hardware is None or _mac(hardware.to_bytes(6, 'big')) != nic.mac:
        return _refuse('dhcp')
    is_new = packet.source == '0.0.0.0' and packet.destination == '255.255.255.255'
    if packet.source in nic.ipv4 or (is_new and nic.dhcp_servers):
        return _PASS, None
    return _refuse('ipv4')


def _v4_in(packet: _Packet, nic: rules.FirstHop) -> _Result:
    if packet.protocol == rules.UDP and packet.number(0, 2) == 67:
        if packet.source in nic.dhcp_servers and packet.number(2, 2) == 68:
            return _PASS, None
        return _refuse('dhcp')
    if packet.protocol == rules.ICMP and packet.number(0, 1) in (5, 9):
        return _refuse('router')
    return _PASS, packet


def _v6_out(packet: _Packet, nic: rules.FirstHop) -> _Result:
    own = packet.source in nic.ipv6
    if packet.behind == 0:
        is_report = packet.protocol == rules.ICMPV6 and packet.number(0, 1) in MLD_REPORTS
        return (_PASS, None) if is_report and (own or packet.source == '::') else _refuse('ipv6')
    if packet.protocol == rules.ICMPV6 and packet.whole:
        return _icmpv6_out(packet, nic)
    if not own:
        return _refuse('ipv6')
    if packet.protocol == rules.UDP and packet.first:
        ports = packet.number(0, 2), packet.number(2, 2)
        if ports[0] == 547 or ports[1] == 546:
            return _refuse('dhcp')
        if ports[1] == 547:
            is_client = ports[0] == 546 and packet.number(8, 1) in DHCPV6_CLIENT
            return (_PASS, None) if packet.whole and is_client else _refuse('dhcp')
    return _fragment(packet)


def _fragment(packet: _Packet) -> _Result:
    """A packet that may be one. No neighbour discovery in fragments (RFC 6980)."""
    if packet.whole:
        return _PASS, packet
    if packet.protocol not in FRAGMENTED:
        return _refuse('ipv6')
    if packet.protocol == rules.ICMPV6 and packet.first and packet.number(0, 1) not in (128, 129):
        return _refuse('ipv6')
    if packet.protocol == rules.UDP and packet.first and packet.number(0, 4) is None:
        return _refuse('ipv6')
    return _PASS, packet


def _icmpv6_out(packet: _Packet, nic: rules.FirstHop) -> _Result:
    kind = packet.number(0, 1)
    own = packet.source in nic.ipv6
    if kind not in ICMPV6_CONTROL:
        return (_PASS, packet) if own and kind is not None else _refuse('ipv6')
    if packet.hops != 255 or packet.number(1, 1) != 0:
        return _refuse('nd')
    target = _v6(packet.upper[8:24])
    if kind == _NS:
        allowed = (own and _option(packet, 24, 1, nic)) or (
            packet.source == '::' and target in nic.ipv6 and _option(packet, 24, 14, nic)
        )
    elif kind == _NA:
        allowed = own and target in nic.ipv6 and _option(packet, 24, 2, nic)
    elif kind == _RS:
        allowed = (own and _option(packet, 8, 1, nic)) or (
            packet.source == '::' and packet.declared == 8
        )
    else:
        return _refuse('router')
    return (_PASS, None) if allowed else _refuse('nd')


def _option(packet: _Packet, offset: int, kind: int, nic: rules.FirstHop) -> bool:
    """Whether the message ends at ``offset``, or has there one option of this kind and 8 octets;
    a link-layer address is the NIC's own, the content of a nonce (kind 14, RFC 7527) is free."""
    if packet.declared == offset:
        return True
    if packet.declared != offset + 8 or packet.number(offset, 2) != kind << 8 | 1:
        return False
    return kind == 14 or _mac(packet.upper[offset + 2 : offset + 8]) == nic.mac


def _v6_in(packet: _Packet, nic: rules.FirstHop) -> _Result:
    kind = packet.number(0, 1) if packet.protocol == rules.ICMPV6 else None
    if packet.behind == 0:
        is_mld = kind in MLD_REPORTS | {130}
        return (_PASS, None) if is_mld else _refuse('ipv6')
    if packet.protocol == rules.ICMPV6 and packet.whole:
        if kind == _RA and packet.source in nic.routers and packet.hops == 255:
            return _PASS, None
        if kind in (_NS, _NA) and packet.hops == 255:
            return _PASS, None
        return _refuse('router') if kind in ICMPV6_CONTROL or kind is None else (_PASS, packet)
    if packet.protocol == rules.UDP and packet.number(0, 2) == 547:
        allowed = packet.whole and packet.source in nic.dhcpv6_servers
        return (_PASS, None) if allowed and packet.number(2, 2) == 546 else _refuse('dhcp')
    return _fragment(packet)


# --- parsing


def _parse_v4(data: bytes) -> _Packet | None:
    if len(data) < 20:
        return None
    header, total = (data[0] & 15) * 4, int.from_bytes(data[2:4], 'big')
    if data[0] >> 4 != 4 or header < 20 or not header <= total <= len(data):
        return None
    fragment = int.from_bytes(data[6:8], 'big')
    return _Packet(
        version=4,
        source=_v4(data[12:16]),
        destination=_v4(data[16:20]),
        hops=data[8],
        protocol=data[9],
        upper=data[header:total],
        declared=total - header,
        first=not fragment & 0x1FFF,
        whole=not fragment & 0x3FFF,
    )


def _parse_v6(data: bytes) -> _Packet | None:
    """None also of what hides its upper-layer header: an extension header other than one
    hop-by-hop in front of ICMPv6 or one fragment header."""
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    declared, protocol = int.from_bytes(data[4:6], 'big'), data[6]
    upper, first, whole, behind = data[40 : 40 + declared], True, True, None
    if len(upper) != declared:
        return None
    if protocol in (0, 44):
        if len(upper) < 8:
            return None
        behind, skip = protocol, 8 if protocol == 44 else (upper[1] + 1) * 8
        if behind == 44:
            fragment = int.from_bytes(upper[2:4], 'big')
            first, whole = not fragment & 0xFFF8, False
        protocol, upper = upper[0], upper[skip:]
    if protocol in EXTENSIONS:
        return None
    return _Packet(
        version=6,
        source=_v6(data[8:24]),
        destination=_v6(data[24:40]),
        hops=data[7],
        protocol=protocol,
        upper=upper,
        declared=declared,
        first=first,
        whole=whole,
        behind=behind,
    )


def _mac(octets: bytes) -> str:
    return octets.hex(':')


def _v4(octets: bytes) -> str:
    return str(ipaddress.IPv4Address(octets))


def _v6(octets: bytes) -> str:
    return str(ipaddress.IPv6Address(octets)) if len(octets) == 16 else ''
