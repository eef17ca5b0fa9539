"""Frames that no guest may send, by the name of the attack."""

from __future__ import annotations

from collections.abc import Mapping
import struct
from typing import Any

from scapy.layers import dhcp, dhcp6, inet, inet6, l2
from scapy.packet import Packet, Raw

from nova.network.firewall import rules
from nova.tests.integration.firewall import packets

_FOREIGN_MAC = 'fa:16:3e:99:99:99'
#: Rows to which :mod:`nova.tests.integration.firewall.scenes` adds what the guest's kernel does.
FORWARDING = 'Forwarding and bridging between the NICs of a guest'
OTHER_ADDRESS = 'Answers for another address of its own'
_METADATA_V4, _METADATA_V6 = '169.254.169.254', 'fe80::a9fe:a9fe'
_ALL_NODES, _ALL_NODES_MAC = 'ff02::1', '33:33:00:00:00:01'


def build_attacks(
    nic: rules.NicPolicy, other: rules.NicPolicy, victim: rules.NicPolicy
) -> Mapping[str, tuple[bytes, ...]]:
    """What ``nic`` may not send; ``other`` is another NIC of its guest, ``victim`` on its
    network."""
    own = nic.first_hop.mac
    return {
        'MAC spoofing': _mac(nic, victim),
        'ARP spoofing': _arp(nic, other, victim),
        'IPv4 spoofing': _ipv4(nic, other, victim),
        'IPv6 spoofing': _ipv6(nic, other, victim),
        'Neighbour discovery spoofing': _neighbours(nic, other, victim),
        'Rogue router': _routers(nic),
        'Router advertisement behind extension headers and fragments (RFC 7113, RFC 6980)': (
            _evasions(nic)
        ),
        'ICMP redirect': _redirects(nic, victim),
        'Rogue DHCP server': _servers(nic, victim),
        'DHCP relay and client-id abuse': _clients(nic),
        'VLAN tags (priority, single, double)': _tags(nic, victim),
        'LLC, SNAP and bad lengths': _llc(nic),
        'Spanning tree, LLDP and other link protocols': _links(nic),
        FORWARDING: (
            packets.udp(other, victim, 9),
            packets.frame(
                own, inet.IP(src=packets.v4(other), dst=packets.v4(victim)) / inet.ICMP()
            ),
            packets.frame(
                own, inet6.IPv6(src=packets.v6(other), dst=packets.v6(victim)) / inet.UDP()
            ),
        ),
        OTHER_ADDRESS: (
            packets.arp(own, packets.v4(other), packets.v4(victim), 2),
            packets.frame(
                own, inet.IP(src=packets.v4(other), dst=packets.v4(victim)) / inet.TCP(flags='SA')
            ),
        ),
        'Metadata of another guest': _metadata(nic, other, victim),
        'Multicast querier': (
            packets.frame(
                own,
                inet.IP(src=packets.v4(nic), dst='224.0.0.1', proto=2)
                / Raw(b'\x11\x64\xee\x9b\0\0\0\0'),
            ),
            packets.frame(
                own,
                inet6.IPv6(src=packets.link_local(nic), dst=_ALL_NODES, hlim=1)
                / inet6.IPv6ExtHdrHopByHop(options=[inet6.RouterAlert()])
                / inet6.ICMPv6MLQuery(),
            ),
        ),
    }


def _mac(nic: rules.NicPolicy, victim: rules.NicPolicy) -> tuple[bytes, ...]:
    packet = inet.IP(src=packets.v4(nic), dst=packets.v4(victim)) / inet.UDP(sport=1, dport=2)
    packet6 = inet6.IPv6(src=packets.v6(nic), dst=packets.v6(victim)) / inet.UDP(sport=1, dport=2)
    return (
        packets.frame(_FOREIGN_MAC, packet),
        packets.frame(_FOREIGN_MAC, packet6),
        packets.frame(victim.first_hop.mac, packet),
        packets.arp(_FOREIGN_MAC, packets.v4(nic), packets.v4(victim)),
        packets.frame(_FOREIGN_MAC, b'lldp', type=0x88CC),
        packets.frame(_FOREIGN_MAC, b'experiment', type=0x88B5),
        # To where a bridge listens itself, and learns.
        packets.frame(_FOREIGN_MAC, b'lldp', '01:80:c2:00:00:0e', type=0x88CC),
        packets.frame(_FOREIGN_MAC, b'pause', '01:80:c2:00:00:01', type=0x8808),
    )


