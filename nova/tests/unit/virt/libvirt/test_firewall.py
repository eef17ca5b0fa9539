from __future__ import annotations

import dataclasses
import time

import pytest

libvirt = pytest.importorskip('libvirt', reason='libvirt-python is in the extra "libvirt"')

from nova import exception
from nova.network import model
from nova.network.firewall import noop, rules
from nova.tests.unit.virt.instances import make_network_info, make_vif
from nova.tests.unit.virt.libvirt.fakelibvirt import (
    FakeDaemon,
    FakeDomain,
    FakeSets,
    Tracked,
    error,
)
from nova.virt.libvirt import filters, firewall, groupfilters, host

NAME = 'instance-0000002a'


class Agreeing(noop.NoopFirewall):
    """Has in force whatever it is asked about."""

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        return True


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def sets() -> FakeSets:
    return FakeSets()


@pytest.fixture
def forgotten() -> list[str]:
    """The taps of which nothing may be left."""
    return []


@pytest.fixture
def kernel() -> Tracked:
    return Tracked()


@pytest.fixture
def made(
    daemon: FakeDaemon, forgotten: list[str], sets: FakeSets, kernel: Tracked
) -> firewall.NWFilterFirewall:
    libvirt_host = host.Host('qemu:///system', open_connection=daemon.open)
    driver = firewall.NWFilterFirewall(libvirt_host, forgotten.append, Agreeing(), sets, kernel)
    driver.init_host({}, rules.Ruleset())
    daemon.calls.clear()
    return driver


def policies(*vifs: model.VIF, groups: tuple[str, ...] | None = None) -> list[rules.NicPolicy]:
    return [rules.build_nic_policy(vif, groups) for vif in vifs]


def own(daemon: FakeDaemon) -> set[str]:
    """The filters beyond those that all NICs share."""
    return daemon.filters.keys() - {shared.name for shared in filters.SHARED}


def ruleset(*addresses: str, port: int = 22) -> rules.Ruleset:
    """The group ``g``, which lets the members of ``peers`` in."""
    found = rules.parse_rule(
        rule_id='r', direction='ingress', protocol='tcp', port_min=port, remote_group_id='peers'
    )
    members = tuple(
        rules.GroupMember(network_id=make_vif(0).network.id, address=a) for a in addresses
    )
    return rules.Ruleset(
        groups=(
            rules.SecurityGroup(id='g', rules=(found,)),
            rules.SecurityGroup(id='peers', members=members),
        )
    )


def test_init_host_makes_what_is_missing(daemon: FakeDaemon, made: object) -> None:
    driver = firewall.NWFilterFirewall(
        host.Host('qemu:///system', open_connection=daemon.open),
        lambda _device: None,
        noop.NoopFirewall(),
        sets := FakeSets(),
        Tracked(),
    )
    daemon.filters = {'nova-base-00000000': '', 'nova-base-ipv4-11111111': '', 'clean-traffic': ''}
    daemon.used = {'nova-base-ipv4-11111111'}
    sets.entries = {'nova-m4-gone': set()}
    driver.init_host({}, rules.Ruleset())
    assert own(daemon) == {'nova-base-ipv4-11111111', 'clean-traffic'}
    assert set(sets.entries) == {used.name for used in filters.SHARED_SETS}
    daemon.calls.clear()
    driver.init_host({}, rules.Ruleset())
    assert 'nwfilterDefineXML' not in daemon.calls


def test_init_host_knows_the_guests_that_are_there(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall
) -> None:
    vif, gone = make_vif(0), make_vif(1)
    made.apply(NAME, policies(vif), rules.Ruleset())
    made.apply('instance-00000001', policies(gone), rules.Ruleset())
    made.init_host({NAME: policies(vif)}, rules.Ruleset())
    assert own(daemon) == {filters.filter_name(NAME, vif.mac)}


def test_a_group_is_a_filter_that_its_nics_share(
    daemon: FakeDaemon, sets: FakeSets, made: firewall.NWFilterFirewall
) -> None:
    vif = make_vif(0)
    shared = set(sets.entries)
    made.apply(NAME, policies(vif, groups=('g',)), ruleset('10.0.0.77'))
    group = groupfilters.group_name('g', vif.network.id)
    assert own(daemon) == {filters.filter_name(NAME, vif.mac), group}
    assert group in daemon.filters[filters.filter_name(NAME, vif.mac)]
    (members,) = sets.entries.keys() - shared
    assert sets.entries[members] == {'10.0.0.77,6:22-22'}
    # Who is in the other group, and single ports, change the set only.
    daemon.calls.clear()
    made.refresh(ruleset('10.0.0.78'))
    assert sets.entries[members] == {'10.0.0.78,6:22-22'}
    assert 'nwfilterDefineXML' not in daemon.calls
    made.refresh(ruleset('10.0.0.78', port=23))
    assert sets.entries[members] == {'10.0.0.78,6:23-23'}
    assert 'nwfilterDefineXML' not in daemon.calls
    everything = rules.parse_rule(rule_id='e', direction='egress')
    made.refresh(rules.Ruleset(groups=(rules.SecurityGroup(id='g', rules=(everything,)),)))
    assert daemon.calls.count('nwfilterDefineXML') == 1
    assert "<all state='NONE'/>" in daemon.filters[group]
    made.remove(NAME)
    assert own(daemon) == set()
    assert set(sets.entries) == shared


