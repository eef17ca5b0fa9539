"""What a NIC may do, and why a packet passes or not, in words; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import ipaddress

import netaddr

from nova import exception
from nova.network.firewall import interpreter, rules

#: What is said of a frame that was dropped, by the reason of its verdict and counter.
REASONS: Mapping[str, str] = {
    'kind': 'it is not ARP, IPv4 or IPv6, or of a family of which the NIC has no address',
    'mac': "its source MAC address is not the NIC's",
    'arp': 'ARP that does not speak for an address of the NIC',
    'ipv4': "its IPv4 source is no address of the NIC's, or its header is not one",
    'ipv6': "its IPv6 source is no address of the NIC's, or an extension header hides something",
    'nd': "neighbour discovery for an address that is not the NIC's",
    'dhcp': 'DHCP other than that of a client with its server',
    'router': 'only routers send this, and the NIC is none',
    'provider': 'the operator forbids it on every NIC',
    'group': 'no security group of the NIC admits it',
    'host': 'it is addressed to a service of the host that is not there for guests',
}
_ADMITTED: Mapping[str, str] = {
    'first-hop': 'what every NIC needs passes without a group: ARP, neighbour discovery, DHCP',
    'no-groups': 'security groups do not apply to the NIC',
    'established': 'it belongs to a connection that was admitted',
    'group': 'a security group of the NIC admits it',
}
_PROTOCOL_NAMES = {number: name for name, number in reversed(list(rules.PROTOCOLS.items()))}
_STRANGER = '02:00:00:00:00:01'
_LISTS = (
    ('ipv4', 'its IPv4 addresses'),
    ('ipv6', 'its IPv6 addresses'),
    ('dhcp_servers', 'DHCP servers'),
    ('dhcpv6_servers', 'DHCPv6 servers'),
    ('routers', 'IPv6 routers'),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A packet as people write it. For ICMP the ports are the type and the code.

    ``mac`` is the frame's source; None: the NIC's own, or a stranger's if it comes in.
    """

    direction: rules.Direction
    protocol: str
    source: str
    target: str
    source_port: int | None = None
    port: int | None = None
    mac: str | None = None
    established: bool = False


def parse_packet(
    direction: str,
    protocol: str,
    source: str,
    target: str,
    *,
    mac: str | None = None,
    established: bool = False,
) -> Packet:
    """A packet of words: ``source`` and ``target`` are addresses or, of what has ports,
    ``ADDRESS:PORT`` (``[ADDRESS]:PORT`` of IPv6). ``protocol`` is ``arp``, or one of IP by name or
    number; ``icmp:8:0`` gives the type and the code.

    :raises InvalidInput: with ``field`` as the parameter is called here.
    """
    if direction not in tuple(rules.Direction):
        raise exception.InvalidInput(field='direction', reason='it is ingress or egress')
    name, *numbers = protocol.lower().split(':')
    first, second = _parse_end('source', source), _parse_end('target', target)
    if first[0].version != second[0].version:
        raise exception.InvalidInput(field='target', reason='it is of another family than source')
    ports = [first[1], second[1]]
    if numbers:
        if len(numbers) > 2 or not all(n.isdecimal() and int(n) < 256 for n in numbers):
            raise exception.InvalidInput(field='protocol', reason='types and codes are 0 to 255')
        ports = [int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0]
    if mac is not None and not netaddr.valid_mac(mac):
        raise exception.InvalidInput(field='mac', reason='it is not a MAC address')
    if name != 'arp':
        _number(name, first[0].version)
    elif first[0].version == 6:
        raise exception.InvalidInput(field='protocol', reason='ARP is of IPv4')
    return Packet(
        direction=rules.Direction(direction),
        protocol=name,
        source=str(first[0]),
        target=str(second[0]),
        source_port=ports[0],
        port=ports[1],
        mac=None if mac is None else str(netaddr.EUI(mac, dialect=netaddr.mac_unix_expanded)),
        established=established,
    )


def _parse_end(field: str, text: str) -> tuple[netaddr.IPAddress, int | None]:
    address, port = text, ''
    if text.startswith('['):
        address, _, port = text[1:].partition(']:')
        address = address.removesuffix(']')
    elif text.count(':') == 1:
        address, _, port = text.partition(':')
    if port and not (port.isdecimal() and int(port) <= 65535):
        raise exception.InvalidInput(field=field, reason='ports are 0 to 65535')
    try:
        found = netaddr.IPAddress(address)
    except (netaddr.AddrFormatError, ValueError) as exc:
        raise exception.InvalidInput(
            field=field, reason='it is not ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT'
        ) from exc
    return found, int(port) if port else None


def _number(name: str, version: int) -> int:
    rule = rules.parse_rule(
        rule_id='', direction='ingress', ethertype=f'IPv{version}', protocol=name
    )
    if rule.protocol is None:
        raise exception.InvalidInput(field='protocol', reason='a packet has one')
    return rule.protocol


# --- a frame of words