def _arp(
    nic: rules.NicPolicy, other: rules.NicPolicy, victim: rules.NicPolicy
) -> tuple[bytes, ...]:
    own, target = nic.first_hop.mac, packets.v4(victim)
    gateway = f'{target.rpartition(".")[0]}.1'
    return (
        packets.arp(own, target, gateway, 2),
        packets.arp(own, target, gateway, 1),
        packets.arp(own, target, target, 1),
        packets.arp(own, gateway, gateway, 2),
        packets.arp(own, '0.0.0.0', target, 1),
        packets.arp(own, packets.v4(other), target, 2),
        packets.arp(own, packets.v4(nic), target, 2, hwsrc=_FOREIGN_MAC),
        packets.arp(own, packets.v4(nic), target, 1, hwsrc=victim.first_hop.mac),
        packets.arp(own, packets.v4(nic), target, 3),
        packets.arp(own, packets.v4(nic), target, 1, hwtype=6),
        packets.arp(own, packets.v4(nic), target, 1)[:34],
    )


def _ipv4(
    nic: rules.NicPolicy, other: rules.NicPolicy, victim: rules.NicPolicy
) -> tuple[bytes, ...]:
    own, target = nic.first_hop.mac, packets.v4(victim)
    sources = (target, packets.v4(other), '192.0.2.1', '127.0.0.1', '255.255.255.255', '224.0.0.1')
    spoofed = [inet.IP(src=source, dst=target) / inet.UDP(sport=5, dport=6) for source in sources]
    nobody = inet.IP(src='0.0.0.0', dst='255.255.255.255')
    spoofed += [
        nobody / inet.UDP(sport=68, dport=69),
        nobody / inet.UDP(sport=5, dport=6),
        nobody / inet.TCP(sport=68, dport=67),
        nobody / inet.ICMP(),
        inet.IP(src='0.0.0.0', dst=target) / inet.UDP(sport=68, dport=67) / _bootp(own),
        inet.IP(src=target, dst='192.0.2.1', options=[inet.IPOption_NOP()] * 4) / inet.UDP(),
        inet.IP(src=target, dst='192.0.2.1', flags='MF') / inet.UDP() / (b'x' * 16),
        inet.IP(src=target, dst='192.0.2.1', frag=2) / (b'x' * 16),
        inet.IP(src=packets.v4(nic), dst=target, version=5) / inet.UDP(),
        inet.IP(src=packets.v4(nic), dst=target, ihl=4) / inet.UDP(),
    ]
    return tuple(packets.frame(own, packet) for packet in spoofed)


def _ipv6(
    nic: rules.NicPolicy, other: rules.NicPolicy, victim: rules.NicPolicy
) -> tuple[bytes, ...]:
    own, target = nic.first_hop.mac, packets.v6(victim)
    sources = (
        target,
        packets.v6(other),
        packets.link_local(victim),
        packets.OUTSIDER_LINK_LOCAL,
        '2001:db8:ffff::1',
        '::',
        '::1',
        f'::ffff:{packets.v4(nic)}',
    )
    return tuple(
        packets.frame(own, inet6.IPv6(src=source, dst=target) / upper)
        for source in sources
        for upper in (inet.UDP(sport=5, dport=6), inet6.ICMPv6EchoRequest())
    )


