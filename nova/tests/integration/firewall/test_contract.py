"""What every driver does, judged by packets."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import dataclasses
import itertools
import socket
from typing import Any

import pytest
from scapy.layers import dhcp, inet, inet6

from lab.sandbox import wait_until
from nova import exception
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import rules
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import Case, Port, World, run

pytestmark = pytest.mark.root

NAME = 'instance-00000001'
OTHER = 'instance-00000002'
_numbers = itertools.count(1)


def rule(**values: Any) -> rules.SecurityGroupRule:
    number = f'rule-{next(_numbers)}'
    return rules.parse_rule(**({'rule_id': number, 'direction': 'ingress'} | values))


def group(
    name: str, *found: rules.SecurityGroupRule, members: Iterable[rules.NicPolicy] = ()
) -> rules.SecurityGroup:
    return rules.SecurityGroup(
        id=name,
        rules=found,
        members=tuple(
            rules.GroupMember(network_id=nic.network_id, address=address)
            for nic in members
            for address in (*nic.first_hop.ipv4, *nic.first_hop.ipv6[1:])
        ),
    )


class Scene:
    """Two guests (a, with ``count`` NICs, and b with one on the first network) and a stranger."""

    def __init__(self, world: World, driver: firewall_driver.FirewallDriver) -> None:
        self.world, self.driver = world, driver
        self.ports: dict[str, Port] = {}
        self.macs: dict[str, str] = {}

    def plug(self, *nics: rules.NicPolicy) -> None:
        for nic in nics:
            if nic.bridge not in self.macs:
                self.macs[nic.bridge] = self.world.bridge(nic.bridge)
            if nic.device not in self.ports:
                self.ports[nic.device] = self.world.port(nic.device, nic.bridge)

    def outside(self, bridge: str) -> Port:
        name = f'up{bridge}'
        if name not in self.ports:
            self.ports[name] = self.world.port(name, bridge)
        return self.ports[name]

    def passes(
        self, sender: rules.NicPolicy | Port, receiver: rules.NicPolicy | Port, frame: bytes
    ) -> bool:
        """Whether the frame comes out there."""
        source = sender if isinstance(sender, Port) else self.ports[sender.device]
        target = receiver if isinstance(receiver, Port) else self.ports[receiver.device]
        if isinstance(sender, Port):
            last = packets.mark(packets.OUTSIDER_MAC, '192.0.2.66', next(_numbers))
        else:
            last = packets.mark(sender.first_hop.mac, packets.v4(sender), next(_numbers))
        target.drain()
        source.send(frame, last)
        return frame in target.until(last)


def forged(sender: rules.NicPolicy, target: rules.NicPolicy) -> bytes:
    """A datagram that says it is from somebody else."""
    datagram = inet.IP(src='10.0.0.99', dst=packets.v4(target)) / inet.UDP(sport=4000, dport=1)
    return packets.frame(sender.first_hop.mac, datagram, target.first_hop.mac)


@pytest.fixture
def scene(world: World, driver: firewall_driver.FirewallDriver) -> Scene:
    return Scene(world, driver)


def open_nic(number: int, network: int | None = None) -> rules.NicPolicy:
    return packets.nic(number, network)


@pytest.mark.parametrize('count', [1, 2, 4, 8])
def test_nics_speak_with_their_own_addresses_only(scene: Scene, count: int) -> None:
    nics = [packets.nic(number) for number in range(count)]
    for nic in nics:
        scene.macs[nic.bridge] = scene.world.bridge(nic.bridge)
    scene.driver.prepare(NAME, nics, rules.Ruleset())
    scene.plug(*nics)
    for nic in nics:
        outside = scene.outside(nic.bridge)
        own = inet.IP(src=packets.v4(nic), dst='192.0.2.1') / inet.UDP(sport=1, dport=2)
        mac = nic.first_hop.mac
        assert scene.passes(nic, outside, packets.frame(mac, own))
        own6 = inet6.IPv6(src=packets.v6(nic), dst='2001:db8:f::1') / inet.UDP(sport=1, dport=2)
        assert scene.passes(nic, outside, packets.frame(mac, own6))
        for other in nics:
            if other is not nic:
                own.src, own6.src = packets.v4(other), packets.v6(other)
                assert not scene.passes(nic, outside, packets.frame(mac, own))
                assert not scene.passes(nic, outside, packets.frame(mac, own6))
                assert not scene.passes(nic, outside, packets.udp(other, other, 9))


def test_a_nic_that_nobody_prepared_is_closed(scene: Scene) -> None:
    nic = packets.nic(0)
    scene.plug(nic)
    outside = scene.outside(nic.bridge)
    scene.ports[nic.device].send(packets.arp(nic.first_hop.mac, packets.v4(nic), '10.0.0.1'))
    outside.send(packets.arp(packets.OUTSIDER_MAC, '10.0.0.1', packets.v4(nic)))
    quiet = packets.mark(packets.OUTSIDER_MAC, '192.0.2.66', 1)
    watcher = scene.world.port('watcher', nic.bridge)
    outside.send(quiet)
    assert watcher.until(quiet) == []
    assert scene.ports[nic.device].drain() == []
    assert nic.first_hop.mac not in scene.world.learned(nic.bridge)


def test_a_nic_may_be_told_of_before_its_bridge_is_there(scene: Scene) -> None:
    nic, peer = open_nic(0), open_nic(10, 0)
    scene.driver.apply(NAME, [nic], rules.Ruleset())
    scene.plug(nic, peer)
    scene.driver.prepare(NAME, [nic], rules.Ruleset())
    scene.driver.prepare(OTHER, [peer], rules.Ruleset())
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1))


def test_a_client_of_dhcp(scene: Scene) -> None:
    nic = packets.nic(0)
    scene.plug(nic)
    scene.driver.apply(NAME, [nic], rules.Ruleset())
    outside = scene.outside(nic.bridge)
    mac = nic.first_hop.mac
    message = dhcp.BOOTP(op=1, chaddr=bytes.fromhex(mac.replace(':', ''))) / dhcp.DHCP(
        options=[('message-type', 'discover'), 'end']
    )
    anyone = inet.IP(src='0.0.0.0', dst='255.255.255.255')
    assert scene.passes(
        nic, outside, packets.frame(mac, anyone / inet.UDP(sport=68, dport=67) / message)
    )
    renewal = inet.IP(src=packets.v4(nic), dst='10.0.0.2') / inet.UDP(sport=68, dport=67) / message
    assert scene.passes(nic, outside, packets.frame(mac, renewal))
    answer = inet.UDP(sport=67, dport=68) / dhcp.BOOTP(op=2)
    for server, right in (('10.0.0.2', True), ('10.0.0.66', False)):
        offer = packets.frame(
            packets.OUTSIDER_MAC, inet.IP(src=server, dst=packets.v4(nic)) / answer
        )
        assert scene.passes(outside, nic, offer) is right


def test_only_the_router_advertises(scene: Scene) -> None:
    nic = packets.nic(0)
    scene.plug(nic)
    scene.driver.apply(NAME, [nic], rules.Ruleset())
    outside = scene.outside(nic.bridge)
    for router, right in (('fe80::1', True), ('fe80::66', False)):
        advert = inet6.IPv6(src=router, dst='ff02::1', hlim=255) / inet6.ICMPv6ND_RA()
        assert scene.passes(outside, nic, packets.frame(packets.OUTSIDER_MAC, advert)) is right


def test_groups_of_each_nic(scene: Scene) -> None:
    """NICs of one guest in different groups, and in none."""
    first = packets.nic(0, groups=('web',))
    second = packets.nic(1, groups=('ssh', 'web'))
    third = packets.nic(2, groups=())
    fourth = packets.nic(3, groups=None)
    nics = [first, second, third, fourth]
    peers = [open_nic(10 + n, n) for n in range(4)]
    scene.plug(*nics, *peers)
    ruleset = rules.Ruleset(
        groups=(
            group(
                'web',
                rule(protocol='udp', port_min=80),
                rule(protocol='udp', port_min=80, ethertype='IPv6'),
            ),
            group('ssh', rule(protocol='udp', port_min=22, port_max=23)),
        )
    )
    scene.driver.apply(NAME, nics, ruleset)
    scene.driver.apply(OTHER, peers, rules.Ruleset())
    allowed = {0: {80}, 1: {80, 22, 23}, 2: set(), 3: {80, 22, 23, 24}}
    for number, (nic, peer) in enumerate(zip(nics, peers, strict=True)):
        for port in (80, 22, 23, 24):
            passed = scene.passes(peer, nic, packets.udp(peer, nic, port))
            assert passed is (port in allowed[number]), (number, port)
        assert scene.passes(peer, nic, packets.udp6(peer, nic, 80)) is (number != 2)
        # No egress rule: nothing new from the guest, but answers pass.
        assert scene.passes(nic, peer, packets.udp(nic, peer, 5)) is (number == 3)
        answer = packets.udp(nic, peer, 4000, source_port=80)
        assert scene.passes(nic, peer, answer) is (number != 2)


def test_egress(scene: Scene) -> None:
    nic, peer = packets.nic(0, groups=('out',)), open_nic(10, 0)
    scene.plug(nic, peer)
    ruleset = rules.Ruleset(
        groups=(
            group(
                'out',
                rule(direction='egress', protocol='udp', port_min=53, remote_cidr=packets.v4(peer)),
                rule(direction='egress', protocol='tcp'),
            ),
        )
    )
    scene.driver.apply(NAME, [nic], ruleset)
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    assert scene.passes(nic, peer, packets.udp(nic, peer, 53))
    assert scene.passes(peer, nic, packets.udp(peer, nic, 4000, source_port=53))
    assert not scene.passes(nic, peer, packets.udp(nic, peer, 54))
    assert not scene.passes(peer, nic, packets.udp(peer, nic, 53))
    assert scene.passes(nic, peer, packets.tcp(nic, peer, 'S', ports=(1000, 99)))
    outside = scene.outside(nic.bridge)
    elsewhere = inet.IP(src=packets.v4(nic), dst='192.0.2.9') / inet.UDP(sport=4000, dport=53)
    assert not scene.passes(nic, outside, packets.frame(nic.first_hop.mac, elsewhere))


@pytest.mark.parametrize(('kind', 'code'), [(None, None), (8, None), (8, 0), (3, 4)])
def test_icmp_types(scene: Scene, kind: int | None, code: int | None) -> None:
    nic, peer = packets.nic(0, groups=('ping',)), open_nic(10, 0)
    scene.plug(nic, peer)
    ruleset = rules.Ruleset(
        groups=(group('ping', rule(protocol='icmp', port_min=kind, port_max=code)),)
    )
    scene.driver.apply(NAME, [nic], ruleset)
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    for sent in ((8, 0), (8, 1), (13, 0)):
        expected = kind in (None, sent[0]) and code in (None, sent[1])
        # An id each, or they would be of one connection.
        message = packets.icmp(peer, nic, *sent, number=sent[0] * 8 + sent[1])
        assert scene.passes(peer, nic, message) is expected, sent


def test_members_of_a_group(scene: Scene) -> None:
    """Two networks with the same range: a member's address on one is a stranger's on the other."""
    nic, twin = packets.nic(0, groups=('db',)), packets.nic(1, groups=('db',))
    twin = rules.NicPolicy(
        vif_id=twin.vif_id,
        device=twin.device,
        bridge=twin.bridge,
        network_id=twin.network_id,
        groups=('db',),
        first_hop=rules.FirstHop(
            mac=twin.first_hop.mac, ipv4=('10.0.0.10',), ipv6=nic.first_hop.ipv6[1:]
        ),
    )
    member = open_nic(10, 0)
    stranger = rules.NicPolicy(
        vif_id='s',
        device='tapstranger0000',
        bridge=twin.bridge,
        network_id=twin.network_id,
        first_hop=member.first_hop,
    )
    scene.plug(nic, twin, member, stranger)
    db = group('db', rule(protocol='udp', port_min=5432, remote_group_id='app'))
    ruleset = rules.Ruleset(groups=(db, group('app', members=[member])))
    scene.driver.apply(NAME, [nic, twin], ruleset)
    scene.driver.apply(OTHER, [member, stranger], rules.Ruleset())
    assert scene.passes(member, nic, packets.udp(member, nic, 5432))
    datagram = inet.IP(src='10.0.0.20', dst='10.0.0.10') / inet.UDP(sport=4000, dport=5432)
    twins = packets.frame(member.first_hop.mac, datagram, twin.first_hop.mac)
    assert not scene.passes(stranger, twin, twins)
    # The group loses its member, and gets the stranger.
    app = rules.SecurityGroup(
        id='app',
        members=(rules.GroupMember(network_id=twin.network_id, address='10.0.0.20'),),
    )
    scene.driver.refresh(rules.Ruleset(groups=(app,)))
    assert not scene.passes(member, nic, packets.udp(member, nic, 5432, source_port=4001))
    assert scene.passes(stranger, twin, twins)


def connections() -> list[str]:
    return run('conntrack', '-L', check=False).splitlines()


def test_a_revoked_rule_cuts_what_it_had_admitted(scene: Scene) -> None:
    """TCP, UDP and ICMP, and nothing else."""
    nic, peer = packets.nic(0, groups=('g',)), open_nic(10, 0)
    other = packets.nic(1, groups=('h',))
    other_peer = open_nic(11, 1)
    scene.plug(nic, peer, other, other_peer)
    kept = rule(protocol='udp', port_min=2000)
    revoked = (
        rule(protocol='udp', port_min=1000),
        rule(protocol='tcp', port_min=1000),
        rule(protocol='icmp', port_min=8),
    )
    before = group('g', kept, *revoked)
    theirs = group('h', *revoked)
    scene.driver.apply(NAME, [nic, other], rules.Ruleset(groups=(before, theirs)))
    scene.driver.apply(OTHER, [peer, other_peer], rules.Ruleset())

    def flows(client: rules.NicPolicy, server: rules.NicPolicy) -> dict[str, bool]:
        """Which connections live: whether what belongs to them passes."""
        return {
            'udp': scene.passes(
                server, client, packets.udp(server, client, 4000, source_port=1000)
            ),
            'tcp': scene.passes(
                server, client, packets.tcp(server, client, 'A', ports=(1000, 4000), seq=2, ack=2)
            ),
            'icmp': scene.passes(server, client, packets.icmp(server, client, 0)),
        }

    for client, server in ((peer, nic), (other_peer, other)):
        assert scene.passes(client, server, packets.udp(client, server, 1000))
        assert scene.passes(
            client, server, packets.tcp(client, server, 'S', ports=(4000, 1000), seq=1)
        )
        assert scene.passes(
            server, client, packets.tcp(server, client, 'SA', ports=(1000, 4000), seq=1, ack=2)
        )
        assert scene.passes(
            client, server, packets.tcp(client, server, 'A', ports=(4000, 1000), seq=2, ack=2)
        )
        assert scene.passes(client, server, packets.icmp(client, server))
        assert flows(client, server) == dict.fromkeys(('udp', 'tcp', 'icmp'), True)
    assert scene.passes(peer, nic, packets.udp(peer, nic, 2000))
    scene.driver.refresh(rules.Ruleset(groups=(group('g', kept),)))
    assert flows(peer, nic) == dict.fromkeys(('udp', 'tcp', 'icmp'), False), connections()
    assert not scene.passes(
        peer, nic, packets.tcp(peer, nic, 'A', ports=(4000, 1000), seq=2, ack=2)
    )
    assert scene.passes(nic, peer, packets.udp(nic, peer, 4000, source_port=2000))
    assert flows(other_peer, other) == dict.fromkeys(('udp', 'tcp', 'icmp'), True)


def test_a_second_apply_and_a_restart_change_nothing(
    scene: Scene, case: Case, undo: contextlib.ExitStack
) -> None:
    nics = [packets.nic(0, groups=('g',)), packets.nic(1, groups=('g', 'h')), packets.nic(2)]
    scene.plug(*nics)
    ruleset = rules.Ruleset(
        groups=(
            group('g', rule(protocol='tcp', port_min=1, remote_group_id='h')),
            group('h', rule(remote_cidr='10.0.0.0/8'), members=nics),
        ),
        provider=(rule(protocol='udp', port_min=19),),
    )
    scene.driver.apply(NAME, nics, ruleset)
    before = case.snapshot()
    scene.driver.apply(NAME, nics, ruleset)
    scene.driver.refresh(ruleset)
    assert case.snapshot() == before
    again = case.make(scene.world, undo)
    again.init_host({NAME: nics}, ruleset)
    again.apply(NAME, nics, ruleset)
    assert case.snapshot() == before


def test_what_is_removed_leaves_nothing(scene: Scene, case: Case) -> None:
    nics = [packets.nic(0, groups=('g',)), packets.nic(1)]
    # What all NICs share may stay.
    former = packets.nic(2)
    scene.plug(former)
    scene.driver.apply(OTHER, [former], rules.Ruleset())
    scene.driver.remove(OTHER)
    before = case.snapshot()
    scene.plug(*nics)
    ruleset = rules.Ruleset(groups=(group('g', rule(remote_group_id='g'), members=nics),))
    scene.driver.apply(NAME, nics, ruleset)
    scene.driver.remove(NAME, [nic.device for nic in nics])
    scene.driver.remove(NAME, [nic.device for nic in nics])
    assert strip(case.snapshot()) == strip(before)


def strip(text: str) -> list[str]:
    return [line.partition(' # handle')[0] for line in text.splitlines()]


def test_lost_tables_are_made_again(scene: Scene, case: Case) -> None:
    nic, peer = open_nic(0), open_nic(10, 0)
    scene.plug(nic, peer)
    scene.driver.apply(NAME, [nic], rules.Ruleset())
    case.lose()
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1))
    assert not scene.passes(peer, nic, forged(peer, nic))


def test_what_somebody_else_has_changed_is_repaired(scene: Scene, case: Case) -> None:
    nic, peer = open_nic(0), open_nic(10, 0)
    scene.plug(nic, peer)
    scene.driver.apply(NAME, [nic], rules.Ruleset())
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    assert scene.driver.holds(nic, rules.Ruleset())
    assert not scene.driver.repair()
    case.lose()
    assert not scene.driver.holds(nic, rules.Ruleset())
    assert scene.driver.repair()
    assert scene.driver.holds(nic, rules.Ruleset())
    assert not scene.driver.repair()
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1))
    assert not scene.passes(peer, nic, forged(peer, nic))


def test_a_nic_of_one_family_is_held_beside_one_of_both(scene: Scene) -> None:
    hop = packets.nic(0).first_hop
    only_v4 = dataclasses.replace(hop, ipv6=(), routers=())
    nic, peer = packets.nic(0, groups=('g',), first_hop=only_v4), open_nic(10, 0)
    scene.plug(nic, peer)
    ruleset = rules.Ruleset(groups=(group('g', rule(remote_group_id='g'), members=[nic]),))
    scene.driver.apply(NAME, [nic], ruleset)
    scene.driver.apply(OTHER, [peer], ruleset)
    assert scene.driver.holds(nic, ruleset)
    assert scene.driver.holds(peer, ruleset)
    assert not scene.driver.repair()


def test_a_nic_whose_rules_do_not_load_is_closed_alone(
    scene: Scene, case: Case, undo: contextlib.ExitStack
) -> None:
    """In a change, and when a new start finds it among the others."""
    nic, peer = open_nic(0), open_nic(10, 0)
    first_hop = dataclasses.replace(packets.nic(20, 0).first_hop, ipv4=('10.0.0.300',))
    bad = packets.nic(20, 0, first_hop=first_hop)
    scene.plug(nic, peer, bad)
    scene.driver.apply(NAME, [nic], rules.Ruleset())
    with pytest.raises(exception.FirewallSetupFailed):
        scene.driver.prepare(OTHER, [bad], rules.Ruleset())
    scene.driver.apply(OTHER, [peer], rules.Ruleset())
    again = case.make(scene.world, undo)
    again.init_host({'bad': [bad], NAME: [nic], OTHER: [peer]}, rules.Ruleset())
    for driver in (scene.driver, again):
        driver.refresh(rules.Ruleset())
        assert scene.passes(peer, nic, packets.udp(peer, nic, 1))
        outside = scene.outside(nic.bridge)
        outside.drain()
        mac = bad.first_hop.mac
        scene.ports[bad.device].send(packets.arp(mac, '10.0.0.30', '10.0.0.1'))
        assert scene.passes(peer, outside, packets.udp(peer, nic, 1))
        assert not any(frame[6:12].hex(':') == mac for frame in outside.drain())
    with pytest.raises(exception.FirewallSetupFailed):
        again.apply('bad', [bad], rules.Ruleset())


def test_a_group_that_does_not_load_is_that_of_its_guests_only(scene: Scene) -> None:
    """What no rule of the API can be: the groups of other guests follow all the same."""
    nic, other = packets.nic(0, groups=('g',)), packets.nic(1, 0, groups=('h',))
    peer = open_nic(10, 0)
    scene.plug(nic, other, peer)
    scene.driver.apply(NAME, [nic], rules.Ruleset(groups=(group('g'),)))
    scene.driver.apply(OTHER, [other], rules.Ruleset(groups=(group('h'),)))
    scene.driver.apply('third', [peer], rules.Ruleset())
    open_rule = rule(protocol='udp', port_min=1000)
    impossible = dataclasses.replace(open_rule, remote_cidr='10.0.0.300/8')
    ruleset = rules.Ruleset(groups=(group('g', open_rule), group('h', impossible)))
    with pytest.raises(exception.FirewallSetupFailed):
        scene.driver.refresh(ruleset)
    scene.driver.apply(NAME, [nic], ruleset.only_for([nic]))
    with pytest.raises(exception.FirewallSetupFailed):
        scene.driver.apply(OTHER, [other], ruleset.only_for([other]))
    scene.driver.apply('third', [peer], ruleset.only_for([peer]))
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1000))
    assert not scene.passes(peer, other, packets.udp(peer, other, 1000))
    assert not scene.passes(peer, nic, packets.udp(peer, nic, 1001))


def test_what_went_through_the_host_is_cut(scene: Scene) -> None:
    """It is known in the default zone of conntrack, and others' there live on."""
    nic, other = packets.nic(0, groups=('g',)), packets.nic(1, 0, groups=('h',))
    scene.plug(nic, other)
    open_rule = rule(protocol='udp', port_min=1000)
    before = rules.Ruleset(groups=(group('g', open_rule), group('h', open_rule)))
    scene.driver.apply(NAME, [nic, other], before)
    run('ip', 'address', 'add', '10.0.0.1/24', 'dev', nic.bridge)
    host = scene.world.ear(nic.bridge)

    def answers(one: rules.NicPolicy) -> bool:
        answer = inet.IP(src=packets.v4(one), dst='10.0.0.1') / inet.UDP(sport=1000, dport=4000)
        mac = one.first_hop.mac
        scene.ports[one.device].send(
            packets.frame(mac, answer / b'payload', scene.macs[one.bridge])
        )
        # Once this one is there, the answer has been judged.
        mark = packets.mark(mac, packets.v4(one), next(_numbers))
        scene.ports[one.device].send(mark)
        host.until(mark)
        try:
            return asker.recv(100) == b'payload'
        except BlockingIOError:
            return False

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind(('10.0.0.1', 4000))
        asker.setblocking(False)
        for one in (nic, other):
            known = (packets.v4(one), 'lladdr', one.first_hop.mac, 'dev', one.bridge)
            run('ip', 'neigh', 'replace', *known)
            asker.sendto(b'question', (packets.v4(one), 1000))
            assert answers(one)
        scene.driver.refresh(rules.Ruleset(groups=(group('g'), group('h', open_rule))))
        assert not answers(nic), connections()
        assert answers(other)