def build_frame(packet: Packet, nic: rules.FirstHop) -> bytes:
    """The least frame that is such a packet (RFC 826, 791, 8200); of a client of DHCP one with a
    message about the NIC. Checksums are left out: no filter looks at them."""
    is_out = packet.direction is rules.Direction.EGRESS
    mac = packet.mac or (nic.mac if is_out else _STRANGER)
    target = _STRANGER if is_out else nic.mac
    ends = ipaddress.ip_address(packet.source), ipaddress.ip_address(packet.target)
    if packet.protocol == 'arp':
        body = bytes.fromhex('0001080006040001') + _raw(mac)
        body += ends[0].packed + bytes(6) + ends[1].packed
        return _raw('ff:ff:ff:ff:ff:ff') + _raw(mac) + b'\x08\x06' + body
    version = ends[0].version
    number = _number(packet.protocol, version)
    upper = _upper(number, packet, nic)
    if version == 4:
        head = bytes([0x45, 0, *(20 + len(upper)).to_bytes(2), 0, 1, 0, 0, 64, number, 0, 0])
        kind = b'\x08\x00'
    else:
        head = bytes([0x60, 0, 0, 0, *len(upper).to_bytes(2), number, 255])
        kind = b'\x86\xdd'
    return _raw(target) + _raw(mac) + kind + head + ends[0].packed + ends[1].packed + upper


def _raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(':', ''))


def _upper(number: int, packet: Packet, nic: rules.FirstHop) -> bytes:
    first, second = packet.source_port or 0, packet.port or 0
    if number in (rules.ICMP, rules.ICMPV6):
        # With room for the target of neighbour discovery, which is the source: the best case.
        return bytes([first, second, 0, 0, 0, 0, 0, 0]) + _target(number, first, packet)
    if number == rules.UDP and second == 67:
        content = bytes([1, 1, 6]) + bytes(25) + _raw(nic.mac) + bytes(10 + 192)
    elif number == rules.UDP and second == 547:
        content = bytes([1, 0, 0, 1])
    else:
        content = bytes(12) if number == rules.TCP else b''
    ports = first.to_bytes(2) + second.to_bytes(2)
    if number == rules.UDP:
        return ports + (8 + len(content)).to_bytes(2) + bytes(2) + content
    return ports + bytes(4) + content


def _target(number: int, kind: int, packet: Packet) -> bytes:
    if number == rules.ICMPV6 and kind in (135, 136):
        return ipaddress.ip_address(packet.source).packed
    return b''


# --- the answer


def judge(packet: Packet, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> interpreter.Verdict:
    """What becomes of it, by the reference interpreter."""
    frame = build_frame(packet, nic.first_hop)
    return interpreter.judge(frame, packet.direction, nic, ruleset, established=packet.established)


def describe_verdict(
    verdict: interpreter.Verdict, ruleset: rules.Ruleset, names: Mapping[str, str]
) -> str:
    """One sentence. ``names`` are those of groups, by their ids."""
    said = _ADMITTED if verdict.allowed else REASONS
    text = f'{"passes" if verdict.allowed else "dropped"}: {said[verdict.reason]}'
    if verdict.rule_id is None:
        return text
    found = [('provider rule', rule) for rule in ruleset.provider]
    found += [
        (f'group {names.get(group.id, group.id)}', rule)
        for group in ruleset.groups
        for rule in group.rules
    ]
    told = [
        f'{of}: {describe_rule(rule, names)}' for of, rule in found if rule.id == verdict.rule_id
    ]
    return f'{text} ({told[0]}, rule {verdict.rule_id})'


def describe_rule(rule: rules.SecurityGroupRule, names: Mapping[str, str]) -> str:
    """A rule as people read it: ``ingress IPv4 tcp 22-23 from 10.0.0.0/8``."""
    words = [str(rule.direction), str(rule.ethertype)]
    if rule.protocol is not None:
        words.append(_PROTOCOL_NAMES.get(rule.protocol, f'protocol {rule.protocol}'))
    if rule.port_min is not None:
        is_one = rule.port_min == rule.port_max
        words.append(str(rule.port_min) if is_one else f'{rule.port_min}-{rule.port_max}')
    if rule.icmp_type is not None:
        code = '' if rule.icmp_code is None else f' code {rule.icmp_code}'
        words.append(f'type {rule.icmp_type}{code}')
    words.append('from' if rule.direction is rules.Direction.INGRESS else 'to')
    if rule.remote_group_id is not None:
        words.append(f'members of {names.get(rule.remote_group_id, rule.remote_group_id)}')
    else:
        words.append(rule.remote_cidr or 'anywhere')
    return ' '.join(words)


def describe_nic(
    nic: rules.NicPolicy, ruleset: rules.Ruleset, names: Mapping[str, str]
) -> Iterator[str]:
    """The effective rules of a NIC, a line each, in the order in which they are asked."""
    first_hop = nic.first_hop
    yield f'may send from {first_hop.mac} only, as a client, never as a router or a server'
    for field, words in _LISTS:
        if found := getattr(first_hop, field):
            yield f'{words}: {", ".join(found)}'
    for rule in ruleset.provider:
        yield f'drop {describe_rule(rule, names)} (provider rule {rule.id})'
    if nic.groups is None:
        yield 'accept anything else (security groups do not apply)'
        return
    yield 'accept what belongs to an admitted connection'
    for group_id in nic.groups:
        group = ruleset.group(group_id) or rules.SecurityGroup(id=group_id)
        for rule in group.rules:
            of = names.get(group_id, group_id)
            yield f'accept {describe_rule(rule, names)} (group {of}, rule {rule.id})'
            if rule.remote_group_id is not None:
                yield from _members(rule, nic, ruleset)
    yield 'drop anything else'


def _members(
    rule: rules.SecurityGroupRule, nic: rules.NicPolicy, ruleset: rules.Ruleset
) -> Iterator[str]:
    group = ruleset.group(rule.remote_group_id or '')
    found = group.addresses(nic.network_id, rule.ethertype.version) if group else frozenset()
    yield f'  members on its network: {", ".join(sorted(found)) or "none"}'
