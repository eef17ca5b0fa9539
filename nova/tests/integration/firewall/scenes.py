"""Attacks that need a kernel at the other end, or in the guest: hosts with services, hosts that
route, and guests that forward.

Each returns for one NIC, by place, whether nothing of it succeeded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import itertools
import socket

from scapy.layers import inet, inet6, l2

from nova.network.firewall import rules
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import World, inside, run
from nova.tests.integration.firewall.stage import NICS, PLACES, Stage

Held = Mapping[str, bool]

#: What no guest has any business with, and what every one may ask.
_CLOSED, _OPEN = 3128, 53
_MANAGEMENT = {'same host': '198.51.100.1', 'other host': '198.51.100.2'}
_SYN_RECEIVED = '03'  # TCP_SYN_RECV of include/net/tcp_states.h
_source_ports = itertools.count(20000)


def gateway(place: str, network: int, version: int = 4) -> str:
    """The address on a network of the host at a place."""
    number = 1 + PLACES.index(place)
    return f'10.{network}.0.{number}' if version == 4 else f'2001:db8:{network + 1:x}::{number:x}'


@contextlib.contextmanager
def routing(stage: Stage) -> Iterator[dict[str, socket.socket]]:
    """Both hosts are routers between all networks, know everybody there, and offer services on
    all of their addresses; gives what the closed service and the open one hear."""
    with contextlib.ExitStack() as undo:
        heard: dict[str, socket.socket] = {}
        for place, world in zip(PLACES, (stage.here, stage.there), strict=True):
            world.run('ip', 'address', 'add', f'{_MANAGEMENT[place]}/32', 'dev', 'lo')
            settings = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']
            settings += [f'net.ipv4.conf.{name}.rp_filter=0' for name in ('all', *stage.bridges)]
            settings += [f'net.ipv4.conf.{name}.forwarding=1' for name in stage.bridges]
            settings += [f'net.ipv6.conf.{name}.disable_ipv6=0' for name in stage.bridges]
            world.run('sysctl', '-qw', *settings)
            for number, bridge in enumerate(stage.bridges):
                _give_addresses(world, place, number, bridge)
                for nic in (stage.neighbours[number], stage.strangers[number]):
                    for address in (packets.v4(nic), packets.v6(nic)):
                        known = (address, 'lladdr', nic.first_hop.mac, 'dev', bridge)
                        world.run('ip', 'neigh', 'replace', *known)
            with inside(world.host):
                for port in (_CLOSED, _OPEN):
                    kinds = ((socket.SOCK_DGRAM, 'udp'), (socket.SOCK_STREAM, 'tcp'))
                    for kind, name in kinds:
                        made = undo.enter_context(socket.socket(socket.AF_INET6, kind))
                        made.bind(('::', port))
                        made.setblocking(False)
                        heard[f'{place} {name} {port}'] = made
                        if name == 'tcp':
                            made.listen()
        yield heard


def _give_addresses(world: World, place: str, number: int, bridge: str) -> None:
    add = ('ip', 'address', 'add')
    world.run(*add, f'{gateway(place, number)}/24', 'dev', bridge)
    world.run(*add, f'{gateway(place, number, 6)}/64', 'dev', bridge, 'nodad')


def ask_hosts(stage: Stage, number: int, heard: Mapping[str, socket.socket]) -> Held:
    """TCP and UDP to a service of the hosts, on all of their addresses."""
    nic, held = stage.nics[number], {}
    for place, world in zip(PLACES, (stage.here, stage.there), strict=True):
        mac = stage.macs[world, nic.bridge]
        ports = [next(_source_ports) for _ in range(2)]
        targets = [gateway(place, n, v) for n in range(NICS) for v in (4, 6)]
        frames = []
        for target in (*targets, _MANAGEMENT[place]):
            layer = _ip(nic, target)
            for upper in (
                inet.UDP(sport=ports[0], dport=_CLOSED) / b'x',
                inet.TCP(sport=ports[1], dport=_CLOSED, flags='S'),
            ):
                frames.append(packets.frame(nic.first_hop.mac, layer / upper, mac))
        # What it may ask shows that the way is there, and that all before it has been judged.
        allowed = _ip(nic, gateway(place, number)) / inet.UDP(sport=ports[0], dport=_OPEN) / b'x'
        stage.send(number, *frames, packets.frame(nic.first_hop.mac, allowed, mac))
        assert _datagrams(heard[f'{place} udp {_OPEN}']), place
        asked = _datagrams(heard[f'{place} udp {_CLOSED}'])
        held[place] = not asked and not _half_open(world, ports[1])
    return held


def _ip(nic: rules.NicPolicy, target: str) -> inet.IP | inet6.IPv6:
    if ':' in target:
        return inet6.IPv6(src=packets.v6(nic), dst=target)
    return inet.IP(src=packets.v4(nic), dst=target)


def _datagrams(service: socket.socket) -> list[bytes]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(service.recv(2048))
    return found


def _half_open(world: World, port: int) -> bool:
    """Whether a host has answered a request for a connection from this port."""
    text = world.run('cat', '/proc/net/tcp', '/proc/net/tcp6')
    lines = [line.split() for line in text.splitlines()]
    return any(
        words[2].endswith(f':{port:04X}') and words[3] == _SYN_RECEIVED
        for words in lines
        if len(words) > 3
    )


def cross_networks(stage: Stage, number: int) -> Held:
    """Packets for the other networks, to hosts that route between them."""
    nic, held = stage.nics[number], dict.fromkeys(PLACES, True)
    for world in (stage.here, stage.there):
        mac = stage.macs[world, nic.bridge]
        for other in {*range(NICS)} - {number}:
            victims = {
                'same host': (stage.neighbours[other], stage.beside[other]),
                'other host': (stage.strangers[other], stage.beyond[other]),
            }
            for place, (victim, port) in victims.items():
                port.drain()
                payload = inet.UDP(sport=next(_source_ports), dport=9) / b'across networks'
                frames = [
                    packets.frame(nic.first_hop.mac, _ip(nic, target) / payload, mac)
                    for target in (packets.v4(victim), packets.v6(victim))
                ]
                stage.send(number, *frames)
                held[place] &= not any(b'across networks' in frame for frame in port.drain())
    return held


def forward_and_bridge(stage: Stage, number: int) -> Held:
    """The guest is a bridge, then a router with proxy ARP, between this NIC and the next one, and
    somebody on this NIC's network makes use of it."""
    other = (number + 1) % NICS
    found = [_bridge(stage, number, other)]
    with _living(stage, number, other):
        found += [_route(stage, number, other), _answers(stage, number, stage.neighbours[other])]
    return {place: all(held[place] for held in found) for place in PLACES}