def test_a_bridge_that_comes_back_is_known_anew(scene: Scene) -> None:
    """Under its old name it has another address, by which the host's own connections are told."""
    nic = packets.nic(0, groups=('g',))
    ruleset = rules.Ruleset(groups=(group('g', rule(direction='egress')),))
    asked = inet.IP(src=packets.v4(nic), dst='10.0.0.1') / inet.UDP(sport=4000, dport=53) / b'who?'

    def hears() -> bool:
        return any(b'the host' in frame for frame in scene.ports[nic.device].drain())

    for _time in range(2):
        scene.plug(nic)
        scene.driver.apply(NAME, [nic], ruleset)
        run('ip', 'address', 'add', '10.0.0.1/24', 'dev', nic.bridge)
        known = (packets.v4(nic), 'lladdr', nic.first_hop.mac, 'dev', nic.bridge)
        run('ip', 'neigh', 'replace', *known)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
            service.bind(('10.0.0.1', 53))
            service.settimeout(10)
            question = packets.frame(nic.first_hop.mac, asked, scene.macs[nic.bridge])
            scene.ports[nic.device].send(question)
            heard, asker = service.recvfrom(100)
            assert heard == b'who?'
            service.sendto(b'the host', asker)
        assert wait_until(hears, 30)
        scene.driver.remove(NAME)
        for device in (nic.device, nic.bridge):
            run('ip', 'link', 'del', device)
        scene.macs.clear()
        scene.ports.clear()


