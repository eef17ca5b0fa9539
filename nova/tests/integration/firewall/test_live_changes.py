"""Traffic meanwhile: while rules change, the service starts anew, and NICs come and go."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import itertools
import threading

import pytest
from scapy.layers import inet

from lab.sandbox import wait_until
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import rules
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import Case, Port, World, run
from nova.tests.integration.firewall.test_contract import (
    NAME,
    OTHER,
    Scene,
    group,
    open_nic,
    rule,
)

pytestmark = pytest.mark.root

#: The host's address on the guests' network.
HOST = '10.0.0.1'
# Those of a scene's own marks are lower.
_numbers = itertools.count(30000)


@pytest.fixture
def scene(world: World, driver: firewall_driver.FirewallDriver) -> Scene:
    return Scene(world, driver)


def test_a_change_loses_nothing(scene: Scene) -> None:
    """While groups change, every frame of an admitted connection arrives."""
    nic, peer = packets.nic(0, groups=('g',)), open_nic(10, 0)
    scene.plug(nic, peer)
    kept = rule(protocol='udp', port_min=1000)
    scene.driver.apply(NAME, [nic], rules.Ruleset(groups=(group('g', kept),)))
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    lost = 0
    for number in range(20):
        scene.driver.refresh(
            rules.Ruleset(groups=(group('g', kept, rule(protocol='tcp', port_min=number + 1)),))
        )
        lost += not scene.passes(peer, nic, packets.udp(peer, nic, 1000))
        lost += not scene.passes(nic, peer, packets.udp(nic, peer, 4000, source_port=1000))
    assert lost == 0


def test_no_frame_passes_before_the_rules(scene: Scene) -> None:
    """The guest floods its network with forged frames while its NIC is made."""
    nic = packets.nic(0)
    scene.macs[nic.bridge] = scene.world.bridge(nic.bridge)
    outside = scene.outside(nic.bridge)
    forged = packets.arp('fa:16:3e:99:99:99', '10.0.0.1', '10.0.0.1')
    sent, end = [0], threading.Event()

    def flood(port: Port) -> None:
        while not end.is_set():
            with contextlib.suppress(OSError):  # its queue is full
                port.send(forged)
                sent[0] += 1

    def start(port: Port) -> None:
        threads.append(threading.Thread(target=flood, args=[port]))
        threads[0].start()

    threads: list[threading.Thread] = []
    scene.driver.prepare(NAME, [nic], rules.Ruleset())
    try:
        scene.ports[nic.device] = scene.world.port(nic.device, nic.bridge, early=start)
        before = sent[0]
        assert wait_until(lambda: sent[0] > before + 1000, 30)
        scene.driver.apply(NAME, [nic], rules.Ruleset())
        honest = packets.arp(nic.first_hop.mac, packets.v4(nic), '10.0.0.1')
        assert scene.passes(nic, outside, honest)
    finally:
        end.set()
        threads[0].join()
    assert forged not in outside.drain()
    assert 'fa:16:3e:99:99:99' not in scene.world.learned(nic.bridge)


def test_a_restart_loses_nothing(scene: Scene, case: Case, undo: contextlib.ExitStack) -> None:
    """Frames in flight while the service starts anew, again and again, and while rules come and
    go."""
    nic, peer = packets.nic(0, groups=('g',)), open_nic(10, 0)
    scene.plug(nic, peer)
    kept = rule(protocol='udp', port_min=1000, port_max=60000)
    ruleset = rules.Ruleset(groups=(group('g', kept),))
    scene.driver.apply(NAME, [nic], ruleset)
    scene.driver.apply(OTHER, [peer], ruleset)
    sent: list[bytes] = []
    end = threading.Event()

    def stream() -> None:
        while not end.is_set() and len(sent) < 50000:
            number = len(sent)
            frame = packets.udp(peer, nic, 1000 + number % 50000, source_port=5000)
            scene.ports[peer.device].send(frame)
            sent.append(frame)

    scene.ports[nic.device].drain()
    sender = threading.Thread(target=stream)
    sender.start()
    try:
        # twice, and until enough have been sent meanwhile: some drivers take a few milliseconds
        for number in itertools.takewhile(
            lambda done: done < 2 or len(sent) <= 100, itertools.count()
        ):
            again = case.make(scene.world, undo)
            again.init_host({NAME: [nic], OTHER: [peer]}, ruleset)
            more = rule(protocol='tcp', port_min=number + 1)
            again.refresh(rules.Ruleset(groups=(group('g', kept, more),)))
            again.refresh(ruleset)
    finally:
        end.set()
        sender.join()
    last = packets.mark(peer.first_hop.mac, packets.v4(peer), next(_numbers))
    scene.ports[peer.device].send(last)
    arrived = set(scene.ports[nic.device].until(last))
    assert len(sent) > 100
    assert [number for number, frame in enumerate(sent) if frame not in arrived] == []


class Talk:
    """What is sent all the time between a guest, its host, and a neighbour of its, who are all
    admitted: echo requests to the host, and datagrams of the neighbour's with their answers."""

    def __init__(self, scene: Scene, nic: rules.NicPolicy, peer: rules.NicPolicy) -> None:
        self._scene, self._nic, self._peer = scene, nic, peer
        self._host_mac = scene.macs[nic.bridge]
        self.sent = 0

    def _echo(self, number: int) -> bytes:
        request = inet.IP(src=packets.v4(self._nic), dst=HOST) / inet.ICMP(id=7, seq=number)
        return packets.frame(self._nic.first_hop.mac, request / b'payload', self._host_mac)

    def _datagram(self, number: int) -> bytes:
        return packets.udp(self._peer, self._nic, 1000, source_port=10000 + number)

    def _answer(self, number: int) -> bytes:
        return packets.udp(self._nic, self._peer, 10000 + number, source_port=1000)

    def _say(self) -> None:
        ports, number = self._scene.ports, self.sent
        ports[self._nic.device].send(self._echo(number))
        ports[self._peer.device].send(self._datagram(number))
        # Answers are to what has been asked.
        if number:
            ports[self._nic.device].send(self._answer(number - 1))
        self.sent = number + 1

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        end = threading.Event()

        def talk() -> None:
            while not end.wait(0.003) and self.sent < 50000:
                self._say()

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            yield
        finally:
            end.set()
            talker.join()

    def lost(self) -> dict[str, list[int]]:
        """Which did not arrive, by what they were."""
        ends = {}
        for sender, target in ((self._peer, self._nic), (self._nic, self._peer)):
            last = packets.mark(sender.first_hop.mac, packets.v4(sender), next(_numbers))
            self._scene.ports[sender.device].send(last)
            ends[target.device] = self._scene.ports[target.device].until(last)
        at_nic, at_peer = set(ends[self._nic.device]), set(ends[self._peer.device])
        echoes = {
            int.from_bytes(frame[40:42])
            for frame in at_nic
            if (frame[12:14], frame[23], frame[34]) == (b'\x08\0', rules.ICMP, 0)
        }
        numbers = range(self.sent)
        return {
            'echoes of the host': [n for n in numbers if n not in echoes],
            'datagrams': [n for n in numbers if self._datagram(n) not in at_nic],
            'answers': [n for n in numbers[:-1] if self._answer(n) not in at_peer],
        }


