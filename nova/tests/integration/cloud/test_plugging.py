"""NICs, addresses and power of a server change while real guests look on."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import time
from typing import Any

import pytest

from lab import clients, guest_report, libvirtd
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds


@contextlib.contextmanager
def guest(cloud: clouds.Cloud, *labels: str) -> Iterator[tuple[clouds.Server, Console]]:
    """A server whose guest obeys; afterwards nothing of it is left."""
    with (
        cloud.unchanged(),
        cloud.booted(labels) as server,
        Console(cloud.sandbox, server.domain) as console,
    ):
        console.wait_ready()
        yield server, console


def report(console: Console, nics: int) -> guest_report.Report:
    """What the guest sees once it has so many cards."""
    answer = console.run(f'wait_for_cards {nics}; scan; report', 90)
    (found,) = guest_report.parse_reports(answer.output)
    assert len(found.nics) == nics
    return found


def act(cloud: clouds.Cloud, server: clouds.Server, body: dict[str, Any]) -> None:
    answer = cloud.api.call('POST', f'/servers/{server.uuid}/action', body)
    assert answer.status == 202, answer.text


def test_a_nic_comes_and_goes(cloud: clouds.Cloud) -> None:
    with guest(cloud, 'net-a') as (server, console):
        before = report(console, 1)
        (first,) = server.interfaces()
        # net-d has its DHCP server on the host from this moment on
        second = server.attach(net_id=cloud.networks['net-d']['uuid'])
        third = server.attach(net_id='net-a', fixed_ips=[{'ip_address': '10.10.0.99'}])
        seen = report(console, 3)

        assert [nic.mac for nic in seen.nics] == [n['mac_addr'] for n in server.interfaces()]
        assert (seen.nics[0].pci, seen.nics[0].address) == (
            before.nics[0].pci,
            before.nics[0].address,
        )
        assert seen.nics[1].address == f'{second["fixed_ips"][0]["ip_address"]}/28'
        assert seen.nics[2].address == '10.10.0.99/24'
        assert all(nic.lease for nic in seen.nics)
        assert seen.nics[1].gateway_answers
        assert seen.default_routes() == before.default_routes()

        server.detach(second['port_id'])
        server.wait_ports(first['port_id'], third['port_id'])
        server.detach(third['port_id'])
        server.wait_ports(first['port_id'])
        after = report(console, 1)
        assert [nic.address for nic in after.nics] == [nic.address for nic in before.nics]
        assert after.routes == before.routes


def test_the_real_clients(cloud: clouds.Cloud) -> None:
    def ports(server: clouds.Server) -> list[str]:
        return [nic['port_id'] for nic in server.interfaces()]

    def run(*words: str) -> None:
        clients.run(cloud.sandbox, *words)

    with guest(cloud, 'net-a') as (server, console):
        net_b = cloud.networks['net-b']['uuid']
        address = ('--fixed-ip', '10.20.0.77')
        run('nova', 'interface-attach', '--net-id', net_b, *address, server.uuid)
        assert report(console, 2).nics[1].address == '10.20.0.77/24'
        run('nova', 'interface-detach', server.uuid, ports(server)[1])
        assert wait_until(lambda: len(ports(server)) == 1, 60, 0.5)
        run('openstack', 'server', 'add', 'network', server.uuid, net_b)
        run('openstack', 'server', 'add', 'fixed', 'ip', server.uuid, net_b)
        assert len({nic.mac for nic in report(console, 3).nics}) == 3
        run('openstack', 'server', 'remove', 'network', server.uuid, net_b)
        assert wait_until(lambda: len(ports(server)) == 1, 60, 0.5)
        run('openstack', 'server', 'stop', server.uuid)
        server.wait_status('SHUTOFF')
        run('openstack', 'server', 'start', server.uuid)
        server.wait_status('ACTIVE')


def test_sixteen_attaches_and_detaches(
    cloud: clouds.Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    def timed(**body: Any) -> float:
        start = time.monotonic()
        server.attach(**body)
        return time.monotonic() - start

    with guest(cloud, 'net-a') as (server, console):
        attached = [timed(net_id='net-c') for _ in range(15)]
        seen = report(console, 16)
        nics = server.interfaces()
        assert [nic.mac for nic in seen.nics] == [nic['mac_addr'] for nic in nics]
        assert all(nic.lease for nic in seen.nics)
        assert len(seen.default_routes()) == 1
        start = time.monotonic()
        for nic in nics[1:]:
            server.detach(nic['port_id'])
        server.wait_ports(nics[0]['port_id'])
        detached = (time.monotonic() - start) / 15
        attached.append(timed(net_id='net-c'))
        assert report(console, 2).default_routes() == seen.default_routes()
    with capsys.disabled():
        print(f'\nseconds for each attach: {[round(one, 2) for one in attached]}')
        print(f'seconds for each detach: {detached:.2f}')


def test_a_deaf_guest_keeps_its_nic_and_its_address(cloud: clouds.Cloud) -> None:
    with guest(cloud, 'net-a', 'net-b') as (server, console):
        first, second = server.interfaces()
        libvirtd.virsh(cloud.sandbox, 'suspend', server.domain)
        server.detach(second['port_id'])

        def states() -> list[str]:
            return [nic['port_state'] for nic in server.interfaces()]

        assert wait_until(lambda: states() == ['ACTIVE', 'DETACHING'], 60, 0.2), states()
        # its address is not given to others meanwhile
        wanted = {'uuid': second['net_id'], 'fixed_ip': second['fixed_ips'][0]['ip_address']}
        other = clouds.Server(cloud, cloud.request([wanted]).json()['server']['id'])
        assert 'already in use' in other.wait_status('ERROR')['fault']['message']
        other.delete()
        time.sleep(clouds.DETACH_TIMEOUT_S + 2)
        assert states() == ['ACTIVE', 'DETACHING']
        libvirtd.virsh(cloud.sandbox, 'resume', server.domain)
        server.wait_ports(first['port_id'])
        report(console, 1)


def test_further_addresses(cloud: clouds.Cloud) -> None:
    def pings(source: str) -> bool:
        gateway = cloud.networks['net-a']['gateway']
        return console.run(f'ping -c 1 -W 3 -I {source} {gateway}').code == 0

    with guest(cloud, 'net-a') as (server, console):
        own = str(report(console, 1).nics[0].address)
        act(cloud, server, {'addFixedIp': {'networkId': cloud.networks['net-a']['uuid']}})
        (nic,) = server.interfaces()
        first, further = (entry['ip_address'] for entry in nic['fixed_ips'])
        assert own == f'{first}/24'
        console.run(f'ip addr add {further}/24 dev eth0')
        console.run('ip addr add 10.10.0.200/24 dev eth0')
        assert pings(first)
        assert pings(further)
        assert not pings('10.10.0.200')
        act(cloud, server, {'removeFixedIp': {'address': further}})
        assert not pings(further)
        assert pings(first)


def test_reboots_keep_order_and_addresses(cloud: clouds.Cloud) -> None:
    labels = ('net-b', 'net-a', 'net-b')
    with cloud.unchanged(), cloud.booted(labels) as server:
        first = server.report()
        with Console(cloud.sandbox, server.domain) as console:
            console.wait_ready()
        port = server.attach(net_id='net-d')['port_id']
        server.detach(server.interfaces()[1]['port_id'])
        assert wait_until(lambda: len(server.interfaces()) == 3, 60, 0.2)
        nics = server.interfaces()
        assert nics[2]['port_id'] == port
        for boots, kind in ((2, 'SOFT'), (3, 'HARD')):
            act(cloud, server, {'reboot': {'type': kind}})
            server.wait_status('ACTIVE')
            assert wait_until(lambda: server.reports()[-1].boot_count == boots, 60, 0.5)  # noqa: B023
            seen = server.reports()[-1]
            assert sorted(nic.mac for nic in seen.nics) == sorted(n['mac_addr'] for n in nics)
            assert {nic.mac: str(nic.address).split('/')[0] for nic in seen.nics} == {
                nic['mac_addr']: nic['fixed_ips'][0]['ip_address'] for nic in nics
            }
            assert seen.default_routes() == first.default_routes()
