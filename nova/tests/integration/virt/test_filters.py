"""What passes a NIC, judged by frames: a guest sends them, and they are looked for on its bridge;
and frames put on the bridge are looked for on its tap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import struct
import threading

import netaddr
import pytest

from lab import links
from lab.guest_console import Console
from nova.tests.integration.virt.conftest import Bench

pytestmark = pytest.mark.root

NAME = 'instance-00000001'
BROADCAST = 'ff:ff:ff:ff:ff:ff'
#: The guest's first NIC, the one under test, and its second.
MAC, IP = 'fa:16:3e:01:00:00', '10.0.0.10'
OTHER_MAC, OTHER_IP = 'fa:16:3e:01:00:01', '10.1.0.10'
DHCP_SERVER, STRANGER, STRANGER_MAC = '10.0.0.2', '10.0.0.66', '02:00:00:00:00:66'
UDP, TCP = 17, 6


def mac(text: str) -> bytes:
    return int(netaddr.EUI(text)).to_bytes(6, 'big')


def ip(text: str) -> bytes:
    return bytes(netaddr.IPAddress(text).packed)


def ethernet(source: str, kind: int, payload: bytes, target: str = BROADCAST) -> bytes:
    return mac(target) + mac(source) + struct.pack('!H', kind) + payload


def ipv4(source: str, target: str, protocol: int, sport: int, dport: int) -> bytes:
    """A packet whose header is right; RFC 791."""
    body = struct.pack('!HHHH', sport, dport, 8 if protocol == UDP else 0, 0)
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    words = struct.unpack('!10H', head + ip(source) + ip(target))
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack('!H', checksum) + ip(source) + ip(target) + body


def arp(operation: int, sender_mac: str, sender: str, target: str) -> bytes:
    """RFC 826."""
    head = struct.pack('!HHBBH', 1, 0x0800, 6, 4, operation)
    return head + mac(sender_mac) + ip(sender) + bytes(6) + ip(target)


def udp(source: str, target: str, sport: int, dport: int, source_mac: str = MAC) -> bytes:
    return ethernet(source_mac, 0x0800, ipv4(source, target, UDP, sport, dport))


ROUTER_ADVERTISEMENT = (
    struct.pack('!IHBB', 6 << 28, 16, 58, 255)
    + ip('fe80::66')
    + ip('ff02::1')
    + bytes.fromhex('86000000400000000000000000000000')
)

#: It may pass in both directions, and ends an observation.
LAST = udp(IP, IP, 9999, 9999)
ALLOWED_OUT = {
    'IPv4 of its own': udp(IP, '10.0.0.1', 4000, 4001),
    'ARP request': ethernet(MAC, 0x0806, arp(1, MAC, IP, '10.0.0.1')),
    'ARP announcement': ethernet(MAC, 0x0806, arp(2, MAC, IP, IP)),
    'address probe': ethernet(MAC, 0x0806, arp(1, MAC, '0.0.0.0', IP)),
    'DHCP discover': udp('0.0.0.0', '255.255.255.255', 68, 67),
    'DHCP renewal': udp(IP, DHCP_SERVER, 68, 67),
}
REFUSED_OUT = {
    'foreign MAC': udp(IP, '10.0.0.1', 4000, 4001, source_mac=STRANGER_MAC),
    'MAC of its other NIC': udp(IP, '10.0.0.1', 4000, 4001, source_mac=OTHER_MAC),
    'foreign address': udp(STRANGER, '10.0.0.1', 4000, 4001),
    'address of its other NIC': udp(OTHER_IP, '10.0.0.1', 4000, 4001),
    'address of the gateway': udp('10.0.0.1', '255.255.255.255', 4000, 4001),
    'no address, another port': udp('0.0.0.0', '255.255.255.255', 68, 69),
    'no address, another target': udp('0.0.0.0', '10.0.0.1', 68, 67),
    'no address, TCP': ethernet(MAC, 0x0800, ipv4('0.0.0.0', '255.255.255.255', TCP, 68, 67)),
    'DHCP discover with a foreign MAC': udp(
        '0.0.0.0', '255.255.255.255', 68, 67, source_mac=STRANGER_MAC
    ),
    'DHCP answer': udp(IP, '255.255.255.255', 67, 68),
    'DHCP answer to a relay': udp(IP, '10.0.0.1', 67, 67),
    'DHCP answer as the server': udp(DHCP_SERVER, '255.255.255.255', 67, 68),
    'ARP of the gateway': ethernet(MAC, 0x0806, arp(2, MAC, '10.0.0.1', IP)),
    'ARP request of a foreign address': ethernet(MAC, 0x0806, arp(1, MAC, STRANGER, IP)),
    'ARP with a foreign sender MAC': ethernet(MAC, 0x0806, arp(2, STRANGER_MAC, IP, IP)),
    'ARP in a foreign frame': ethernet(STRANGER_MAC, 0x0806, arp(2, MAC, IP, IP)),
    'ARP reply without an address': ethernet(MAC, 0x0806, arp(2, MAC, '0.0.0.0', IP)),
    'RARP': ethernet(MAC, 0x8035, arp(3, MAC, '0.0.0.0', '0.0.0.0')),
    'router advertisement': ethernet(MAC, 0x86DD, ROUTER_ADVERTISEMENT),
    'VLAN tag': ethernet(MAC, 0x8100, b'\0\x05\x08\x06' + arp(2, MAC, '10.0.0.1', IP)),
    'VLAN 0 tag': ethernet(MAC, 0x8100, b'\0\0\x08\0' + ipv4(IP, '10.0.0.1', UDP, 1, 2)),
    'LLDP': ethernet(MAC, 0x88CC, bytes(46)),
    'experimental ethertype': ethernet(MAC, 0x88B5, bytes(46)),
    'IEEE 802.2': ethernet(MAC, 46, b'\xaa\xaa\x03\0\0\0\x08\x06' + arp(2, MAC, '10.0.0.1', IP)),
}

ALLOWED_IN = {
    'IPv4': udp(STRANGER, IP, 4000, 4001, source_mac=STRANGER_MAC),
    'ARP': ethernet(STRANGER_MAC, 0x0806, arp(1, STRANGER_MAC, STRANGER, IP)),
    'DHCP answer of the server': udp(DHCP_SERVER, IP, 67, 68, source_mac=STRANGER_MAC),
}
REFUSED_IN = {
    'DHCP answer of a stranger': udp(STRANGER, IP, 67, 68, source_mac=STRANGER_MAC),
    'DHCP answer to all': udp(STRANGER, '255.255.255.255', 67, 68, source_mac=STRANGER_MAC),
    'router advertisement': ethernet(STRANGER_MAC, 0x86DD, ROUTER_ADVERTISEMENT),
    'VLAN tag': ethernet(STRANGER_MAC, 0x8100, b'\0\x05\x08\x06' + arp(1, MAC, STRANGER, IP)),
    'LLDP': ethernet(STRANGER_MAC, 0x88CC, bytes(46)),
}


@pytest.fixture(scope='module')
def guest(bench: Bench) -> Iterator[Console]:
    bench.call('spawn', nics=2)
    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
        assert console.run(f'ip addr show dev eth0 | grep {IP}').code == 0
        yield console
    bench.call('destroy', nics=2)


@pytest.fixture(scope='module')
def tap(bench: Bench, guest: Console) -> str:
    return bench.virsh('domiflist', NAME).split()[0]


def digits(frame: bytes) -> str:
    """The frame in hexadecimal digits, as long as an Ethernet frame must be."""
    return frame.ljust(60, b'\0').hex()


def seen(lines: Iterable[str], wanted: Mapping[str, bytes]) -> set[str]:
    """The names of the wanted frames that are among the lines, up to the last frame. The kernel
    may have cut off an IPv4 packet's padding."""
    found: set[str] = set()
    for line in lines:
        if line.startswith(LAST.hex()):
            return found
        found |= {name for name, frame in wanted.items() if line.startswith(frame.hex())}
    raise AssertionError('the last frame never came')


