"""Guests on different hosts, on networks that one host serves or each its own part of."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import json
from typing import Any

import pytest

from lab import compute, guest_report
from lab.guest_console import Console
from lab.sandbox import Sandbox, wait_until
from nova.network import model
from nova.tests.integration.cloud import clouds, two_hosts

pytestmark = pytest.mark.root

ORDERS = (('own', 'across'), ('across', 'own'))


@dataclasses.dataclass(frozen=True)
class Guest:
    """A guest with a NIC on each network, and where it runs. ``nics`` are by label."""

    server: clouds.Server
    host: Sandbox
    labels: tuple[str, ...]
    nics: dict[str, guest_report.Nic]
    report: guest_report.Report

    def address(self, label: str, version: int) -> str:
        """The fixed IP that the API shows."""
        listed = self.server.interfaces()[self.labels.index(label)]
        addresses = (fixed['ip_address'] for fixed in listed['fixed_ips'])
        return str(next(a for a in addresses if (':' in a) == (version == 6)))


def look_at(cloud: two_hosts.Cloud, server: clouds.Server, labels: tuple[str, ...]) -> Guest:
    report = server.report()
    nics = dict(zip(labels, report.nics, strict=True))
    return Guest(server, cloud.host_of(server), labels, nics, report)


@pytest.fixture(scope='module')
def guests(two_hosts: two_hosts.Cloud) -> Iterator[list[Guest]]:
    """One on each host, with its networks in either order; afterwards the hosts are as before."""
    cloud = two_hosts
    with cloud.unchanged():
        servers = [cloud.create(labels) for labels in ORDERS]
        with cloud.deleted(*servers):
            for server in servers:
                server.wait_status('ACTIVE')
            made = [look_at(cloud, s, labels) for s, labels in zip(servers, ORDERS, strict=True)]
            assert {guest.host for guest in made} == set(cloud.hosts), 'equals are spread'
            yield made


def addresses(host: Sandbox, device: str, family: str = '-4') -> list[str]:
    """With their prefix lengths, but for those of the metadata service."""
    words = host.output('ip', family, '-o', 'address', 'show', 'dev', device).split()
    found = [words[place + 1] for place, word in enumerate(words) if word.startswith('inet')]
    metadata = (model.METADATA_ADDRESS, model.METADATA_ADDRESS_V6)
    return [address for address in found if address.partition('/')[0] not in metadata]


def dhcp_servers(host: Sandbox, network: dict[str, Any]) -> list[str]:
    """The processes of the network's DHCP server on the host."""
    return host.run(['pgrep', '-f', f'{network["uuid"]}/dnsmasq'], check=False).stdout.split()


def test_one_host_serves_a_network_across_the_wire(
    two_hosts: two_hosts.Cloud, guests: list[Guest]
) -> None:
    """Leases come from the network's host, whichever host the guest is on."""
    cloud, network = two_hosts, two_hosts.networks['across']
    serving = compute.manage_json(cloud.sandbox, 'network', 'show', network['uuid'])['host']
    for host in cloud.hosts:
        serves = host.name == serving
        assert addresses(host, network['bridge']) == (['10.71.0.1/24'] if serves else [])
        assert bool(dhcp_servers(host, network)) == serves
    for guest in guests:
        nic = guest.nics['across']
        assert (nic.lease, nic.server, nic.gateway_answers) == (True, '10.71.0.1', True)


def test_every_host_serves_its_own_guests(two_hosts: two_hosts.Cloud, guests: list[Guest]) -> None:
    """Address, gateway and DHCP server of each host are its own, and so are its guests; a NIC whose
    network another host serves changes nothing."""
    cloud, network = two_hosts, two_hosts.networks['own']
    own = compute.manage_json(cloud.sandbox, 'network', 'show', network['uuid'])['hosts']
    assert sorted(own) == sorted(host.name for host in cloud.hosts)
    assert len(set(own.values())) == len(own)
    for guest in guests:
        nic, address = guest.nics['own'], own[guest.host.name]
        assert addresses(guest.host, network['bridge']) == [f'{address}/24']
        assert len(dhcp_servers(guest.host, network)) == 1
        assert (nic.lease, nic.server, nic.gateway_answers) == (True, address, True)
        (default,) = guest.report.default_routes()
        router = address if guest.labels[0] == 'own' else '10.71.0.1'
        assert default.startswith(f'default via {router} dev eth0')


