"""What changes cost the nftables driver, against the same batch by bare libnftables.

Needs root; it works in a network namespace of its own. Processor time, children included, the best
of several rounds in turn.
"""

from __future__ import annotations

from collections.abc import Callable
import resource

import pytest

from nova.network.firewall import nftables, nftables_change, nftables_plan, rules
from nova.privileged import nft

ROUNDS = 9
#: The bounds: times the floor, times the cheapest, and seconds.
OVER_FLOOR, OVER_FEWER, AT_MOST_S = 3.0, 2.0, 0.002
#: Seconds for a change of a group, however many NICs are in it.
AT_MOST_RULE_S = 0.05


def build_group(name: str, count: int, *, members: int = 0) -> rules.SecurityGroup:
    """Rules for ports; with ``members``, from members of the group, which are so many NICs."""
    return rules.SecurityGroup(
        id=name,
        rules=tuple(
            rules.parse_rule(
                rule_id=f'{name}-{port}',
                direction='ingress',
                protocol='tcp',
                port_min=port,
                remote_group_id=name if members else None,
            )
            for port in range(1, count + 1)
        ),
        members=tuple(
            rules.GroupMember(network_id='network', address=address)
            for number in range(members)
            for address in (build_nic(number).first_hop.ipv4[0], f'2001:db8::{number:x}')
        ),
    )


def build_nic(number: int, group: str = 'g') -> rules.NicPolicy:
    mac = f'fa:16:3e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}'
    return rules.NicPolicy(
        vif_id=str(number),
        device=f'tap{number:012x}',
        bridge='br0',
        network_id='network',
        first_hop=rules.FirstHop(
            mac=mac,
            ipv4=(f'10.{number >> 16}.{number >> 8 & 255}.{number & 255}',),
            ipv6=(rules.build_link_local(mac), f'2001:db8::{number:x}'),
            dhcp_servers=('10.0.0.1',),
        ),
        groups=(group,),
    )


@pytest.fixture
def driver(namespace: None) -> nftables.NftablesFirewall:
    return nftables.NftablesFirewall()


def cost(action: Callable[[], object]) -> float:
    """Processor seconds."""

    def spent() -> float:
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in used)

    before = spent()
    action()
    return spent() - before


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
        ours.append(cost(lambda nic=nic: driver.apply('new', [nic], ruleset)))
        driver.remove('new')
        floor.append(cost(lambda bare=bare: nft._run(bare)))
        if other != 'g':
            driver.repair()
    return min(ours), min(floor)


def test_one_nic_more(driver: nftables.NftablesFirewall) -> None:
    """Within three times the floor and 2 ms, and the same whatever is there."""
    ruleset = rules.Ruleset(groups=(build_group('g', 10),))
    found = {}
    for present in (0, 100, 1000, 4000):
        guests = {f'guest-{number}': [build_nic(number)] for number in range(1, present + 2)}
        driver.init_host(guests, ruleset)
        ours, floor = compare(driver, 'g', 'g', ruleset)
        found[present] = ours, ours / floor
        print(f'{present} NICs: {ours * 1e3:.2f} ms, {ours / floor:.2f} times the floor')
    assert max(ours for ours, _ratio in found.values()) <= AT_MOST_S
    assert max(ratio for _ours, ratio in found.values()) <= OVER_FLOOR
    cheapest = min(ours for ours, _ratio in found.values())
    assert max(ours for ours, _ratio in found.values()) <= OVER_FEWER * cheapest


def test_one_nic_more_among_200_of_422_rules_each(driver: nftables.NftablesFirewall) -> None:
    """Of a group of its own, so that none of its rules is there yet; 84,400 are."""
    names = [f'group-{number}' for number in range(200)]
    groups = [build_group(name, 422) for name in ('g', 'new', 'bare', *names)]
    ruleset = rules.Ruleset(groups=tuple(groups))
    guests = {name: [build_nic(n, name)] for n, name in enumerate(names, 2)}
    driver.init_host({'first': [build_nic(1)], **guests}, ruleset)
    ours, floor = compare(driver, 'new', 'bare', ruleset)
    print(f'200 NICs x 422 rules: {ours * 1e3:.1f} ms, {ours / floor:.2f} times the floor')
    assert ours <= OVER_FLOOR * floor


def test_a_rule_more_in_a_group_of_2000_nics(driver: nftables.NftablesFirewall) -> None:
    """The rules of one group change, not what its NICs have; members are a set."""
    guests = {f'guest-{number}': [build_nic(number)] for number in range(2000)}
    rulesets = [rules.Ruleset(groups=(build_group('g', n, members=2000),)) for n in (10, 11)]
    driver.init_host(guests, rulesets[0])
    texts = []
    for before, after in (rulesets, rulesets[::-1]):
        plan = nftables_plan.Plan()
        bridge = nftables_plan.BridgeFacts(name='br0', number=1, mac='02:00:00:00:00:01')
        nic = build_nic(1)
        plan.follow({nic.device: nic}, before, {'br0': bridge})
        texts.append(
            '\n'.join(nftables_change.render_change(*plan.follow({}, after, {'br0': bridge})))
        )
    added, removed, floor = [], [], []
    for _round in range(ROUNDS):
        added.append(cost(lambda: driver.refresh(rulesets[1])))
        removed.append(cost(lambda: driver.refresh(rulesets[0])))
        floor.append(cost(lambda: [nft._run(text) for text in texts]) / 2)
    least = min(floor)
    for name, found in (('more', added), ('less', removed)):
        print(f'a rule {name}: {min(found) * 1e3:.1f} ms, {min(found) / least:.1f} times the floor')
    assert min(added) <= AT_MOST_RULE_S
    assert min(removed) <= AT_MOST_RULE_S