def test_nics_that_come_and_go_cost_others_nothing(scene: Scene) -> None:
    """Guests start and end beside one whose connections were admitted and are."""
    nic, peer = packets.nic(0, groups=('g',)), open_nic(10, 0)
    another = packets.nic(20, 0, groups=('g',))
    scene.plug(nic, peer)
    run('ip', 'address', 'add', f'{HOST}/24', 'dev', nic.bridge)
    known = (packets.v4(nic), 'lladdr', nic.first_hop.mac, 'dev', nic.bridge)
    run('ip', 'neigh', 'replace', *known)
    admitted = (rule(protocol='udp', port_min=1000), rule(direction='egress', protocol='icmp'))
    by_peers = rule(protocol='tcp', port_min=22, remote_group_id='g')
    found = group('g', *admitted, by_peers, members=[nic])
    grown = group('g', *found.rules, members=[nic, another])
    scene.driver.apply(NAME, [nic], rules.Ruleset(groups=(found,)))
    scene.driver.apply(OTHER, [peer], rules.Ruleset(groups=(found,)))
    for port in scene.ports.values():
        port.drain()
    talk = Talk(scene, nic, peer)
    with talk.going_on():
        for _time in range(2):
            scene.driver.prepare('third', [another], rules.Ruleset(groups=(grown,)))
            scene.plug(another)
            scene.driver.apply('third', [another], rules.Ruleset(groups=(grown,)))
            scene.driver.remove('third')
            scene.driver.refresh(rules.Ruleset(groups=(found,)))
            scene.ports.pop(another.device)
            run('ip', 'link', 'del', another.device)
    assert talk.sent > 20
    lost = talk.lost()
    assert not any(lost.values()), (lost, scene.driver.drops())