def test_guests_of_two_hosts_meet(two_hosts: two_hosts.Cloud, guests: list[Guest]) -> None:
    one, two = guests
    with two_hosts.console(one.server) as console:
        for label, version in (('across', 4), ('own', 4), ('own', 6)):
            command = f'ping -{version} -c 1 -W 3 {two.address(label, version)}'
            assert wait_until(lambda c=command: console.run(c).code == 0, 20, 1), command  # type: ignore[misc]


def wait_default_v6(console: Console) -> list[str]:
    """The default routes, once there is one."""

    def found() -> list[str]:
        shown = console.run('ip -6 route show default').output
        return [line for line in shown.splitlines() if 'default' in line]

    assert wait_until(lambda: bool(found()), 30, 1)
    return found()


def test_a_guest_hears_of_one_ipv6_router(two_hosts: two_hosts.Cloud, guests: list[Guest]) -> None:
    """Which is its own host, though the other announces itself on the same wire."""
    bridge = two_hosts.networks['own']['bridge']
    for guest in guests:
        card = guest.nics['own'].name
        with two_hosts.console(guest.server) as console:
            (default,) = wait_default_v6(console)
        words = default.split()
        assert words[words.index('dev') + 1] == card
        router = words[words.index('via') + 1]
        assert f'{router}/64' in addresses(guest.host, bridge, '-6')


def test_metadata_is_its_own_hosts(two_hosts: two_hosts.Cloud, guests: list[Guest]) -> None:
    """Of both families. Whoever asks the wire for the address is answered by its own host."""
    bridge = two_hosts.networks['own']['bridge']
    for guest in guests:
        card, path = guest.nics['own'].name, 'openstack/latest/meta_data.json'
        mac = guest.host.output('cat', f'/sys/class/net/{bridge}/address').strip()
        with two_hosts.console(guest.server) as console:
            console.run(f'ip route replace {model.METADATA_ADDRESS} dev {card}')
            for family, address in (
                ('-4', model.METADATA_ADDRESS),
                ('-6', model.METADATA_ADDRESS_V6),
            ):
                url = f'[{address}%{card}]' if family == '-6' else address
                answer = console.run(f'timeout 15 wget -q -O - http://{url}/{path}; echo').output
                assert json.loads(answer)['uuid'] == guest.server.uuid
                known = console.run(f'ip {family} neigh show {address} dev {card}').output
                assert mac in known.split()


@contextlib.contextmanager
def stopped(cloud: two_hosts.Cloud, host: Sandbox, name: str) -> Iterator[None]:
    """The service is lost, and comes back."""
    cloud.daemons[host.name, name].kill()
    try:
        yield
    finally:
        again = compute.start_service(host, name)
        cloud.daemons[host.name, name] = again
        compute.wait_up(host, [again])


def test_a_lost_network_service_does_not_hurt_the_other_host(
    two_hosts: two_hosts.Cloud, guests: list[Guest]
) -> None:
    """Guests of the other host come and go; those of its own keep what they have."""
    cloud = two_hosts
    lost, fine = cloud.hosts[::-1] if guests[0].host is cloud.hosts[0] else cloud.hosts
    own = next(guest for guest in guests if guest.host is lost)
    with stopped(cloud, lost, 'nova-network'):
        server = cloud.boot_on(fine, ['own'])
        with cloud.deleted(server):
            (nic,) = server.report().nics
            assert (nic.lease, nic.gateway_answers) == (True, True)
            assert f'{nic.server}/24' in addresses(fine, cloud.networks['own']['bridge'])
        with cloud.console(own.server) as console:
            card = own.nics['own']
            # -q: end with the lease; -n: or without one
            asked = console.run(f'udhcpc -i {card.name} -n -q -t 5 -T 1 -s /bin/true', 30)
            assert asked.code == 0, asked.output
            assert str(card.address).partition('/')[0] in asked.output