def answer_for_another(stage: Stage, number: int) -> Held:
    """Somebody asks on this NIC's network for the guest's address on the next one, and the
    guest's kernel answers, as Linux does."""
    other = (number + 1) % NICS
    with _living(stage, number, other):
        return _answers(stage, number, stage.nics[other])


def _bridge(stage: Stage, number: int, other: int) -> Held:
    ends = (stage.ports[number].far, stage.ports[other].far)
    run('ip', '-n', stage.guest, 'link', 'add', 'inner', 'type', 'bridge', 'forward_delay', '0')
    try:
        for end in ends:
            run('ip', '-n', stage.guest, 'link', 'set', end, 'master', 'inner')
        run('ip', '-n', stage.guest, 'link', 'set', 'inner', 'up')
        stage.drain(other)
        asker = f'10.{number}.0.99'
        datagram = inet.IP(src=asker, dst='255.255.255.255') / inet.UDP(dport=9) / b'bridged'
        stage.bystanders[number].send(
            packets.arp(packets.OUTSIDER_MAC, asker, packets.v4(stage.neighbours[other])),
            packets.frame(packets.OUTSIDER_MAC, datagram),
        )
        seen = stage.collect(other)
    finally:
        run('ip', '-n', stage.guest, 'link', 'del', 'inner')
    foreign = bytes.fromhex(packets.OUTSIDER_MAC.replace(':', ''))
    return {place: not any(f[6:12] == foreign for f in frames) for place, frames in seen.items()}


def _route(stage: Stage, number: int, other: int) -> Held:
    nic = stage.nics[number]
    stage.drain(other)
    for victim in (stage.neighbours[other], stage.strangers[other]):
        layer = inet.IP(src=f'10.{number}.0.99', dst=packets.v4(victim))
        datagram = layer / inet.UDP(sport=next(_source_ports), dport=9) / b'routed'
        frame = packets.frame(packets.OUTSIDER_MAC, datagram, nic.first_hop.mac)
        stage.bystanders[number].send(frame)
    seen = stage.collect(other)
    return {p: not any(b'routed' in frame for frame in frames) for p, frames in seen.items()}


def _answers(stage: Stage, number: int, wanted: rules.NicPolicy) -> Held:
    """Who asks at a place for an address gets no answer there."""
    held = {}
    askers = {'same host': stage.bystanders[number], 'other host': stage.beyond[number]}
    for place, asker in askers.items():
        stage.drain(number)
        address = packets.v4(wanted)
        asker.send(packets.arp(packets.OUTSIDER_MAC, f'10.{number}.0.99', address))
        frames = [l2.Ether(frame) for frame in stage.collect(number)[place]]
        held[place] = not any(f.haslayer(l2.ARP) and f[l2.ARP].psrc == address for f in frames)
    return held


@contextlib.contextmanager
def _living(stage: Stage, *numbers: int) -> Iterator[None]:
    """These NICs have their addresses in the guest, whose kernel forwards between them."""
    settings = ['net.ipv4.ip_forward=1']
    with contextlib.ExitStack() as undo:
        for number in numbers:
            nic, end = stage.nics[number], stage.ports[number].far
            run('ip', '-n', stage.guest, 'link', 'set', end, 'address', nic.first_hop.mac)
            address = (f'{packets.v4(nic)}/24', 'dev', end)
            run('ip', '-n', stage.guest, 'address', 'add', *address)
            undo.callback(run, 'ip', '-n', stage.guest, 'address', 'del', *address)
            for peer in (stage.neighbours[number], stage.strangers[number]):
                known = (packets.v4(peer), 'lladdr', peer.first_hop.mac, 'dev', end)
                run('ip', '-n', stage.guest, 'neigh', 'replace', *known)
            settings += [f'net.ipv4.conf.{end}.{key}' for key in ('proxy_arp=1', 'rp_filter=0')]
            settings += [f'net.ipv4.neigh.{end}.proxy_delay=0']
        settings += ['net.ipv4.conf.all.rp_filter=0']
        run('ip', 'netns', 'exec', stage.guest, 'sysctl', '-qw', *settings)
        yield