def test_nothing_is_defined_twice(daemon: FakeDaemon, made: firewall.NWFilterFirewall) -> None:
    nics = policies(*make_network_info(3), groups=('g',))
    made.apply(NAME, nics, ruleset('10.0.0.77'))
    daemon.calls.clear()
    made.apply(NAME, nics, ruleset('10.0.0.77'))
    made.refresh(ruleset('10.0.0.77'))
    assert daemon.calls == []


def test_remove_takes_this_instances_filters_and_no_others(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall
) -> None:
    vifs = make_network_info(3)
    for number, name in enumerate((NAME, 'instance-0000002', 'instance-0000002ab')):
        moved = [make_vif(3 * number + vif.index) for vif in vifs]
        made.prepare(name, policies(*moved), rules.Ruleset())
    strange = f'nova-instance-{NAME}-fa163e999999'
    daemon.filters[strange] = ''
    made.remove(NAME)
    made.remove(NAME)
    assert len(own(daemon)) == 6
    assert not [name for name in daemon.filters if f'{NAME}-' in name]


def test_what_libvirt_left_of_a_tap_goes_with_its_filter(
    made: firewall.NWFilterFirewall, forgotten: list[str]
) -> None:
    first, second, third = make_network_info(3)
    made.prepare(NAME, policies(first, second, third), rules.Ruleset())
    # Of an earlier start, whose end left something.
    assert forgotten == [first.device, second.device, third.device]
    forgotten.clear()
    made.remove(NAME, [first.device])
    assert forgotten == [first.device]
    made.remove(NAME)
    assert forgotten == [first.device, *sorted([second.device, third.device])]


def test_remove_waits_while_libvirt_still_counts_a_user(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall, monkeypatch: pytest.MonkeyPatch
) -> None:
    vif = make_vif(0)
    made.prepare(NAME, policies(vif), rules.Ruleset())
    daemon.used = {filters.filter_name(NAME, vif.mac)}
    waits: list[float] = []

    def release(seconds: float) -> None:
        waits.append(seconds)
        daemon.used.clear()

    monkeypatch.setattr(time, 'sleep', release)
    made.remove(NAME)
    assert len(waits) == 1
    assert own(daemon) == set()


def test_libvirts_refusal_concerns_the_instance_only(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall
) -> None:
    daemon.refuse['nwfilterDefineXML'] = [error(libvirt.VIR_ERR_INTERNAL_ERROR, 'no ebtables')]
    with pytest.raises(exception.FirewallSetupFailed, match=NAME) as caught:
        made.prepare(NAME, policies(make_vif(5)), rules.Ruleset())
    assert 'no ebtables' in str(caught.value)
    daemon.refuse['nwfilterDefineXML'] = [error(libvirt.VIR_ERR_INTERNAL_ERROR, 'no ebtables')]
    made.prepare('instance-00000001', policies(make_vif(6)), rules.Ruleset())
    assert own(daemon) == {filters.filter_name('instance-00000001', make_vif(6).mac)}
    # It is tried again whenever something is said.
    made.apply(NAME, policies(make_vif(5)), rules.Ruleset())
    assert filters.filter_name(NAME, make_vif(5).mac) in daemon.filters


def test_a_nic_is_held_if_all_of_its_filters_are_there(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall
) -> None:
    (nic,) = policies(make_vif(0), groups=('g',))
    assert not made.holds(nic, ruleset())
    made.apply(NAME, [nic], ruleset())
    assert made.holds(nic, ruleset())
    del daemon.filters[groupfilters.group_name('g', nic.network_id)]
    assert not made.holds(nic, ruleset())


def test_rules_that_were_lost_are_made_anew(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall, kernel: Tracked
) -> None:
    """By another definition; in the end it is what a new service would define."""
    first, second = policies(make_vif(0), make_vif(1))
    made.apply(NAME, [first, second], rules.Ruleset())
    before = dict(daemon.filters)
    daemon.filtered = {first.device, second.device}
    assert not made.repair()
    kernel.flushed, kernel.is_on = [{second.device}], False
    assert not made.holds(second, rules.Ruleset())
    daemon.defined.clear()
    assert made.repair()
    kernel.flushed = [set()]
    assert made.holds(second, rules.Ruleset())
    assert not made.repair()
    other, same = daemon.defined
    name = filters.filter_name(NAME, second.first_hop.mac)
    assert (f"name='{name}'" in other, same) == (True, before[name])
    assert other != same
    assert daemon.filters == before