def _neighbours(
    nic: rules.NicPolicy, other: rules.NicPolicy, victim: rules.NicPolicy
) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    mine, theirs = packets.v6(nic), packets.v6(victim)
    own_option = inet6.ICMPv6NDOptDstLLAddr(lladdr=own)
    foreign_source = inet6.ICMPv6NDOptSrcLLAddr(lladdr=_FOREIGN_MAC)
    foreign_target = inet6.ICMPv6NDOptDstLLAddr(lladdr=_FOREIGN_MAC)
    found: list[Packet] = [
        _ip6(mine) / inet6.ICMPv6ND_NA(tgt=theirs, O=1) / own_option,
        _ip6(mine) / inet6.ICMPv6ND_NA(tgt=packets.v6(other), O=1) / own_option,
        _ip6(theirs) / inet6.ICMPv6ND_NA(tgt=theirs, O=1) / own_option,
        _ip6(theirs) / inet6.ICMPv6ND_NA(tgt=mine),
        _ip6(mine) / inet6.ICMPv6ND_NA(tgt=mine, O=1) / foreign_target,
        _ip6(mine) / inet6.ICMPv6ND_NA(tgt=mine, O=1) / own_option / foreign_target,
        _ip6(mine, hops=64) / inet6.ICMPv6ND_NA(tgt=mine),
        _ip6(mine) / inet6.ICMPv6ND_NS(tgt=theirs) / foreign_source,
        _ip6(theirs) / inet6.ICMPv6ND_NS(tgt=mine),
        _ip6('::') / inet6.ICMPv6ND_NS(tgt=theirs),
        _ip6('::') / inet6.ICMPv6ND_NS(tgt=mine) / inet6.ICMPv6NDOptSrcLLAddr(lladdr=own),
        _ip6(mine) / inet6.ICMPv6ND_RS() / foreign_source,
        _ip6(theirs) / inet6.ICMPv6ND_RS(),
        _ip6('::') / inet6.ICMPv6ND_RS() / foreign_source,
        _ip6(mine) / inet6.IPv6ExtHdrDestOpt() / inet6.ICMPv6ND_NA(tgt=theirs),
        _ip6(mine) / inet6.IPv6ExtHdrFragment() / inet6.ICMPv6ND_NA(tgt=theirs),
    ]
    return tuple(packets.frame(own, packet, _ALL_NODES_MAC) for packet in found)


def _ip6(source: str, target: str = _ALL_NODES, hops: int = 255) -> Packet:
    return inet6.IPv6(src=source, dst=target, hlim=hops)


def _advert() -> Packet:
    return inet6.ICMPv6ND_RA() / inet6.ICMPv6NDOptPrefixInfo(prefix='2001:db8:bad::', prefixlen=64)


def _routers(nic: rules.NicPolicy) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    found = [
        _ip6(source, target) / _advert()
        for source in (packets.link_local(nic), nic.first_hop.routers[0], packets.v6(nic))
        for target in (_ALL_NODES, packets.OUTSIDER_LINK_LOCAL)
    ]
    v4 = inet.IP(src=packets.v4(nic), dst='224.0.0.1')
    found += [v4 / inet.ICMP(type=9), _ip6(packets.link_local(nic)) / _upper(138)]
    return tuple(packets.frame(own, packet, _ALL_NODES_MAC) for packet in found)


def _upper(kind: int) -> Packet:
    return inet6.ICMPv6Unknown(type=kind)


def _evasions(nic: rules.NicPolicy) -> tuple[bytes, ...]:
    base = _ip6(packets.link_local(nic))
    # The checksum is of the whole message, whatever it is behind or cut into.
    message = bytes(inet6.IPv6(bytes(base / _advert())).payload)
    headers: tuple[tuple[bytes, ...], ...] = (
        (b'\0',),
        (b'\x3c',),
        (b'\0', b'\x3c'),
        (b'\x3c', b'\x3c', b'\x3c'),
        (b'\x2b',),
        (b'\x33',),
        (b'\x87',),
        (b'\x8b',),
        (b'\x8c',),
        (b'\0', b'\0'),
    )
    found = [_chain(base, chain, message) for chain in headers]
    for before in ((), (b'\x3c',), (b'\0',)):
        for inner in ((), (b'\x3c',)):
            found += _fragments(base, before, inner, message)
    return tuple(packets.frame(nic.first_hop.mac, packet, _ALL_NODES_MAC) for packet in found)


def _options(kind: bytes, following: int) -> bytes:
    """A header of 8 octets: padding for options, and for AH one of 12 + 4."""
    if kind == b'\x33':
        return bytes((following, 2)) + bytes(14)
    return bytes((following, 0)) + b'\x01\x04\0\0\0\0'


def _wrap(chain: tuple[bytes, ...], last: int) -> tuple[int, bytes]:
    """The first next-header value, and the headers."""
    kinds = [kind[0] for kind in chain] + [last]
    return kinds[0], b''.join(
        _options(kind, following) for kind, following in zip(chain, kinds[1:], strict=True)
    )


def _chain(base: Packet, chain: tuple[bytes, ...], message: bytes) -> Packet:
    first, headers = _wrap(chain, 58)
    packet = base.copy()
    packet.nh = first
    return packet / Raw(headers + message)


