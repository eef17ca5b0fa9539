"""What one more NIC costs the nftables driver, against the same elements by bare libnftables.

Needs root; it works in a network namespace of its own. Processor time, the best of several rounds.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import secrets
import subprocess
import time

from pyroute2 import netns
import pytest

from nova import privileged
from nova.network.firewall import nftables, nftables_plan, rules
from nova.privileged import link, nft

ROUNDS = 9
GROUPS = ('g',)
RULESET = rules.Ruleset(
    groups=(
        rules.SecurityGroup(
            id='g',
            rules=tuple(
                rules.parse_rule(
                    rule_id=str(port), direction='ingress', protocol='tcp', port_min=port
                )
                for port in range(1, 11)
            ),
        ),
    )
)


def build_nic(number: int) -> rules.NicPolicy:
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
        groups=GROUPS,
    )


@pytest.fixture
def driver() -> Iterator[nftables.NftablesFirewall]:
    if os.geteuid() != 0:
        pytest.skip('needs root')
    name = f'bench-{secrets.token_hex(4)}'
    with contextlib.ExitStack() as undo:
        netns.create(name)
        undo.callback(netns.remove, name)
        outside = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        undo.callback(os.close, outside)
        privileged.network.set_client_mode(False)
        undo.callback(privileged.network.set_client_mode, True)
        netns.setns(name)
        undo.callback(netns.setns, outside)
        undo.callback(link.close)
        undo.callback(nft.close)
        subprocess.run(['ip', 'link', 'add', 'br0', 'type', 'bridge'], check=True)
        yield nftables.NftablesFirewall()


@pytest.mark.parametrize('present', [0, 100, 1000])
def test_one_nic_more(driver: nftables.NftablesFirewall, present: int) -> None:
    """Within three times the floor, and 2 ms, whatever is there."""
    guests = {f'guest-{number}': [build_nic(number)] for number in range(1, present + 2)}
    driver.init_host(guests, RULESET)
    bridge = nftables_plan.BridgeFacts(name='br0', number=1, mac='02:00:00:00:00:01')
    ours, floor = [], []
    for number in range(10_000, 10_000 + ROUNDS):
        nic, other = build_nic(number), build_nic(number + 20_000)
        lines = nftables_plan.render_change(
            nftables_plan.State(),
            nftables_plan.State(elements=dict(nftables_plan.nic_elements(other, bridge))),
        )
        text = '\n'.join(lines)
        start = time.process_time()
        driver.apply('new', [nic], RULESET)
        ours.append(time.process_time() - start)
        driver.remove('new')
        start = time.process_time()
        nft._run(text)
        floor.append(time.process_time() - start)
    cost, least = min(ours), min(floor)
    print(f'{present} NICs: {cost * 1e3:.2f} ms, {cost / least:.2f} times the floor')
    assert cost <= 3 * least
    assert cost <= 0.002
