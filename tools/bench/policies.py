"""NICs and groups that the benches of the firewall have in common, and what their changes cost."""

from __future__ import annotations

from collections.abc import Callable
import resource
import subprocess

from bench.figures import Figures
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import rules

NETWORK = 'network'
ROUNDS = 9
#: How many NICs are in a large group.
MEMBERS = 2000
#: What a change of its rules may take, in times of the floor. The driver is told of all members
#: anew, and looks for what has changed; and of each connection it finds out whether it may stay.
RULE_OVER_FLOOR = 3.0


def build_group(name: str, count: int, *, members: int = 0) -> rules.SecurityGroup:
    """Rules for ports; with ``members``, from members of the group, which are so many NICs, and
    for all that these send."""
    out = rules.parse_rule(rule_id=f'{name}-out', direction='egress')
    return rules.SecurityGroup(
        id=name,
        rules=(
            *([out] if members else []),
            *(
                rules.parse_rule(
                    rule_id=f'{name}-{port}',
                    direction='ingress',
                    protocol='tcp',
                    port_min=port,
                    remote_group_id=name if members else None,
                )
                for port in range(1, count + 1)
            ),
        ),
        members=tuple(
            rules.GroupMember(network_id=NETWORK, address=address)
            for number in range(members)
            for address in (build_nic(number).first_hop.ipv4[0], f'2001:db8::{number:x}')
        ),
    )


def build_nic(number: int, group: str = 'g') -> rules.NicPolicy:
    """A NIC on br0 with an address of each family."""
    mac = f'fa:16:3e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}'
    return rules.NicPolicy(
        vif_id=str(number),
        device=f'tap{number:012x}',
        bridge='br0',
        network_id=NETWORK,
        first_hop=rules.FirstHop(
            mac=mac,
            ipv4=(f'10.{number >> 16}.{number >> 8 & 255}.{number & 255}',),
            ipv6=(rules.build_link_local(mac), f'2001:db8::{number:x}'),
            dhcp_servers=('10.0.0.1',),
        ),
        groups=(group,),
    )


def cost(action: Callable[..., object], *arguments: object) -> float:
    """Processor seconds of a call, those of ended children included."""

    def spent() -> float:
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in used)

    before = spent()
    action(*arguments)
    return spent() - before


def read_connections() -> None:
    """The least that whoever looks for connections to cut has to do."""
    subprocess.run(['conntrack', '-L', '-o', 'extended'], capture_output=True, check=True)


def make_connections(count: int, zone: int) -> None:
    """Have the kernel know one to each of so many NICs, from the next one, by the first rule of
    their group."""
    lines = '\n'.join(
        f'-I -p tcp -s {build_nic(number + 1).first_hop.ipv4[0]} --sport 40000'
        f' -d {build_nic(number).first_hop.ipv4[0]} --dport 1 --state ESTABLISHED -t 3600 -w {zone}'
        for number in range(count)
    )
    subprocess.run(
        ['conntrack', '--load-file', '-'], input=lines, text=True, check=True, capture_output=True
    )


def compare_rule_changes(
    figures: Figures,
    name: str,
    driver: firewall_driver.FirewallDriver,
    rulesets: tuple[rules.Ruleset, rules.Ruleset],
    bare: tuple[Callable[[], object], Callable[[], object]],
) -> None:
    """A rule that comes and goes.

    :param rulesets: without it, which is in force, and with it.
    :param bare: puts it into the kernel, and takes it out again.
    """
    without, having = rulesets
    add, remove = bare
    found: dict[str, list[float]] = {'more': [], 'bare more': [], 'less': [], 'bare less': []}
    # three times as many, since a millisecond more or less is half of the smallest
    for _round in range(3 * ROUNDS):
        found['more'].append(cost(driver.refresh, having))
        found['less'].append(cost(driver.refresh, without))
        found['bare more'].append(cost(add))
        found['bare less'].append(cost(remove) + cost(read_connections))
    for way in ('more', 'less'):
        ours, floor = min(found[way]), min(found[f'bare {way}'])
        figures.compare(f'{name}: a rule {way}', ours, floor, RULE_OVER_FLOOR)
