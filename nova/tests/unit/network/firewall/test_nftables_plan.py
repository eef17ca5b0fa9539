"""What the nftables driver would have the kernel do."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from nova.network.firewall import nftables_plan, rules

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


def test_two_nics(golden: Callable[[str, str], None]) -> None:
    state = nftables_plan.plan_state([nic(0, 'g'), nic(1)], ruleset(22, 80), BRIDGES)
    golden('network/nftables.nft', '\n'.join(nftables_plan.render_everything(state)) + '\n')


def test_what_is_so_is_left_alone() -> None:
    state = nftables_plan.plan_state([nic(0, 'g'), nic(1)], ruleset(22), BRIDGES)
    assert nftables_plan.render_change(state, state) == ()


def test_one_nic_more_of_a_kind_is_only_elements() -> None:
    twin = dataclasses.replace(nic(0, 'g'), device='tapffffffffffff', vif_id='twin')
    before = nftables_plan.plan_state([nic(0, 'g')], ruleset(22), BRIDGES)
    after = nftables_plan.plan_state([nic(0, 'g'), twin], ruleset(22), BRIDGES)
    lines = nftables_plan.render_change(before, after)
    assert lines
    assert all(line.startswith('add element bridge nova ') for line in lines)


def test_a_rule_more_is_one_chain() -> None:
    before = nftables_plan.plan_state([nic(0, 'g')], ruleset(22), BRIDGES)
    after = nftables_plan.plan_state([nic(0, 'g')], ruleset(22, 80), BRIDGES)
    chain = nftables_plan.group_chain('g', rules.Direction.INGRESS)
    lines = nftables_plan.render_change(before, after)
    assert len(lines) == 3
    assert all(f' chain bridge nova {chain}' in line or f' {chain} ' in line for line in lines)


def test_a_nic_whose_bridge_is_unknown_stays_closed() -> None:
    state = nftables_plan.plan_state([nic(0)], rules.Ruleset(), {})
    assert not state.elements


def test_tables_of_another_version_are_not_adopted() -> None:
    state = nftables_plan.plan_state([nic(0)], rules.Ruleset(), BRIDGES)
    assert nftables_plan.parse_state([], state) is None
