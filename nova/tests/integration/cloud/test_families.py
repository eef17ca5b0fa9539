"""Guests on networks of one family or both, and of several kinds, judged from inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab import compute
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.network import model
from nova.tests.integration.cloud import clouds

NETWORKS = {
    'dual': ('--range=10.61.0.0/24', '--range-v6=fd00:61::/64', '--gateway-v6=fd00:61::1'),
    'closed': ('--range=10.62.0.0/24', '--range-v6=fd00:62::/64', '--ipv6-mode=stateless'),
    'only-v6': ('--range-v6=fd00:63::/64',),
    'flat': ('--kind=flat', '--range=10.64.0.0/24'),
}


@pytest.fixture(scope='module')
def networks(cloud: clouds.Cloud) -> Iterator[dict[str, dict[str, Any]]]:
    made = {}
    for label, options in NETWORKS.items():
        made[label] = compute.manage_json(
            cloud.sandbox, 'network', 'create', '--label', label, *options
        )
    yield made
    for network in made.values():
        compute.manage(cloud.sandbox, 'network', 'delete', network['uuid'])


def test_families_and_kinds_in_one_guest(
    cloud: clouds.Cloud, networks: dict[str, dict[str, Any]]
) -> None:
    """SLAAC gives the addresses that the API shows, and one network the IPv6 default route."""
    labels = ('closed', 'dual', 'only-v6', 'flat')
    answer = cloud.request([{'uuid': networks[label]['uuid']} for label in labels])
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    listed = {entry['net_id']: entry for entry in server.interfaces()}
    with Console(cloud.sandbox, server.domain) as console:
        console.wait_ready()
        for index, label in enumerate(labels):
            entry = listed[networks[label]['uuid']]
            addresses = [fixed['ip_address'] for fixed in entry['fixed_ips']]
            own = [address for address in addresses if ':' in address]
            cidr = networks[label]['cidr_v6']
            assert own == ([] if cidr is None else [model.mac_address_v6(cidr, entry['mac_addr'])])
            for address in own:
                command = f'ip -6 -o addr show dev eth{index} | grep -v tentative | grep {address}/'
                assert wait_until(lambda c=command: console.run(c).code == 0, 20, 0.5), command  # type: ignore[misc]
        defaults = console.run('ip -6 route show default').output
        assert [line.split()[4] for line in defaults.splitlines() if 'default' in line] == ['eth1']
        assert console.run('ping -6 -c 1 -W 3 fd00:61::1').code == 0
        assert console.run('ping -6 -c 1 -W 3 fd00:63::1').code == 0
        v4 = console.run('ip route show default').output
        assert len([line for line in v4.splitlines() if 'default' in line]) == 1
    server.delete()


def test_a_second_ipv6_default_route_is_refused(
    cloud: clouds.Cloud, networks: dict[str, dict[str, Any]]
) -> None:
    answer = cloud.request([{'uuid': networks['dual']['uuid']}] * 2)
    assert answer.status == 400
    assert 'dual and dual' in clouds.message(answer)
