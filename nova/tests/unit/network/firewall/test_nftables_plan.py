"""What the nftables driver would have the kernel do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses

from nova.network.firewall import nftables_base, nftables_change, nftables_plan, rules

BRIDGES = {
    f'br{n}': nftables_plan.BridgeFacts(name=f'br{n}', number=n + 1, mac=f'02:00:00:00:00:0{n}')
    for n in range(2)
}


def nic(number: int, *groups: str) -> rules.NicPolicy:
    return rules.NicPolicy(
        vif_id=f'v{number}',
        device=f'tap{number:012x}',
        bridge=f'br{number}',
        network_id=f'n{number}',
        first_hop=rules.FirstHop(
            mac=f'fa:16:3e:00:00:0{number}',
            ipv4=(f'10.{number}.0.5',),
            ipv6=(f'fe80::{number + 1}',),
            dhcp_servers=(f'10.{number}.0.2',),
        ),
        groups=groups or None,
    )


def ruleset(*ports: int) -> rules.Ruleset:
    found = tuple(
        rules.parse_rule(
            rule_id=str(port),
            direction='ingress',
            protocol='tcp',
            port_min=port,
            remote_group_id='g',
        )
        for port in ports
    )
    member = rules.GroupMember(network_id='n0', address='10.0.0.5')
    return rules.Ruleset(groups=(rules.SecurityGroup(id='g', rules=found, members=(member,)),))


def follow(
    plan: nftables_plan.Plan, nics: Iterable[rules.NicPolicy], wanted: rules.Ruleset
) -> tuple[str, ...]:
    """The batch that takes these NICs in."""
    found = {nic.device: nic for nic in nics}
    return nftables_change.render_change(*plan.follow(found, wanted, BRIDGES))


def plan_of(nics: Iterable[rules.NicPolicy], wanted: rules.Ruleset) -> nftables_plan.Plan:
    plan = nftables_plan.Plan()
    follow(plan, nics, wanted)
    return plan


def test_two_nics(golden: Callable[[str, str], None]) -> None:
    state = plan_of([nic(0, 'g'), nic(1)], ruleset(22, 80)).state()
    golden('network/nftables.nft', '\n'.join(nftables_change.render_everything(state)) + '\n')


def test_what_is_so_is_left_alone() -> None:
    nics = [nic(0, 'g'), nic(1)]
    plan = plan_of(nics, ruleset(22))
    assert follow(plan, nics, ruleset(22)) == ()


def test_one_nic_more_of_a_kind_is_only_elements_that_lead_nowhere() -> None:
    """An element with a chain would have the kernel walk through all of them."""
    twin = dataclasses.replace(nic(0, 'g'), device='tapffffffffffff', vif_id='twin')
    plan = plan_of([nic(0, 'g')], ruleset(22))
    lines = follow(plan, [twin], ruleset(22))
    assert lines
    assert all(line.startswith('add element bridge nova ') for line in lines)
    assert not any('goto' in line or 'accept' in line for line in lines)


def test_a_rule_more_is_one_chain() -> None:
    plan = plan_of([nic(0, 'g')], ruleset(22))
    chain = nftables_plan.group_chain('g', rules.Direction.INGRESS)
    lines = follow(plan, [], ruleset(22, 80))
    assert len(lines) == 3
    assert all(f' chain bridge nova {chain}' in line or f' {chain} ' in line for line in lines)


def test_a_member_more_is_one_element() -> None:
    plan = plan_of([nic(0, 'g')], ruleset(22))
    (group,) = ruleset(22).groups
    more = rules.GroupMember(network_id='n0', address='10.0.0.6')
    elsewhere = rules.GroupMember(network_id='n9', address='10.0.0.7')
    group = dataclasses.replace(group, members=(*group.members, more, elsewhere))
    name, _types = nftables_plan.member_set('g', 4)
    assert follow(plan, [], rules.Ruleset(groups=(group,))) == (
        f'add element bridge nova {name} {{ 1 . 10.0.0.6 }}',
    )


def test_a_network_that_comes_to_the_host_brings_its_members() -> None:
    plan = plan_of([nic(0, 'g')], ruleset(22))
    members = tuple(rules.GroupMember(network_id=f'n{n}', address=f'10.{n}.0.5') for n in range(2))
    group = dataclasses.replace(ruleset(22).groups[0], members=members)
    follow(plan, [], rules.Ruleset(groups=(group,)))
    key = ('bridge', nftables_plan.member_set('g', 4)[0], '2 . 10.1.0.5')
    assert key not in plan.state().elements
    follow(plan, [nic(1)], rules.Ruleset(groups=(group,)))
    assert key in plan.state().elements


def test_what_comes_and_goes_leaves_nothing() -> None:
    """In whatever order, and whatever was shared."""
    wanted = ruleset(22)
    empty = plan_of([], rules.Ruleset()).state()
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        nics = [nic(0, 'g'), nic(1), dataclasses.replace(nic(0, 'g', 'h'), device='tap2')]
        plan = plan_of(nics, wanted)
        assert plan.state() != empty
        for number in order:
            plan.follow({nics[number].device: None}, wanted, BRIDGES)
        assert plan.state() == empty


def test_step_by_step_as_all_at_once() -> None:
    wanted = ruleset(22, 80)
    nics = [nic(0, 'g'), nic(1, 'g', 'h'), dataclasses.replace(nic(1), device='tap2')]
    plan = plan_of([], ruleset(443))
    for one in nics:
        follow(plan, [one], wanted)
    assert plan.state() == plan_of(nics, wanted).state()


def test_a_nic_whose_bridge_is_unknown_stays_closed() -> None:
    plan = nftables_plan.Plan()
    plan.follow({nic(0).device: nic(0)}, rules.Ruleset(), {})
    assert not plan.state().elements


def test_groups_that_others_judge_leave_the_marks_alone() -> None:
    plan = nftables_plan.Plan(groups_elsewhere=True)
    follow(plan, [nic(0, 'g')], ruleset(22))
    names = {name for _family, name, _key in plan.state().elements}
    assert names.isdisjoint({'numbers', 'combinations'})
    assert not plan.state().chains
    for way, mark in nftables_plan.ADMITTED.items():
        assert plan.state().elements['bridge', f'{way}_groups', str(mark)] == f'{mark} : accept'


def test_numbers_of_combinations() -> None:
    one = nftables_plan.choose_number(('g',), ())
    assert one == nftables_plan.choose_number(('g',), ())
    assert one > 0xFFFF
    assert nftables_plan.choose_number(('g',), {one}) == one + 1
    assert nftables_plan.choose_number(('h',), ()) != one


def test_tables_of_another_version_are_not_adopted() -> None:
    assert nftables_change.parse_state([], plan_of([nic(0)], rules.Ruleset()).state()) is None


def test_a_chain_that_somebody_has_changed_is_not_adopted() -> None:
    chains = [(family, name) for family, name in nftables_base.EVERYTHING.seals]
    chains += [(family, nftables_base.EVERYTHING.version_chain) for family in ('bridge', 'inet')]
    listing = [{'chain': {'family': family, 'name': name}} for family, name in chains]
    for (family, name), (length, comment) in nftables_base.EVERYTHING.seals.items():
        rule = {'family': family, 'chain': name}
        listing += [{'rule': rule}] * (length - 1)
        listing += [{'rule': rule | {'comment': comment}}] * min(length, 1)
    wanted = nftables_plan.State()
    assert nftables_change.parse_state(listing, wanted) == wanted
    more = {'rule': {'family': 'bridge', 'chain': 'from_guest'}}
    assert nftables_change.parse_state([more, *listing], wanted) is None
    fewer = [item for item in listing if item.get('rule', {}).get('chain') != 'from_guest']
    assert nftables_change.parse_state(fewer, wanted) is None
