"""What only libvirt's network filters do."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time

import pytest
from scapy.layers import inet

from nova import exception
from nova.network.firewall import rules
from nova.tests.integration.firewall import libvirt_ports, packets
from nova.tests.integration.firewall.conftest import World, run
from nova.tests.integration.firewall.test_contract import NAME, OTHER, Scene, group, rule

pytestmark = pytest.mark.root


@pytest.fixture
def driver(world: World, undo: contextlib.ExitStack) -> libvirt_ports.Ports:
    if reason := libvirt_ports.missing():
        pytest.skip(reason)
    made = libvirt_ports.make(world, undo)
    made.init_host({}, rules.Ruleset())
    return made


@pytest.fixture
def scene(world: World, driver: libvirt_ports.Ports) -> Scene:
    return Scene(world, driver)


def all_kinds() -> list[rules.SecurityGroupRule]:
    """A rule of every kind that the API takes, as far as a filter says them differently."""
    found = []
    ways, families = ('ingress', 'egress'), ('IPv4', 'IPv6')
    protocols = (None, 0, 255, *rules.PROTOCOLS)
    ports = ((None, None), (5, 6), (1, 65535), (8, 0), (255, None))
    for way, family, protocol, (low, high) in itertools.product(ways, families, protocols, ports):
        own = '10.0.0.0/8' if family == 'IPv4' else 'fd00::/8'
        for end in ({}, {'remote_cidr': own}, {'remote_group_id': 'peers'}):
            values = {'direction': way, 'ethertype': family, 'protocol': protocol, **end}
            with contextlib.suppress(exception.InvalidInput):
                found.append(rule(**values, port_min=low, port_max=high))
    return found


def test_every_rule_loads(scene: Scene) -> None:
    nic, peer = packets.nic(0, groups=('g',)), packets.nic(10, 0)
    scene.plug(nic)
    found = all_kinds()
    assert len(found) > 300
    ruleset = rules.Ruleset(groups=(group('g', *found), group('peers', members=[peer])))
    scene.driver.apply(NAME, [nic], ruleset)
    for program in ('iptables', 'ip6tables'):
        lines = [line for line in run(f'{program}-save').splitlines() if nic.device in line]
        # What a set or a state would have to say must not have been left out.
        assert [line for line in lines if '--match-set nova-in' in line]
        assert [line for line in lines if '--match-set nova-out' in line]
        assert [line for line in lines if '--match-set nova-m' in line]
        assert [line for line in lines if '--ctstate RELATED,ESTABLISHED' in line]


def test_single_ports_change_without_a_rule_being_made_anew(scene: Scene) -> None:
    nic, peer = packets.nic(0, groups=('g',)), packets.nic(10, 0)
    scene.plug(nic, peer)
    first = rule(protocol='udp', port_min=1000, remote_group_id='peers')
    found = group('g', first), group('peers', members=[peer])
    scene.driver.apply(NAME, [nic], rules.Ruleset(groups=found))
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    before = run('nft', '-a', '-s', 'list', 'table', 'ip', 'filter')
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1000))
    assert not scene.passes(peer, nic, packets.udp(peer, nic, 1001))
    more = group('g', first, rule(protocol='udp', port_min=1001, remote_cidr='10.0.0.0/8'))
    scene.driver.refresh(rules.Ruleset(groups=(more, group('peers'))))
    assert not scene.passes(peer, nic, packets.udp(peer, nic, 1000, source_port=4001))
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1001, source_port=4001))
    assert run('nft', '-a', '-s', 'list', 'table', 'ip', 'filter') == before


def test_rules_that_are_made_anew_lose_nothing_and_open_nothing(scene: Scene) -> None:
    """While a filter is redefined, in both directions of an admitted connection."""
    nic, peer = packets.nic(0, groups=('g',)), packets.nic(10, 0)
    scene.plug(nic, peer)
    single, whole = rule(protocol='udp', port_min=1000), rule(protocol='tcp')
    scene.driver.apply(NAME, [nic], rules.Ruleset(groups=(group('g', single),)))
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1000))
    admitted = packets.udp(peer, nic, 1000)
    answer = packets.udp(nic, peer, 4000, source_port=1000)
    refused = packets.udp(peer, nic, 1001)
    done = threading.Event()
    sent = 0

    def talk() -> None:
        nonlocal sent
        while not done.is_set():
            scene.ports[peer.device].send(admitted, refused)
            scene.ports[nic.device].send(answer)
            sent += 1
            time.sleep(0.002)

    for port in scene.ports.values():
        port.drain()
    talker = threading.Thread(target=talk)
    talker.start()
    try:
        for rules_now in ((single, whole), (single,)):
            scene.driver.refresh(rules.Ruleset(groups=(group('g', *rules_now),)))
    finally:
        done.set()
        talker.join()
    assert sent > 50
    for sender, target, frame in ((peer, nic, admitted), (nic, peer, answer)):
        last = packets.mark(sender.first_hop.mac, packets.v4(sender), 4711)
        scene.ports[sender.device].send(last)
        frames = scene.ports[target.device].until(last)
        assert frames.count(frame) == sent
        assert refused not in frames


def test_groups_are_in_force_while_libvirt_makes_a_nic(scene: Scene) -> None:
    """It takes its jumps out meanwhile."""
    nic, peer = packets.nic(0, groups=('g',)), packets.nic(10, 0)
    scene.plug(nic, peer)
    admitted = rule(protocol='udp', port_min=1000)
    scene.driver.apply(NAME, [nic], rules.Ruleset(groups=(group('g', admitted),)))
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    for chain in ('libvirt-in', 'libvirt-out', 'libvirt-in-post'):
        run('iptables', '-D', 'FORWARD', '-j', chain)
    assert not scene.passes(peer, nic, packets.udp(peer, nic, 1001))
    assert not scene.passes(nic, peer, packets.udp(nic, peer, 1))
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1000))
    assert scene.passes(nic, peer, packets.udp(nic, peer, 4000, source_port=1000))


def test_jumps_that_somebody_has_removed_are_put_back(scene: Scene) -> None:
    before = run('iptables-save', '-t', 'filter'), run('ip6tables-save', '-t', 'filter')
    assert not scene.driver.repair()
    for program in ('iptables', 'ip6tables'):
        run(program, '-F', 'FORWARD')
        run(program, '-F', 'nova-nwfilter-host')
    assert scene.driver.repair()
    assert not scene.driver.repair()
    after = run('iptables-save', '-t', 'filter'), run('ip6tables-save', '-t', 'filter')
    for old, new in zip(before, after, strict=True):
        assert {line for line in old.splitlines() if line.startswith('-A')} == {
            line for line in new.splitlines() if line.startswith('-A')
        }


def test_what_the_host_sends_passes_the_groups(scene: Scene) -> None:
    """libvirt's rules never see it."""
    nic = packets.nic(0, groups=('g',))
    scene.plug(nic)
    admitted = rule(protocol='icmp', port_min=8, remote_cidr='10.0.0.1')
    scene.driver.apply(NAME, [nic], rules.Ruleset(groups=(group('g', admitted),)))
    run('ip', 'address', 'add', '10.0.0.1/24', 'dev', nic.bridge)
    run('ip', 'neigh', 'replace', packets.v4(nic), 'lladdr', nic.first_hop.mac, 'dev', nic.bridge)
    mark = packets.mark(packets.OUTSIDER_MAC, '192.0.2.66', 1)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as echoes,
    ):
        datagrams.sendto(b'refused', (packets.v4(nic), 1000))
        echoes.sendto(bytes(inet.ICMP(type=8, id=1)), (packets.v4(nic), 0))
    scene.outside(nic.bridge).send(mark)
    frames = scene.ports[nic.device].until(mark)
    assert {frame[23] for frame in frames if frame[12:14] == b'\x08\0'} == {rules.ICMP}