def test_rules_that_libvirt_is_busy_with_are_not_lost(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall, kernel: Tracked
) -> None:
    """Of a NIC whose rules are there at the second look, and of one that is gone then."""
    coming, going = policies(make_vif(0), make_vif(1))
    made.apply(NAME, [coming, going], rules.Ruleset())
    before = dict(daemon.filters)
    daemon.filtered = {coming.device}
    kernel.flushed = [{coming.device, going.device}, {going.device}]
    assert not made.repair()
    assert daemon.filters == before


def start_guest(daemon: FakeDaemon, *nics: rules.NicPolicy) -> FakeDomain:
    interfaces = ''.join(
        f"<interface><mac address='{nic.first_hop.mac}'/><target dev='{nic.device}'/>"
        f"<filterref filter='{filters.filter_name(NAME, nic.first_hop.mac)}'/></interface>"
        for nic in nics
    )
    xml = f'<domain><uuid>u</uuid><name>{NAME}</name><devices>{interfaces}</devices></domain>'
    domain = daemon.open('qemu:///system').defineXML(xml)
    domain.create()
    return domain


def test_a_filter_that_was_taken_away_is_in_force_again(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall, kernel: Tracked
) -> None:
    first, second = policies(make_vif(0), make_vif(1))
    made.apply(NAME, [first, second], rules.Ruleset())
    start_guest(daemon, first, second)
    before = dict(daemon.filters)
    daemon.filtered, kernel.flushed = {first.device}, [{second.device}]
    assert made.repair()
    assert daemon.filtered == {first.device, second.device}
    assert daemon.filters == before
    (bound,) = daemon.bound
    assert bound == (
        f'<filterbinding><owner><name>{NAME}</name><uuid>u</uuid></owner>'
        f'<portdev name="{second.device}" /><mac address="{second.first_hop.mac}" />'
        f'<filterref filter="{filters.filter_name(NAME, second.first_hop.mac)}" />'
        '</filterbinding>'
    )
    kernel.flushed = [set()]
    assert not made.repair()


def test_who_starts_or_ends_is_left_to_libvirt(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall, kernel: Tracked
) -> None:
    (nic,) = policies(make_vif(0))
    made.apply(NAME, [nic], rules.Ruleset())
    kernel.flushed = [{nic.device}]
    assert not made.repair()
    domain = start_guest(daemon, nic)
    domain.starting = True
    assert not made.repair()
    domain.starting = domain.active = False
    assert not made.repair()
    assert daemon.bound == []
    domain.active, domain.vanishing = True, True
    assert not made.repair()
    assert len(daemon.bound) == 1
    assert daemon.filtered == set()
    domain = start_guest(daemon, nic)
    domain.undefined = True
    assert not made.repair()
    assert len(daemon.bound) == 2
    assert daemon.filtered == set()


def test_a_filter_that_cannot_be_bound_leaves_the_others(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall, kernel: Tracked
) -> None:
    nics = policies(make_vif(0), make_vif(1))
    made.apply(NAME, nics, rules.Ruleset())
    start_guest(daemon, *nics)
    kernel.flushed = [{nic.device for nic in nics}]
    daemon.refuse['nwfilterBindingCreateXML'] = [error(libvirt.VIR_ERR_INTERNAL_ERROR)]
    first, second = sorted(nic.device for nic in nics)
    assert made.repair()
    assert daemon.filtered == {second}
    assert made.repair()
    assert daemon.filtered == {first, second}


def test_a_set_that_is_refused_is_that_of_its_guests_only(
    sets: FakeSets, made: firewall.NWFilterFirewall
) -> None:
    other = 'instance-00000001'
    (nic,) = policies(make_vif(0), groups=('g',))
    (theirs,) = policies(make_vif(2), groups=('h',))
    single = rules.parse_rule(rule_id='s', direction='ingress', protocol='udp', port_min=53)
    bad = dataclasses.replace(single, remote_cidr='10.0.0.300/8')
    found = rules.Ruleset(
        groups=(
            rules.SecurityGroup(id='g', rules=(single,)),
            rules.SecurityGroup(id='h', rules=(bad,)),
        )
    )
    sets.refused = '10.0.0.300'
    made.apply(NAME, [nic], found)
    with pytest.raises(exception.FirewallSetupFailed, match='no address'):
        made.apply(other, [theirs], found)
    made.apply(NAME, [nic], found)
    entries = set().union(*sets.entries.values())
    assert '128.0.0.0/1,17:53-53' in entries