def test_without_tracking_of_bridged_packets_answers_are_dropped(scene: Scene, case: Case) -> None:
    """As on a kernel without br_netfilter: nothing passes that otherwise would not, or it is found
    to have been switched off."""
    nic, peer = packets.nic(0, groups=('g',)), open_nic(10, 0)
    scene.plug(nic, peer)
    ruleset = rules.Ruleset(groups=(group('g', rule(protocol='udp', port_min=1000)),))
    scene.driver.apply(NAME, [nic], ruleset)
    scene.driver.apply(OTHER, [peer], ruleset)
    answer = packets.udp(nic, peer, 4000, source_port=1000)
    run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0')
    if case.needs_tracking:
        assert scene.driver.repair()
        assert not scene.driver.repair()
    else:
        passed = scene.passes(peer, nic, packets.udp(peer, nic, 1000))
        assert passed is not case.needs_bridged_packets
        assert not scene.passes(nic, peer, answer)
    assert not scene.passes(peer, nic, packets.udp(peer, nic, 1001))
    run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1')
    assert scene.passes(peer, nic, packets.udp(peer, nic, 1000))
    assert scene.passes(nic, peer, answer)


def test_provider_rules_come_first(scene: Scene) -> None:
    nic, peer = packets.nic(0, groups=('g',)), open_nic(10, 0)
    scene.plug(nic, peer)
    ruleset = rules.Ruleset(
        groups=(group('g', rule()),), provider=(rule(protocol='udp', port_min=19),)
    )
    scene.driver.apply(NAME, [nic], ruleset)
    scene.driver.apply(OTHER, [peer], ruleset)
    assert scene.passes(peer, nic, packets.udp(peer, nic, 20))
    assert not scene.passes(peer, nic, packets.udp(peer, nic, 19))
