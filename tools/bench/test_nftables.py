"""What changes cost the nftables driver, against the same batch by bare libnftables.

Needs root; it works in a network namespace of its own. Processor time, children included, the best
of several rounds in turn.
"""

from __future__ import annotations

import pytest

from bench.figures import Figures
from bench.policies import (
    MEMBERS,
    ROUNDS,
    build_group,
    build_nic,
    compare_rule_changes,
    cost,
    make_connections,
)
from nova.network.firewall import nftables, nftables_change, nftables_plan, rules
from nova.privileged import nft

#: What is asked of one NIC more: times the floor, times the cheapest whatever is there, and
#: seconds.
OVER_FLOOR, OVER_FEWER, AT_MOST_S = 3.0, 2.0, 0.002


@pytest.fixture
def driver(namespace: None) -> nftables.NftablesFirewall:
    return nftables.NftablesFirewall()


def delta(nic: rules.NicPolicy, ruleset: rules.Ruleset, present: rules.NicPolicy) -> str:
    """The batch that adds a NIC where there is another one."""
    bridge = nftables_plan.BridgeFacts(name='br0', number=1, mac='02:00:00:00:00:01')
    plan = nftables_plan.Plan()
    plan.follow({present.device: present}, ruleset, {'br0': bridge})
    change = plan.follow({nic.device: nic}, ruleset, {'br0': bridge})
    return '\n'.join(nftables_change.render_change(*change))


def compare(
    driver: nftables.NftablesFirewall, group: str, other: str, ruleset: rules.Ruleset
) -> tuple[float, float]:
    """Seconds for one NIC more in a group, and for the same as a bare batch."""
    ours, floor = [], []
    for number in range(10_000, 10_000 + ROUNDS):
        nic = build_nic(number, group)
        bare = delta(build_nic(number + 20_000, other), ruleset, build_nic(1))
        ours.append(cost(driver.apply, 'new', [nic], ruleset))
        floor.append(cost(nft._run, bare))
        driver.remove('new')
        if other != 'g':
            driver.repair()
        # or the next change would pay for the end of what was removed
        nft._run(delta(build_nic(number + 40_000), ruleset, build_nic(1)))
    return min(ours), min(floor)


def test_one_nic_more(driver: nftables.NftablesFirewall, figures: Figures) -> None:
    ruleset = rules.Ruleset(groups=(build_group('g', 10),))
    found = []
    for present in (0, 100, 1000, 4000):
        guests = {f'guest-{number}': [build_nic(number)] for number in range(1, present + 2)}
        driver.init_host(guests, ruleset)
        ours, floor = compare(driver, 'g', 'g', ruleset)
        what = f'nftables: a NIC more where there are {present}'
        figures.compare(f'{what}, over bare libnftables', ours, floor, OVER_FLOOR)
        figures.limit(what, ours, AT_MOST_S)
        found.append(ours)
    figures.compare(
        'nftables: a NIC more, dearest over cheapest', max(found), min(found), OVER_FEWER
    )


def test_one_nic_more_among_200_of_422_rules_each(
    driver: nftables.NftablesFirewall, figures: Figures
) -> None:
    """Of a group of its own, so that none of its rules is there yet; 84,400 are."""
    names = [f'group-{number}' for number in range(200)]
    groups = [build_group(name, 422) for name in ('g', 'new', 'bare', *names)]
    ruleset = rules.Ruleset(groups=tuple(groups))
    guests = {name: [build_nic(n, name)] for n, name in enumerate(names, 2)}
    driver.init_host({'first': [build_nic(1)], **guests}, ruleset)
    ours, floor = compare(driver, 'new', 'bare', ruleset)
    what = 'nftables: a NIC more, with 422 rules, where there are 200 such'
    figures.compare(what, ours, floor, OVER_FLOOR)


def test_a_rule_more_or_less_in_a_large_group(
    driver: nftables.NftablesFirewall, figures: Figures
) -> None:
    """The rules of the group change, not what its NICs have; members are a set. Each NIC has a
    connection, which stays: whoever takes a rule away has to look at all of them."""
    guests = {f'guest-{number}': [build_nic(number)] for number in range(MEMBERS)}
    few, many = (rules.Ruleset(groups=(build_group('g', n, members=MEMBERS),)) for n in (10, 11))
    driver.init_host(guests, few)
    make_connections(MEMBERS, driver._bridges['br0'].number)
    more, less = render_rule_change(few, many), render_rule_change(many, few)
    bare = (lambda: nft._run(more), lambda: nft._run(less))
    what = f'nftables, a group of {MEMBERS} NICs'
    compare_rule_changes(figures, what, driver, (few, many), bare)


def render_rule_change(before: rules.Ruleset, after: rules.Ruleset) -> str:
    """The batch for a group that NICs are in already."""
    plan = nftables_plan.Plan()
    bridge = nftables_plan.BridgeFacts(name='br0', number=1, mac='02:00:00:00:00:01')
    nic = build_nic(1)
    plan.follow({nic.device: nic}, before, {'br0': bridge})
    change = plan.follow({}, after, {'br0': bridge})
    return '\n'.join(nftables_change.render_change(*change))
