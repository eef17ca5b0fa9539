"""Guests on networks of one family or both, and of several kinds, judged from inside."""

from __future__ import annotations

from collections.abc import Iterator
import json
from typing import Any
from xml.etree import ElementTree

import pytest

from lab import compute, guest_report, libvirtd
from lab.guest_console import Console
from nova.network import model
from nova.tests.integration.cloud import clouds

NETWORKS = {
    'dual': ('--range=10.61.0.0/24', '--range-v6=fd00:61::/64', '--gateway-v6=fd00:61::1'),
    'closed': ('--range=10.62.0.0/24', '--range-v6=fd00:62::/64', '--ipv6-mode=stateless'),
    'only-v6': ('--range-v6=fd00:63::/64',),
    'flat': ('--kind=flat', '--range=10.64.0.0/24'),
    'stateful': (
        '--range=10.65.0.0/24',
        '--range-v6=fd00:65::/64',
        '--ipv6-mode=stateful',
        '--dns=2001:db8::65',
        '--mtu=1380',
    ),
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
        cloud.delete_network(network)


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
        assert console.run('ping -6 -c 1 -W 5 fd00:61::1').code == 0
        assert console.run('ping -6 -c 1 -W 5 fd00:63::1').code == 0
    server.delete()


def test_the_same_network_twice(cloud: clouds.Cloud, networks: dict[str, dict[str, Any]]) -> None:
    """Two NICs of one guest on one network of both families: two of everything but the route."""
    answer = cloud.request([{'uuid': networks['closed']['uuid']}] * 2)
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    server.report()
    wanted = [(entry['mac_addr'], own(entry), True, True, True) for entry in server.interfaces()]
    with cloud.console(server) as console:
        for report in server.settled_reports(console):
            seen = [
                (n.mac, found(n), n.lease, n.gateway_answers, n.router6_answers)
                for n in report.nics
            ]
            if seen == wanted:
                break
    assert seen == wanted
    assert len({address for nic in report.nics for address in nic.addresses}) == 6
    assert [route.split()[4] for route in report.default_routes(4)] == ['eth0']
    assert report.default_routes(6) == ()
    server.delete()


def own(entry: dict[str, Any]) -> list[str]:
    """The addresses that the API shows of a NIC, as a guest has them that makes its own."""
    addresses = [fixed['ip_address'] for fixed in entry['fixed_ips']]
    return sorted(f'{address}/{64 if ":" in address else 24}' for address in addresses)


def found(nic: guest_report.Nic) -> list[str]:
    """The addresses that the guest has, but for those of the link."""
    return sorted(address for address in nic.addresses if not address.startswith('fe80:'))


def test_a_nic_of_both_families_is_attached(
    cloud: clouds.Cloud, networks: dict[str, dict[str, Any]]
) -> None:
    """With an IPv6 address that was chosen; its MTU is the same wherever it is said."""
    answer = cloud.request([{'uuid': networks['closed']['uuid']}])
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    with cloud.console(server) as console:
        chosen = [{'ip_address': 'fd00:65::77'}]
        entry = server.attach(net_id=networks['stateful']['uuid'], fixed_ips=chosen)
        seen = console.run('wait_for_cards 2; scan; settle; report', 60).output
        nic = guest_report.parse_reports(seen)[0].nics[1]
        addresses = [fixed['ip_address'] for fixed in entry['fixed_ips']]
        assert 'fd00:65::77' in addresses
        assert found(nic) == sorted(
            f'{address}/{128 if ":" in address else 24}' for address in addresses
        )
        assert (nic.mac, nic.lease, nic.mtu) == (entry['mac_addr'], True, 1380)
        assert nic.ipv6 is not None
        assert (nic.ipv6.how, nic.ipv6.dns) == ('stateful', ('2001:db8::65',))
        assert (nic.gateway_answers, nic.router6_answers) == (True, True)
        check_mtu_on_the_host(cloud, server, nic.mac, 1380)
        server.detach(entry['port_id'])
        server.wait_ports(server.interfaces()[0]['port_id'])
        (left,) = guest_report.parse_reports(console.run('wait_for_cards 1; report', 30).output)
        assert len(left.nics) == 1
    server.delete()


def check_mtu_on_the_host(
    cloud: clouds.Cloud, server: clouds.Server, mac: str, wanted: int
) -> None:
    """The domain and the tap device have it, too."""
    text = libvirtd.virsh(cloud.sandbox, 'dumpxml', server.domain)
    (nic,) = ElementTree.fromstring(text).findall(f".//interface/mac[@address='{mac}']/..")
    mtu, target = nic.find('mtu'), nic.find('target')
    assert mtu is not None
    assert target is not None
    assert mtu.get('size') == str(wanted)
    links = json.loads(cloud.sandbox.output('ip', '-j', 'link', 'show', str(target.get('dev'))))
    assert links[0]['mtu'] == wanted


def test_a_second_ipv6_default_route_is_refused(
    cloud: clouds.Cloud, networks: dict[str, dict[str, Any]]
) -> None:
    answer = cloud.request([{'uuid': networks['dual']['uuid']}] * 2)
    assert answer.status == 400
    assert 'dual and dual' in clouds.message(answer)