def _fragments(
    base: Packet, before: tuple[bytes, ...], inner: tuple[bytes, ...], message: bytes
) -> list[Packet]:
    """An atomic one, two, a first one without the upper header, and overlapping ones."""
    kind, headers = _wrap(inner, 58)
    whole = headers + message
    pieces = (
        (0, whole, False),
        (0, whole[:8], True),
        (0, whole[:16], True),
        (0, bytes(8) + whole[8:], True),
        (0, b'\x80\0' + whole[2:], True) if inner else (0, whole, True),
    )
    found = []
    for offset, content, more in pieces:
        first, outer = _wrap(before, 44)
        header = struct.pack('!BBHI', kind, 0, offset | more, 0x1234)
        packet = base.copy()
        packet.nh = first
        found.append(packet / Raw(outer + header + content))
    return found


def _redirects(nic: rules.NicPolicy, victim: rules.NicPolicy) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    inner = inet.IP(src=packets.v4(victim), dst='192.0.2.1') / inet.UDP()
    found = [
        inet.IP(src=packets.v4(nic), dst=packets.v4(victim)) / inet.ICMP(type=5, code=1) / inner,
        *(
            _ip6(source, packets.v6(victim)) / inet6.ICMPv6ND_Redirect(dst='2001:db8:bad::1')
            for source in (packets.link_local(nic), nic.first_hop.routers[0])
        ),
        _ip6(packets.link_local(nic), packets.v6(victim))
        / inet6.IPv6ExtHdrDestOpt()
        / inet6.ICMPv6ND_Redirect(dst='2001:db8:bad::1'),
    ]
    return tuple(packets.frame(own, packet, victim.first_hop.mac) for packet in found)


def _bootp(mac: str, **fields: Any) -> Packet:
    values: dict[str, Any] = {'op': 1, 'chaddr': bytes.fromhex(mac.replace(':', ''))}
    return dhcp.BOOTP(**(values | fields)) / dhcp.DHCP(
        options=[('message-type', 'discover'), 'end']
    )


def _servers(nic: rules.NicPolicy, victim: rules.NicPolicy) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    mine = inet.IP(src=packets.v4(nic), dst='255.255.255.255')
    mine6 = inet6.IPv6(src=packets.link_local(nic), dst=packets.link_local(victim))
    offer = dhcp.BOOTP(op=2, yiaddr='10.9.9.9') / dhcp.DHCP(
        options=[('message-type', 'offer'), 'end']
    )
    found = [
        mine / inet.UDP(sport=67, dport=68) / offer,
        mine / inet.UDP(sport=67, dport=1068) / offer,
        inet.IP(src=nic.first_hop.dhcp_servers[0], dst='255.255.255.255')
        / inet.UDP(sport=67, dport=68)
        / offer,
        inet.IP(src=packets.v4(nic), dst='255.255.255.255', flags='MF')
        / inet.UDP(sport=67, dport=68)
        / offer,
        inet.IP(src=packets.v4(nic), dst='255.255.255.255', options=[inet.IPOption_NOP()] * 4)
        / inet.UDP(sport=67, dport=68)
        / offer,
        mine6 / inet.UDP(sport=547, dport=546) / dhcp6.DHCP6_Advertise(),
        mine6 / inet.UDP(sport=1547, dport=546) / dhcp6.DHCP6_Reply(),
        mine6 / inet6.IPv6ExtHdrDestOpt() / inet.UDP(sport=547, dport=546) / dhcp6.DHCP6_Reply(),
        mine6 / inet6.IPv6ExtHdrFragment() / inet.UDP(sport=547, dport=546) / dhcp6.DHCP6_Reply(),
    ]
    return tuple(packets.frame(own, packet) for packet in found)


def _clients(nic: rules.NicPolicy) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    anyone = inet.IP(src='0.0.0.0', dst='255.255.255.255')
    mine = inet.IP(src=packets.v4(nic), dst=nic.first_hop.dhcp_servers[0])
    mine6 = inet6.IPv6(src=packets.link_local(nic), dst='ff02::1:2')
    found = [
        anyone / inet.UDP(sport=68, dport=67) / _bootp(_FOREIGN_MAC),
        mine / inet.UDP(sport=68, dport=67) / _bootp(_FOREIGN_MAC),
        mine / inet.UDP(sport=68, dport=67) / _bootp(own, giaddr=packets.v4(nic)),
        mine / inet.UDP(sport=67, dport=67) / _bootp(own, giaddr=packets.v4(nic)),
        mine / inet.UDP(sport=1068, dport=67) / _bootp(own),
        mine / inet.UDP(sport=68, dport=67) / _bootp(own, hlen=16),
        mine / inet.UDP(sport=68, dport=67) / (b'\1\1\6\0' + bytes(20)),
        mine6 / inet.UDP(sport=547, dport=547) / dhcp6.DHCP6_RelayForward(),
        mine6 / inet.UDP(sport=546, dport=547) / dhcp6.DHCP6_RelayForward(),
    ]
    return tuple(packets.frame(own, packet) for packet in found)


