"""Guests on networks of one family or both, and of several kinds, judged from inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab import compute
from lab.guest_console import Console
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
        report = server.reports()[-1]
        for label, nic in zip(labels, report.nics, strict=True):
            entry = listed[networks[label]['uuid']]
            addresses = [fixed['ip_address'] for fixed in entry['fixed_ips']]
            own = [address for address in addresses if ':' in address]
            cidr = networks[label]['cidr_v6']
            assert own == ([] if cidr is None else [model.mac_address_v6(cidr, entry['mac_addr'])])
            seen = [text.partition('/')[0] for text in nic.addresses]
            assert sorted(a for a in seen if not a.startswith('fe80:')) == sorted(addresses)
        assert [route.split()[4] for route in report.default_routes(6)] == ['eth1']
        assert [route.split()[4] for route in report.default_routes(4)] == ['eth0']
        assert console.run('ping -6 -c 1 -W 3 fd00:61::1').code == 0
        assert console.run('ping -6 -c 1 -W 3 fd00:63::1').code == 0
    server.delete()


def test_the_same_network_twice(cloud: clouds.Cloud, networks: dict[str, dict[str, Any]]) -> None:
    """Two NICs of one guest on one network of both families: two of everything but the route."""
    answer = cloud.request([{'uuid': networks['closed']['uuid']}] * 2)
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    server.report()
    with Console(cloud.sandbox, server.domain) as console:
        console.wait_ready()
        report = server.reports()[-1]
    listed = server.interfaces()
    assert [nic.mac for nic in report.nics] == [entry['mac_addr'] for entry in listed]
    for nic, entry in zip(report.nics, listed, strict=True):
        own = [f'{fixed["ip_address"]}/{length(fixed)}' for fixed in entry['fixed_ips']]
        assert sorted(a for a in nic.addresses if not a.startswith('fe80:')) == sorted(own)
        assert (nic.lease, nic.gateway_answers, nic.router6_answers) == (True, True, True)
    assert len({address for nic in report.nics for address in nic.addresses}) == 6
    assert [route.split()[4] for route in report.default_routes(4)] == ['eth0']
    assert report.default_routes(6) == ()
    server.delete()


def length(fixed: dict[str, Any]) -> int:
    """Of the prefix of an address on these networks."""
    return 64 if ':' in fixed['ip_address'] else 24


def test_a_second_ipv6_default_route_is_refused(
    cloud: clouds.Cloud, networks: dict[str, dict[str, Any]]
) -> None:
    answer = cloud.request([{'uuid': networks['dual']['uuid']}] * 2)
    assert answer.status == 400
    assert 'dual and dual' in clouds.message(answer)
