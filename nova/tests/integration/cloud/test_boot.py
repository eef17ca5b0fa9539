"""Guests with several NICs: in order, each with its own address, one default route, no trace."""

from __future__ import annotations

from collections.abc import Sequence
import signal

import netaddr
import pytest

from lab import clients, guest_report, libvirtd
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds


def check(cloud: clouds.Cloud, server: clouds.Server, labels: Sequence[str]) -> None:
    """What the guest found is what the API says and what was asked for."""
    report = server.report()
    interfaces = server.interfaces()
    networks = [cloud.networks[label] for label in labels]
    assert [interface['net_id'] for interface in interfaces] == [n['uuid'] for n in networks]
    assert [(nic.index, nic.mac, nic.pci) for nic in report.nics] == [
        (index, interface['mac_addr'], f'0000:00:{0x10 + index:02x}.0')
        for index, interface in enumerate(interfaces)
    ]
    for nic, interface, network in zip(report.nics, interfaces, networks, strict=True):
        check_nic(nic, interface['fixed_ips'][0]['ip_address'], network)
    (default,) = report.default_routes()
    assert default.startswith(f'default via {networks[0]["gateway"]} dev eth0')


def check_nic(nic: guest_report.Nic, address: str, network: dict[str, object]) -> None:
    prefix = netaddr.IPNetwork(str(network['cidr'])).prefixlen
    assert nic.lease
    assert nic.address == f'{address}/{prefix}'
    assert nic.server == network['dhcp_server']
    assert nic.router == (network['gateway'] if nic.index == 0 else None)
    assert list(nic.dns) == network['dns']
    assert nic.mtu == (network['mtu'] or 1500)
    assert nic.host == 'guest'
    assert nic.gateway_answers


@pytest.mark.parametrize(
    'labels',
    [
        ('net-b',),
        ('net-b', 'net-a'),
        ('net-c', 'net-a', 'net-c', 'net-d'),
    ],
    ids=['one', 'two', 'four-and-one-network-twice'],
)
def test_boot_and_delete(cloud: clouds.Cloud, labels: tuple[str, ...]) -> None:
    with cloud.unchanged(), cloud.booted(labels) as server:
        check(cloud, server, labels)
        listed = libvirtd.virsh(cloud.sandbox, 'domiflist', server.domain).splitlines()
        bridges = [line.split()[2] for line in listed if line.strip()]
        assert bridges == [cloud.networks[label]['bridge'] for label in labels]


def test_the_real_clients(cloud: clouds.Cloud) -> None:
    """``nova boot --nic --nic --poll``, and what a user types next."""

    def nova(*words: str) -> str:
        return clients.run(cloud.sandbox, 'nova', *words).stdout

    nics = [f'--nic=net-id={cloud.networks[label]["uuid"]}' for label in ('net-a', 'net-b')]
    with cloud.unchanged():
        nova('boot', '--flavor', 'm1.tiny', '--image', 'tiny', *nics, 'guest', '--poll')
        (row,) = clients.run_json(cloud.sandbox, 'openstack', 'server', 'list')
        server = clouds.Server(cloud, row['ID'])
        check(cloud, server, ('net-a', 'net-b'))
        assert row['Status'] == 'ACTIVE'
        assert list(row['Networks']) == ['net-a', 'net-b']
        assert 'ACTIVE' in nova('list')
        assert 'net-b network' in nova('show', 'guest')
        assert 'NOVA-GUEST-END' in nova('console-log', 'guest')
        assert 'fa:16:3e' in nova('interface-list', 'guest')
        nova('delete', 'guest')
        server.wait_gone()
    flavors = clients.run_json(cloud.sandbox, 'openstack', 'flavor', 'list')
    assert 'm1.tiny' in {flavor['Name'] for flavor in flavors}


def test_fixed_ips_asked_for(cloud: clouds.Cloud) -> None:
    networks = [
        {'uuid': cloud.networks['net-a']['uuid'], 'fixed_ip': '10.10.0.77'},
        {'uuid': cloud.networks['net-c']['uuid'], 'fixed_ip': '10.30.7.7'},
    ]
    answer = cloud.request(networks)
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    assert [nic.address for nic in server.report().nics] == ['10.10.0.77/24', '10.30.7.7/16']
    server.delete()


def test_an_address_serves_its_next_owner_at_once(cloud: clouds.Cloud) -> None:
    """Another MAC gets the address although the lease of the first had a day to run."""
    macs = set()
    for _ in range(2):
        with cloud.booted(['narrow']) as server:
            (nic,) = server.report().nics
            assert nic.address == '10.50.0.2/30'
            macs.add(nic.mac)
    assert len(macs) == 2


def test_several_at_once(cloud: clouds.Cloud) -> None:
    with cloud.unchanged():
        servers = [cloud.create(['net-a', 'net-b']) for _ in range(3)]
        for server in servers:
            server.wait_status('ACTIVE')
        addresses = [
            interface['fixed_ips'][0]['ip_address']
            for server in servers
            for interface in server.interfaces()
        ]
        assert len(set(addresses)) == 6
        for server in servers:
            server.delete()


def test_a_delete_during_the_build(cloud: clouds.Cloud) -> None:
    with cloud.unchanged():
        cloud.create(['net-a', 'net-b']).delete()


def test_a_killed_dhcp_server_comes_back_with_its_leases(cloud: clouds.Cloud) -> None:
    """The guest asks again and keeps its address."""
    uuid = cloud.networks['net-a']['uuid']
    pid_file = f'/run/nova/networks/{uuid}/dnsmasq.pid'
    with cloud.booted(['net-a']) as server:
        (nic,) = server.report().nics
        first = int(cloud.sandbox.read_file(pid_file))
        cloud.sandbox.kill(first, signal.SIGKILL)
        back = wait_until(lambda: is_other(cloud, pid_file, first), 60, 0.5)
        assert back, cloud.log()
        with Console(cloud.sandbox, server.domain) as console:
            console.wait_ready()
            # -q: end with the lease; -n: or without one
            answer = console.run(f'udhcpc -i {nic.name} -n -q -t 5 -T 1 -s /bin/true', 30)
        assert answer.code == 0, answer.output
        assert str(nic.address).partition('/')[0] in answer.output


def is_other(cloud: clouds.Cloud, pid_file: str, pid: int) -> bool:
    return int(cloud.sandbox.read_file(pid_file)) != pid