def _tags(nic: rules.NicPolicy, victim: rules.NicPolicy) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    honest = l2.ARP(hwsrc=own, psrc=packets.v4(nic), pdst=packets.v4(victim))
    spoofed = l2.ARP(hwsrc=own, psrc=packets.v4(victim), pdst=packets.v4(nic), op=2)
    advert = _ip6(packets.link_local(nic)) / _advert()
    found: list[bytes] = []
    for content in (honest, spoofed, advert):
        kind = 0x86DD if content is advert else 0x0806
        for tags in ((0,), (7,), (0, 0), (0, 0, 0), (7, 8)):
            for outer in (0x8100, 0x88A8):
                inner: Packet = content
                following = kind
                for number in reversed(tags):
                    inner = l2.Dot1Q(vlan=number, type=following) / inner
                    following = 0x8100
                found.append(packets.frame(own, inner, type=outer))
    return tuple(found)


def _llc(nic: rules.NicPolicy) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    content = bytes(_ip6(packets.link_local(nic)) / _advert())
    snap = bytes(l2.LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / l2.SNAP(OUI=0, code=0x86DD)) + content
    return (
        packets.frame(own, snap, type=len(snap)),
        packets.frame(own, snap, type=1500),
        packets.frame(own, snap, type=0),
        packets.frame(own, snap, type=1535),
        packets.frame(own, bytes(l2.LLC(dsap=0xF0, ssap=0xF0, ctrl=3)) + content, type=46),
    )


def _links(nic: rules.NicPolicy) -> tuple[bytes, ...]:
    own = nic.first_hop.mac
    bpdu = bytes(l2.LLC(dsap=0x42, ssap=0x42, ctrl=3) / l2.STP(rootid=0, bridgeid=0))
    pvst = bytes(l2.LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / l2.SNAP(OUI=0x0C, code=0x010B)) + bpdu[3:]
    return (
        packets.frame(own, bpdu, '01:80:c2:00:00:00', type=len(bpdu)),
        packets.frame(own, pvst, '01:00:0c:cc:cc:cd', type=len(pvst)),
        packets.frame(own, b'\x02\x07\x04' + bytes(20), '01:80:c2:00:00:0e', type=0x88CC),
        packets.frame(own, b'\x02\x07\x04' + bytes(20), type=0x88CC),
        packets.frame(own, bytes(46), type=0x88E5),
        packets.frame(own, bytes(46), type=0x88B5),
        packets.frame(own, bytes(46), type=0x8847),
        packets.frame(own, bytes(46), type=0x8863),
        packets.frame(own, bytes(46), type=0x8035),
    )


def _metadata(
    nic: rules.NicPolicy, other: rules.NicPolicy, victim: rules.NicPolicy
) -> tuple[bytes, ...]:
    """Questions in another's name, and answers to others in the server's."""
    own = nic.first_hop.mac
    question = inet.TCP(sport=5000, dport=80, flags='S')
    answer = inet.TCP(sport=80, dport=5000, flags='SA')
    found = [
        *(inet.IP(src=packets.v4(who), dst=_METADATA_V4) / question for who in (victim, other)),
        *(
            inet6.IPv6(src=packets.link_local(who), dst=_METADATA_V6) / question
            for who in (victim, other)
        ),
        inet.IP(src=_METADATA_V4, dst=packets.v4(victim)) / answer,
        inet6.IPv6(src=_METADATA_V6, dst=packets.link_local(victim)) / answer,
        _ip6(packets.v6(nic)) / inet6.ICMPv6ND_NA(tgt=_METADATA_V6, O=1),
    ]
    return (
        *(packets.frame(own, packet) for packet in found),
        packets.arp(own, _METADATA_V4, packets.v4(victim), 2),
    )
