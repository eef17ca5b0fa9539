"""What only the iptables driver can get wrong: other people's rules, and what they do to ours."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from nova import exception
from nova.network.firewall import iptables, rules
from nova.privileged import ipset, link, nft, programs
from nova.privileged import iptables as privileged_iptables
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import World, run
from nova.tests.integration.firewall.test_contract import NAME, OTHER, Scene, group, open_nic, rule

pytestmark = pytest.mark.root

OPEN = rules.Ruleset(groups=(group('g', rule(), rule(direction='egress')),))


@pytest.fixture(params=['legacy', 'nft'])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def driver(world: World, backend: str) -> iptables.IptablesFirewall:
    made = iptables.IptablesFirewall(backend)
    made.init_host({}, rules.Ruleset())
    return made


@pytest.fixture
def scene(world: World, driver: iptables.IptablesFirewall) -> Scene:
    """A NIC in the group ``g``, which admits everything of IPv4, and one without groups."""
    made = Scene(world, driver)
    made.plug(packets.nic(0), packets.nic(10, 0))
    return made


NIC, PEER = packets.nic(0, groups=('g',)), open_nic(10, 0)


def apply(scene: Scene, ruleset: rules.Ruleset = OPEN) -> None:
    scene.driver.apply(NAME, [NIC], ruleset)
    scene.driver.apply(OTHER, [PEER], ruleset)


def passes(scene: Scene, source_port: int) -> tuple[bool, bool]:
    """New connections to the NIC and from it."""
    return (
        scene.passes(PEER, NIC, packets.udp(PEER, NIC, 7, source_port)),
        scene.passes(NIC, PEER, packets.udp(NIC, PEER, 7, source_port)),
    )


def save(backend: str) -> list[str]:
    """All rules that are not ours, with their counters. What policies have met is left out: the
    host itself sends now and then, and iptables-legacy counts it anew after every change."""
    lines = []
    for program in ('iptables', 'ip6tables'):
        for table in ('filter', 'mangle'):
            text = run(f'{program}-{backend}-save', '-c', '-t', table)
            text = re.sub(r'(?m)^(:[A-Z]+ \w+) .*', r'\1', text)
            lines += [line for line in text.splitlines() if not line.startswith('#')]
    return [line for line in lines if 'nova-' not in line]


def test_other_rules_and_their_counters_stay(scene: Scene, backend: str) -> None:
    for program in ('iptables', 'ip6tables'):
        for words in (
            '-t mangle -N mine',
            '-t mangle -A FORWARD -p udp -j mine',
            '-t mangle -A mine -j MARK --set-xmark 0x0/0x0',
            '-A FORWARD -p udp --dport 9 -j DROP',
            '-P INPUT DROP',
        ):
            run(f'{program}-{backend}', *words.split())
    apply(scene)
    assert not scene.passes(PEER, NIC, packets.udp(PEER, NIC, 9))
    before = save(backend)
    assert any('[0:0] -A' not in line and '-A FORWARD -p udp' in line for line in before)
    scene.driver.apply(NAME, [packets.nic(0, groups=())], OPEN)
    scene.driver.refresh(rules.Ruleset(groups=(group('g', rule(protocol='udp', port_min=7)),)))
    scene.driver.remove(NAME)
    iptables.IptablesFirewall(backend).init_host({OTHER: [PEER]}, OPEN)
    assert save(backend) == before


@pytest.mark.parametrize(
    'deed',
    [
        '{program}-{backend} -t mangle -F',
        '{program}-{backend} -t mangle -I FORWARD -j ACCEPT',
        '{program}-{backend} -t mangle -I PREROUTING -j ACCEPT',
        'sysctl -qw net.bridge.bridge-nf-call-iptables=0',
    ],
)
def test_what_others_do_closes_and_does_not_open(scene: Scene, backend: str, deed: str) -> None:
    """The NIC is in a group that admits nothing, then in one that admits everything."""
    apply(scene, rules.Ruleset(groups=(group('g', rule(direction='egress', protocol='tcp')),)))
    assert passes(scene, 1000) == (False, False)
    run(*deed.format(program='iptables', backend=backend).split())
    assert passes(scene, 1001) == (False, False)


def test_what_was_flushed_is_repaired(
    scene: Scene, driver: iptables.IptablesFirewall, backend: str
) -> None:
    apply(scene)
    assert passes(scene, 1000) == (True, True)
    assert not driver.repair()
    run(f'iptables-{backend}', '-t', 'mangle', '-F')
    assert passes(scene, 1001) == (False, False)
    assert driver.repair()
    assert passes(scene, 1002) == (True, True)
    assert not driver.repair()


def test_a_change_does_not_read_what_is_there(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_words: object) -> str:
        raise AssertionError('the tables were read')

    monkeypatch.setattr(privileged_iptables, 'read', read)
    monkeypatch.setattr(ipset, 'read', read)
    apply(scene)
    assert passes(scene, 1000) == (True, True)
    scene.driver.refresh(rules.Ruleset(groups=(group('g', rule(remote_group_id='g')),)))
    assert passes(scene, 1001) == (False, False)
    scene.driver.remove(NAME)


def bad_group(name: str) -> rules.SecurityGroup:
    """No API lets this in."""
    return rules.SecurityGroup(
        id=name,
        rules=(
            rules.SecurityGroupRule(
                id='bad',
                direction=rules.Direction.INGRESS,
                ethertype=rules.EtherType.IPV4,
                remote_cidr='10.0.0.0/99',
            ),
        ),
    )


def test_a_nic_whose_rules_do_not_load_is_closed_and_no_other_suffers(scene: Scene) -> None:
    ruleset = rules.Ruleset(groups=(*OPEN.groups, bad_group('bad')))
    victim = packets.nic(1, 0, groups=('bad',))
    scene.plug(victim)
    with pytest.raises(exception.FirewallSetupFailed) as caught:
        scene.driver.apply(NAME, [NIC, victim], ruleset)
    assert caught.value.kwargs['vif'] == victim.device
    scene.driver.apply(OTHER, [PEER], ruleset)
    assert passes(scene, 1000) == (True, True)
    mark = packets.mark(victim.first_hop.mac, packets.v4(victim), 9999)
    scene.ports[PEER.device].drain()
    scene.ports[victim.device].send(mark)
    assert scene.passes(NIC, PEER, packets.udp(NIC, PEER, 8))
    assert mark not in scene.ports[PEER.device].drain()


def test_a_group_that_does_not_load_stays_as_it_was(scene: Scene) -> None:
    apply(scene)
    others = packets.nic(1, 0, groups=('h',))
    scene.plug(others)
    with pytest.raises(exception.FirewallSetupFailed, match='group g'):
        scene.driver.refresh(
            rules.Ruleset(groups=(bad_group('g'), group('h', rule(protocol='udp'))))
        )
    assert passes(scene, 1000) == (True, True)
    scene.driver.apply('instance-00000003', [others], rules.Ruleset())
    assert scene.passes(PEER, others, packets.udp(PEER, others, 7))
    assert not scene.passes(others, PEER, packets.udp(others, PEER, 7))


def test_a_restart_closes_only_what_does_not_load(scene: Scene, backend: str) -> None:
    ruleset = rules.Ruleset(groups=(*OPEN.groups, bad_group('bad')))
    victim = packets.nic(1, 0, groups=('bad',))
    again = iptables.IptablesFirewall(backend)
    again.init_host({NAME: [NIC], 'instance-00000003': [victim], OTHER: [PEER]}, ruleset)
    assert passes(scene, 1000) == (True, True)
    with pytest.raises(exception.FirewallSetupFailed, match=victim.device):
        again.apply('instance-00000003', [victim], ruleset)


def test_many_at_once_are_loaded_together(
    scene: Scene, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one whose rules do not load fails alone."""
    loads: list[int] = []
    change = privileged_iptables.change

    def count(*words: Any) -> None:
        loads.append(1)
        change(*words)

    monkeypatch.setattr(privileged_iptables, 'change', count)
    ruleset = rules.Ruleset(groups=(*OPEN.groups, bad_group('bad')))
    names = [f'instance-{number:08x}' for number in range(16, 48)]
    failed = []

    def start(name: str, number: int) -> None:
        groups = ('bad',) if number == 20 else ('g',)
        try:
            scene.driver.prepare(name, [packets.nic(number, 0, groups=groups)], ruleset)
        except exception.FirewallSetupFailed as exc:
            failed.append((name, exc.kwargs['vif']))
        finally:
            nft.close()
            link.close()

    threads = [
        threading.Thread(target=start, args=(name, number)) for number, name in enumerate(names, 16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [(names[4], packets.nic(20).device)]
    # One by one for the batch with the bad one, should all the others be in it.
    assert len(loads) < 2 * len(names)
    text = run(f'iptables-{backend}-save', '-t', 'mangle')
    assert text.count('-g nova-e-') == len(names) - 1


def test_a_host_without_the_tools_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, '_SEARCH_PATH', '/nonexistent')
    with pytest.raises(exception.FirewallSetupFailed, match=r'iptables.* is not installed'):
        apply(scene)