def test_what_a_guest_may_send(bench: Bench, guest: Console) -> None:
    frames = ALLOWED_OUT | REFUSED_OUT
    with bench.frames('watch', 'br100') as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == 'ready\n'
        timer = threading.Timer(60, watcher.kill)
        timer.start()
        for frame in frames.values():
            assert guest.run(f'inject eth0 {digits(frame)}').code == 0
        guest.run(f'inject eth0 {digits(LAST)}')
        found = seen(watcher.stdout, frames)
        timer.cancel()
    assert found == set(ALLOWED_OUT)


def test_what_reaches_a_guest(bench: Bench, guest: Console, tap: str) -> None:
    frames = ALLOWED_IN | REFUSED_IN
    lines = [digits(frame) for frame in frames.values()]
    lines.append(digits(LAST))
    bench.shell('ip link add out0 type veth peer name out1')
    bench.shell('ip link set out1 master br100 up; ip link set out0 up')
    links.wait_up('out0', bench.sandbox.output)
    links.wait_up('out1', bench.sandbox.output)
    try:
        with bench.frames('watch', tap) as watcher, bench.frames('send', 'out0') as sender:
            assert watcher.stdout is not None
            assert watcher.stdout.readline() == 'ready\n'
            timer = threading.Timer(60, watcher.kill)
            timer.start()
            assert sender.stdin is not None
            sender.stdin.write('\n'.join(lines) + '\n')
            sender.stdin.flush()
            found = seen(watcher.stdout, frames)
            timer.cancel()
    finally:
        bench.shell('ip link del out0')
    assert found == set(ALLOWED_IN)


def test_the_guest_reaches_its_gateway(guest: Console) -> None:
    assert guest.run('ping -c 1 -W 5 10.0.0.1').code == 0
    assert guest.run('ping -c 1 -W 5 10.1.0.1').code == 0
