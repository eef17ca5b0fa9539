"""NICs of tests, and frames from and to them."""

from __future__ import annotations

import ipaddress
from typing import Any

from scapy.layers import inet, inet6, l2
from scapy.packet import Packet, Raw

from nova.network.firewall import rules

BROADCAST = 'ff:ff:ff:ff:ff:ff'
OUTSIDER_MAC, OUTSIDER_LINK_LOCAL = '02:00:00:00:00:66', 'fe80::66'


def nic(number: int, network: int | None = None, **changes: Any) -> rules.NicPolicy:
    """NIC ``number`` (from 0), alone on network ``network``, which is the number if not given:
    10.<network>.0.<number + 10>, whose DHCP server is 10.<network>.0.2."""
    net = number if network is None else network
    mac = f'fa:16:3e:00:00:{number:02x}'
    values: dict[str, Any] = {
        'vif_id': f'{number:08x}-0000-4000-8000-000000000000',
        'device': f'tap{number:08x}beef',
        'bridge': f'br10{net}',
        'network_id': f'network-{net}',
        'first_hop': rules.FirstHop(
            mac=mac,
            ipv4=(f'10.{net}.0.{number + 10}',),
            ipv6=(rules.build_link_local(mac), f'2001:db8:{net + 1:x}::{number + 10:x}'),
            dhcp_servers=(f'10.{net}.0.2',),
            routers=(f'fe80::{net + 1:x}',),
        ),
    }
    return rules.NicPolicy(**(values | changes))


def v4(policy: rules.NicPolicy) -> str:
    """Its IPv4 address."""
    return policy.first_hop.ipv4[0]


def v6(policy: rules.NicPolicy) -> str:
    """Its global IPv6 address."""
    return policy.first_hop.ipv6[1]


def link_local(policy: rules.NicPolicy) -> str:
    """Its link-local address."""
    return policy.first_hop.ipv6[0]


def raw_address(address: str) -> bytes:
    """Its octets in network order."""
    return ipaddress.ip_address(address).packed


def frame(source: str, payload: Packet | bytes, target: str = BROADCAST, **fields: Any) -> bytes:
    """An Ethernet frame, without padding, which does not survive the way of IP packets."""
    content = Raw(payload) if isinstance(payload, bytes) else payload
    return bytes(l2.Ether(src=source, dst=target, **fields) / content)


def arp(source: str, sender: str, target: str, operation: int = 1, **fields: Any) -> bytes:
    """An ARP frame whose sender hardware address is that of the frame unless given."""
    values: dict[str, Any] = {'hwsrc': source, 'psrc': sender, 'pdst': target, 'op': operation}
    return frame(source, l2.ARP(**(values | fields)))


def mark(source: str, sender: str, number: int) -> bytes:
    """A frame that passes every first-hop stage if sender and source do, unlike all others."""
    return arp(source, sender, f'198.51.{number >> 8 & 255}.{number & 255}')


def mark6(source: str, sender: str, number: int) -> bytes:
    """The same for whoever has IPv6 only: a neighbour solicitation."""
    asked = f'fe80::a:{number & 0xFFFF:x}'
    question = inet6.IPv6(src=sender, dst='ff02::1', hlim=255) / inet6.ICMPv6ND_NS(tgt=asked)
    return frame(source, question)


def udp(
    policy: rules.NicPolicy, target: rules.NicPolicy, port: int, source_port: int = 4000
) -> bytes:
    """A datagram from one NIC to another."""
    packet = inet.IP(src=v4(policy), dst=v4(target)) / inet.UDP(sport=source_port, dport=port)
    return frame(policy.first_hop.mac, packet / b'payload', target.first_hop.mac)


def udp6(
    policy: rules.NicPolicy, target: rules.NicPolicy, port: int, source_port: int = 4000
) -> bytes:
    """The same by IPv6."""
    packet = inet6.IPv6(src=v6(policy), dst=v6(target)) / inet.UDP(sport=source_port, dport=port)
    return frame(policy.first_hop.mac, packet / b'payload', target.first_hop.mac)


def tcp(
    policy: rules.NicPolicy,
    target: rules.NicPolicy,
    flags: str,
    *,
    ports: tuple[int, int],
    seq: int = 1,
    ack: int = 0,
) -> bytes:
    """A segment without data."""
    packet = inet.IP(src=v4(policy), dst=v4(target)) / inet.TCP(
        sport=ports[0], dport=ports[1], flags=flags, seq=seq, ack=ack
    )
    return frame(policy.first_hop.mac, packet, target.first_hop.mac)


def icmp(
    policy: rules.NicPolicy, target: rules.NicPolicy, kind: int = 8, code: int = 0, number: int = 7
) -> bytes:
    """An ICMP message with an id."""
    packet = inet.IP(src=v4(policy), dst=v4(target)) / inet.ICMP(type=kind, code=code, id=number)
    return frame(policy.first_hop.mac, packet / b'payload', target.first_hop.mac)
