"""What the iptables driver would have the kernel do."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import hypothesis
from hypothesis import strategies as st
import pytest

from nova.network.firewall import ipsets, iptables_plan, iptables_rules, iptables_text, rules


def nic(number: int, *groups: str, network: int | None = None) -> rules.NicPolicy:
    net = number if network is None else network
    return rules.NicPolicy(
        vif_id=f'v{number}',
        device=f'tap{number:03x}{number:09x}',
        bridge=f'br{net}',
        network_id=f'n{net}',
        first_hop=rules.FirstHop(
            mac=f'fa:16:3e:00:00:{number:02x}',
            ipv4=(f'10.{net}.0.{number + 5}',),
            ipv6=(f'fe80::{number + 1:x}',),
        ),
        groups=groups or None,
    )


def rule(**values: Any) -> rules.SecurityGroupRule:
    return rules.parse_rule(**({'rule_id': 'r', 'direction': 'ingress'} | values))


def group(name: str, *found: rules.SecurityGroupRule, members: int = 0) -> rules.SecurityGroup:
    return rules.SecurityGroup(
        id=name,
        rules=found,
        members=tuple(
            rules.GroupMember(network_id=f'n{n % 2}', address=address)
            for n in range(members)
            for address in (f'10.{n % 2}.0.{n + 5}', f'fe80::{n + 1:x}')
        ),
    )


REMOTE = group('g', rule(protocol='tcp', port_min=22, remote_group_id='g'), members=3)


def host_of(*changes: iptables_plan.Change) -> iptables_plan.Host:
    host = iptables_plan.Host()
    for change in changes:
        host.change(change)
    return host


def put(*nics: rules.NicPolicy) -> list[iptables_plan.Change]:
    return [iptables_plan.NicChange(found.device, found) for found in nics]


def everything(host: iptables_plan.Host) -> iptables_plan.Contents:
    return host.contents(host.parts())


def render(batch: iptables_text.Batch) -> str:
    lines = [
        f'# set {name} {kind} {version} + {" ".join(new)} - {" ".join(gone)}'
        for name, kind, version, new, gone in batch.sets
    ]
    for version, found in batch.tables.items():
        lines += [f'# IPv{version}', *found]
    assert not batch.unused
    return '\n'.join(lines) + '\n'


def test_two_nics(golden: Callable[[str, str], None]) -> None:
    host = host_of(
        iptables_plan.GroupChange('g', REMOTE),
        iptables_plan.ProviderChange((rule(protocol='udp', port_min=19),)),
        *put(nic(0, 'g'), nic(1)),
    )
    batch = iptables_text.render_change(iptables_plan.Contents(), everything(host))
    golden('network/iptables.rules', render(batch))


def test_what_is_so_is_left_alone() -> None:
    wanted = everything(host_of(iptables_plan.GroupChange('g', REMOTE), *put(nic(0, 'g'))))
    assert iptables_text.render_change(wanted, wanted) == iptables_text.Batch()


@pytest.mark.parametrize('present', [1, 100])
def test_one_nic_more_is_one_rule_for_each_way(present: int) -> None:
    """However many there are."""
    there = [nic(number, 'g', network=0) for number in range(present)]
    host = host_of(iptables_plan.GroupChange('g', REMOTE), *put(*there))
    before = everything(host)
    more = dataclasses.replace(nic(200, 'g', network=0), device='tap0ffffffffff')
    parts, inverse = host.change(iptables_plan.NicChange(more.device, more))
    after = host.contents(parts)
    batch = iptables_text.render_change(before, after)
    assert not batch.sets
    ways = {line.partition(' -g ')[0] for line in batch.tables[4]}
    assert ways - {'-A nova-host -d 0.0.0.13/0.0.0.15', ':nova-host-d - [0:0]'} == {
        '-A nova-egress-0 -m physdev --physdev-in tap0ffffffffff',
        '-A nova-ingress-0 -m physdev --physdev-out tap0ffffffffff --physdev-is-bridged',
        '-A nova-host-d -d 10.0.0.205/32 -o br0',
    }
    host.change(inverse)
    undone = set(iptables_text.render_change(after, host.contents(parts)).tables[4])
    assert {line.replace('-D', '-A', 1).partition(' -g ')[0] for line in undone} >= {
        '-A nova-egress-0 -m physdev --physdev-in tap0ffffffffff',
        '-A nova-ingress-0 -m physdev --physdev-out tap0ffffffffff --physdev-is-bridged',
    }


def test_a_rule_more_is_one_chain() -> None:
    host = host_of(iptables_plan.GroupChange('g', REMOTE), *put(nic(0, 'g')))
    before = everything(host)
    more = group('g', *REMOTE.rules, rule(protocol='tcp', port_min=80), members=3)
    parts, _inverse = host.change(iptables_plan.GroupChange('g', more))
    batch = iptables_text.render_change(before, host.contents(parts))
    chain = iptables_rules.group_chain('g', 'n0', rules.Direction.INGRESS)
    assert [line for line in batch.tables[4] if line.startswith(':')] == [f':{chain} - [0:0]']
    assert set(batch.tables) == {4}
    assert batch.sets == ()


def test_a_member_more_is_one_line() -> None:
    host = host_of(iptables_plan.GroupChange('g', REMOTE), *put(nic(0, 'g')))
    before = everything(host)
    member = rules.GroupMember(network_id='n0', address='10.0.0.99')
    more = dataclasses.replace(REMOTE, members=(*REMOTE.members, member))
    parts, _inverse = host.change(iptables_plan.GroupChange('g', more))
    batch = iptables_text.render_change(before, host.contents(parts))
    name = ipsets.member_set_name('g', 'n0', 4)
    assert batch == iptables_text.Batch(sets=((name, 'hash:net', 4, ('10.0.0.99',), ()),))


def test_a_nic_without_a_family_is_not_in_its_tables() -> None:
    only_v4 = nic(0, 'g')
    first_hop = dataclasses.replace(only_v4.first_hop, ipv6=())
    host = host_of(*put(dataclasses.replace(only_v4, first_hop=first_hop)))
    found = everything(host).chains
    assert {name for version, name in found if version == 6} == {
        'nova-egress',
        'nova-ingress',
        'nova-host',
    }
    assert not any(found[6, name] for version, name in found if version == 6)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({'protocol': 0}, '-m u32 --u32 6&0xFF=0'),
        ({'protocol': 0, 'ethertype': 'IPv6'}, '-m u32 --u32 3&0xFF=0'),
        ({'protocol': 'icmp', 'port_min': 255}, '-p 1 -m u32 --u32 0>>22&0x3C@0>>24=255'),
        (
            {'protocol': 'icmp', 'port_min': 255, 'port_max': 3},
            '-p 1 -m u32 --u32 0>>22&0x3C@0>>16=65283',
        ),
    ],
)
def test_numbers_that_mean_everything_to_iptables(values: dict[str, Any], expected: str) -> None:
    """Protocol 0 and ICMP type 255."""
    assert iptables_rules.render_match(rule(**values), 'n0') == expected


def test_names_fit() -> None:
    for way in rules.Direction:
        assert len(iptables_rules.nics_chain(('g' * 255,), 'n' * 36, way)) <= 28
        assert len(iptables_rules.group_chain('g' * 255, 'n' * 36, way)) <= 28
    assert len(ipsets.member_set_name('g' * 255, 'n' * 36, 6)) <= 31


def test_what_was_loaded_is_known_again() -> None:
    host = host_of(iptables_plan.GroupChange('g', REMOTE), *put(nic(0, 'g'), nic(1)))
    wanted = everything(host)
    batch = iptables_text.render_change(iptables_plan.Contents(), wanted)
    foreign = [':PREROUTING ACCEPT [0:0]', ':mine - [0:0]', '-A mine -j nova-egress']
    foreign += [':nova-compute-local - [0:0]', '-A nova-compute-local -j RETURN']
    found = iptables_plan.Contents(sets=iptables_text.parse_sets(save_sets(batch)))
    for version, lines in batch.tables.items():
        text = '\n'.join((*foreign, *lines))
        found.chains.update(iptables_text.parse_chains(text, version, wanted))
    assert iptables_text.render_change(found, wanted) == iptables_text.Batch()
    assert found.chains.keys() == wanted.chains.keys()


def save_sets(batch: iptables_text.Batch) -> str:
    """As ``ipset save`` prints them."""
    lines = []
    for name, kind, _version, new, _gone in batch.sets:
        lines += [f'create {name} {kind} family inet bucketsize 12 initval 0xd39f3c5d']
        lines += [f'add {name} {entry}' for entry in new]
    return '\n'.join(lines)


@pytest.mark.parametrize('chain', ['nova-egress', 'nova-host-5', 'nova-gi-'])
def test_what_somebody_changed_is_seen(chain: str) -> None:
    """A rule that is gone, and one that is too much."""
    host = host_of(*put(nic(0, 'g')), iptables_plan.GroupChange('g', REMOTE))
    wanted = everything(host)
    lines = iptables_text.render_change(iptables_plan.Contents(), wanted).tables[4]
    place = next(at for at, line in enumerate(lines) if line.startswith(f'-A {chain}'))
    name = lines[place].split()[1]
    for changed in (
        lines[:place] + lines[place + 1 :],
        (*lines[: place + 1], f'-A {name} -j ACCEPT', *lines[place + 1 :]),
    ):
        found = iptables_plan.Contents(iptables_text.parse_chains('\n'.join(changed), 4, wanted))
        batch = iptables_text.render_change(found, wanted)
        assert batch.tables[4]
        assert all(f' {name} ' in line or f':{name} ' in line for line in batch.tables[4])


def test_hooks_that_are_there_are_not_made() -> None:
    text = '-A PREROUTING -m physdev  --physdev-in tap+ -j nova-egress\n'
    assert [line.split()[1] for line in iptables_text.render_hooks(())] == [
        'PREROUTING',
        'FORWARD',
        'POSTROUTING',
    ]
    there = iptables_text.parse_hooks(text)
    assert [line.split()[1] for line in iptables_text.render_hooks(there)] == [
        'FORWARD',
        'POSTROUTING',
    ]


_NAMES = ('a', 'b', 'c')
_RULES = st.builds(
    rule,
    direction=st.sampled_from(list(rules.Direction)),
    ethertype=st.sampled_from(list(rules.EtherType)),
    protocol=st.sampled_from((None, 'tcp', 'udp')),
    remote_group_id=st.sampled_from((None, *_NAMES)),
)
_POLICIES = st.builds(
    lambda number, network, groups: dataclasses.replace(
        nic(number, network=network), groups=None if groups is None else tuple(sorted(groups))
    ),
    st.integers(0, 40),
    st.integers(0, 1),
    st.none() | st.sets(st.sampled_from(_NAMES)),
)
_CHANGES = st.one_of(
    st.builds(lambda found: iptables_plan.NicChange(found.device, found), _POLICIES),
    st.builds(lambda found: iptables_plan.NicChange(found.device, None), _POLICIES),
    st.builds(
        lambda name, found, members: iptables_plan.GroupChange(
            name, group(name, *found, members=members)
        ),
        st.sampled_from(_NAMES),
        st.lists(_RULES, max_size=3),
        st.integers(0, 3),
    ),
    st.builds(
        lambda found: iptables_plan.ProviderChange(tuple(found)), st.lists(_RULES, max_size=2)
    ),
)


@hypothesis.given(st.lists(_CHANGES, max_size=12))
def test_step_by_step_is_as_all_at_once(changes: list[iptables_plan.Change]) -> None:
    """What the parts say that a change concerns makes of what was there what there should be."""
    host = iptables_plan.Host()
    there = everything(host)
    for change in changes:
        parts, _inverse = host.change(change)
        there.update(host.contents(parts))
    fresh = host_of(
        *(iptables_plan.GroupChange(name, found) for name, found in host.groups.items()),
        iptables_plan.ProviderChange(host.provider),
        *put(*host.nics.values()),
    )
    assert there == everything(fresh)


@hypothesis.given(st.lists(_CHANGES, max_size=6), _CHANGES)
def test_what_is_undone_was_never_there(
    changes: list[iptables_plan.Change], change: iptables_plan.Change
) -> None:
    host = host_of(*changes)
    before = everything(host)
    _parts, inverse = host.change(change)
    host.change(inverse)
    assert everything(host) == before
