"""What one more NIC costs the iptables driver, against the same lines by ``iptables-restore``.

Needs root; it works in a network namespace of its own. Processor time, children included, the best
of several rounds in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import hashlib
import shutil
import subprocess

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
from nova.network.firewall import (
    iptables,
    iptables_plan,
    iptables_text,
    nftables_change,
    nftables_plan,
    rules,
)
from nova.privileged import nft

#: What is asked of one NIC more.
OVER_FLOOR = 1.5
RULESET = rules.Ruleset(groups=(build_group('g', 10),))


def build(number: int, group: str = 'g') -> rules.NicPolicy:
    """Named as NICs are: by characters that are evenly spread."""
    spread = hashlib.sha256(str(number).encode()).hexdigest()[:11]
    return dataclasses.replace(build_nic(number, group), device=f'tap{spread}')


def restore(texts: Mapping[int, str]) -> None:
    for version, text in texts.items():
        program = {4: 'iptables', 6: 'ip6tables'}[version]
        subprocess.run([f'{program}-nft-restore', '--noflush'], input=text, text=True, check=True)


def plan_bare(
    host: iptables_plan.Host, change: iptables_plan.Change
) -> tuple[dict[int, str], dict[int, str]]:
    """What brings a change about that the driver does not know of, and what takes it back."""
    parts, inverse = host.change(change)
    after = host.contents(parts)
    host.change(inverse)
    before = host.contents(parts)
    texts = []
    for old, new in ((before, after), (after, before)):
        tables = iptables_text.render_change(old, new).tables
        texts.append(
            {v: '\n'.join(('*mangle', *found, 'COMMIT', '')) for v, found in tables.items()}
        )
    return texts[0], texts[1]


def plan_first_hop(nic: rules.NicPolicy, present: rules.NicPolicy) -> str:
    """The batch of nftables that adds the NIC's first hop."""
    bridge = {'br0': nftables_plan.BridgeFacts(name='br0', number=1, mac='02:00:00:00:00:01')}
    plan = nftables_plan.Plan(groups_elsewhere=True)
    plan.follow({present.device: present}, RULESET, bridge)
    change = plan.follow({nic.device: nic}, RULESET, bridge)
    return '\n'.join(nftables_change.render_change(*change))


@pytest.fixture
def driver(namespace: None) -> iptables.IptablesFirewall:
    if shutil.which('iptables-nft-restore') is None:
        pytest.skip('needs iptables-nft')
    return iptables.IptablesFirewall('nft')


@pytest.mark.parametrize('present', [0, 100, 1000, 4000])
def test_one_nic_more(driver: iptables.IptablesFirewall, figures: Figures, present: int) -> None:
    """Against the same changes by the bare tools: the rules by ``iptables-restore`` alone, and all
    of it with the first hop by libnftables."""
    guests = {f'guest-{number}': [build(number)] for number in range(1, present + 2)}
    driver.init_host(guests, RULESET)
    found: dict[str, list[float]] = {'rules': [], 'all': [], 'bare': [], 'bare first hop': []}
    # three times as many, since half a millisecond more or less is a seventh of the smallest
    for number in range(10_000, 10_000 + 3 * ROUNDS):
        nic, other = build(number), build(number + 20_000)
        found['rules'].append(cost(driver._load, [nic], (), RULESET))
        driver._load((), [nic.device])
        found['all'].append(cost(driver.apply, 'new', [nic], RULESET))
        driver.remove('new')
        change = iptables_plan.NicChange(other.device, other)
        add, remove = plan_bare(driver._loader.host, change)
        found['bare'].append(cost(restore, add))
        restore(remove)
        batch = plan_first_hop(other, build(1))
        found['bare first hop'].append(cost(nft._run, batch))
        driver._first_hop.repair()
    least = {name: min(costs) for name, costs in found.items()}
    what = f'iptables-nft: a NIC more where there are {present}'
    figures.compare(f'{what}, its rules', least['rules'], least['bare'], OVER_FLOOR)
    floor = least['bare'] + least['bare first hop']
    figures.compare(f'{what}, with the first hop', least['all'], floor, OVER_FLOOR)


def test_one_nic_more_among_200_of_422_rules_each(
    driver: iptables.IptablesFirewall, figures: Figures
) -> None:
    """Of a group of its own, so that none of its rules is there yet; 84,400 are."""
    names = [f'group-{number}' for number in range(200)]
    groups = [build_group(name, 422) for name in ('new', 'bare', *names)]
    ruleset = rules.Ruleset(groups=tuple(groups))
    driver.init_host({name: [build(n, name)] for n, name in enumerate(names, 2)}, ruleset)
    ours, floor = [], []
    for number in range(10_000, 10_000 + ROUNDS):
        nic, other = build(number, 'new'), build(number + 20_000, 'bare')
        ours.append(cost(driver.apply, 'new', [nic], ruleset))
        driver.remove('new')
        change = iptables_plan.NicChange(other.device, other)
        add, remove = plan_bare(driver._loader.host, change)
        floor.append(cost(restore, add))
        restore(remove)
    what = 'iptables-nft: a NIC more, with 422 rules, where there are 200 such'
    figures.compare(what, min(ours), min(floor), OVER_FLOOR)


def test_a_rule_more_or_less_in_a_large_group(
    driver: iptables.IptablesFirewall, figures: Figures
) -> None:
    """The chain of the group changes, not what leads there; members are a set. Each NIC has a
    connection, which stays: whoever takes a rule away has to look at all of them."""
    guests = {f'guest-{number}': [build(number)] for number in range(MEMBERS)}
    few, many = (rules.Ruleset(groups=(build_group('g', n, members=MEMBERS),)) for n in (10, 11))
    driver.init_host(guests, few)
    make_connections(MEMBERS, driver._first_hop._bridges['br0'].number)
    more, less = plan_bare(driver._loader.host, iptables_plan.GroupChange('g', many.groups[0]))
    bare = (lambda: restore(more), lambda: restore(less))
    what = f'iptables-nft, a group of {MEMBERS} NICs'
    compare_rule_changes(figures, what, driver, (few, many), bare)
