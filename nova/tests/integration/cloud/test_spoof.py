"""The filters of a running guest, with frames that the guest itself sends."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import pathlib
import subprocess
import time

import netaddr

from lab.guest_console import Console
from nova.tests.integration.cloud import clouds
from nova.tests.integration.virt import frames

WATCH = pathlib.Path(frames.__file__)
STRANGER = '02:00:00:00:00:99'
BROADCAST = 'ff:ff:ff:ff:ff:ff'


def raw_mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(':', ''))


def raw_ip(address: str) -> bytes:
    return bytes(netaddr.IPAddress(address).packed)


def ethernet(source: str, ethertype: int, payload: bytes) -> bytes:
    return raw_mac(BROADCAST) + raw_mac(source) + ethertype.to_bytes(2) + payload


def arp(mac: str, sender_mac: str, sender_ip: str, target_ip: str, opcode: int = 1) -> bytes:
    """RFC 826."""
    body = bytes.fromhex('000108000604') + opcode.to_bytes(2)
    body += raw_mac(sender_mac) + raw_ip(sender_ip) + bytes(6) + raw_ip(target_ip)
    return ethernet(mac, 0x0806, body)


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(mac: str, source: str, target: str, ports: tuple[int, int], marker: bytes) -> bytes:
    """RFC 791 and RFC 768, the UDP checksum left out."""
    datagram = ports[0].to_bytes(2) + ports[1].to_bytes(2) + (8 + len(marker)).to_bytes(2)
    datagram += bytes(2) + marker
    head = bytes.fromhex('4500') + (20 + len(datagram)).to_bytes(2) + bytes.fromhex('00000000')
    head += bytes([64, 17]) + bytes(2) + raw_ip(source) + raw_ip(target)
    head = head[:10] + checksum(head).to_bytes(2) + head[12:]
    return ethernet(mac, 0x0800, head + datagram)


@contextlib.contextmanager
def watched(cloud: clouds.Cloud, device: str) -> Iterator[list[bytes]]:
    """The frames that pass a device of the host meanwhile."""
    command = ['python3', str(WATCH), 'watch', device]
    process = cloud.sandbox.popen(command)
    seen: list[bytes] = []
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == 'ready'
        yield seen
        time.sleep(1)  # the last frame's way through the guest's and the host's queues
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            output, _ = process.communicate(timeout=10)
            seen += [bytes.fromhex(line) for line in output.split()]


def test_a_guest_sends_only_as_itself(cloud: clouds.Cloud) -> None:
    labels = ('net-a', 'net-b')
    with cloud.unchanged(), cloud.booted(labels) as server:
        nics = server.report().nics
        addresses = [str(nic.address).partition('/')[0] for nic in nics]
        with Console(cloud.sandbox, server.domain) as console:
            console.wait_ready()
            for nic, own, other in zip(nics, addresses, reversed(addresses), strict=True):
                network = cloud.networks[labels[nic.index]]
                check_nic(cloud, console, nic.name, nic.mac, own, other, network)


def check_nic(
    cloud: clouds.Cloud,
    console: Console,
    name: str,
    mac: str,
    own: str,
    other: str,
    network: dict[str, str],
) -> None:
    """:param own: the NIC's address. :param other: that of the guest's other NIC."""
    gateway = network['gateway']
    neighbour = str(netaddr.IPAddress(own) + 1)
    allowed = {
        'its own ARP': arp(mac, mac, own, gateway),
        'an address probe': arp(mac, mac, '0.0.0.0', own),
        'its own IPv4': udp(mac, own, gateway, (4000, 4000), b'own'),
    }
    forged = {
        'a foreign MAC': udp(STRANGER, own, gateway, (4000, 4000), b'mac'),
        "a neighbour's IPv4": udp(mac, neighbour, gateway, (4000, 4000), b'neighbour'),
        "the gateway's IPv4": udp(mac, gateway, neighbour, (4000, 4000), b'gateway'),
        "its other NIC's IPv4": udp(mac, other, gateway, (4000, 4000), b'other'),
        'ARP for a neighbour': arp(mac, mac, neighbour, gateway),
        'an ARP answer for the gateway': arp(mac, mac, gateway, neighbour, opcode=2),
        'ARP with a foreign sender MAC': arp(mac, STRANGER, own, gateway),
        'ARP from a foreign MAC': arp(STRANGER, STRANGER, own, gateway),
        'a DHCP server': udp(mac, own, '255.255.255.255', (67, 68), b'dhcp'),
        'IPv6': ethernet(mac, 0x86DD, bytes.fromhex('6000000000003b40') + bytes(32)),
        'a VLAN tag': ethernet(mac, 0x8100, bytes.fromhex('0064') + arp(mac, mac, own, own)[12:]),
        'another protocol': ethernet(mac, 0x88B5, b'experimental' * 4),
    }
    with watched(cloud, network['bridge']) as seen:
        for frame in (*allowed.values(), *forged.values()):
            answer = console.run(f'inject {name} {frame.hex()}')
            assert answer.code == 0, answer.output

    def passed(wanted: dict[str, bytes]) -> set[str]:
        return {text for text, frame in wanted.items() if any(s.startswith(frame) for s in seen)}

    assert passed(allowed) == set(allowed), name
    assert passed(forged) == set(), name
