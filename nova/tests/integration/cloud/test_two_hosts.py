"""Guests on different hosts, on networks that one host serves or each its own part of."""

from __future__ import annotations

import pytest

from lab.sandbox import Sandbox
from nova.tests.integration.cloud import clouds, two_hosts

pytestmark = pytest.mark.root


def address_of(server: clouds.Server) -> str:
    """Its first NIC's fixed IP."""
    return str(server.interfaces()[0]['fixed_ips'][0]['ip_address'])


def addresses(host: Sandbox, device: str) -> list[str]:
    """IPv4 addresses with their prefix lengths, but for that of the metadata service."""
    words = host.output('ip', '-4', '-o', 'address', 'show', 'dev', device).split()
    found = [words[place + 1] for place, word in enumerate(words) if word == 'inet']
    return [address for address in found if not address.startswith('169.254.')]


def test_one_host_serves_a_network_across_the_wire(two_hosts: two_hosts.Cloud) -> None:
    """Leases come from the network's host, whichever host the guest is on; guests meet."""
    cloud = two_hosts
    one, two = cloud.boot_on_each(['across'])
    with cloud.deleted(one, two):
        network = cloud.networks['across']
        serving = cloud.api.get(f'/os-networks/{network["uuid"]}')['network']['host']
        for host in cloud.hosts:
            serves = host.name == serving
            assert addresses(host, network['bridge']) == (['10.71.0.1/24'] if serves else [])
            running = host.run(['pgrep', '-f', network['uuid']], check=False).stdout.split()
            assert bool(running) == serves
        for server in (one, two):
            (nic,) = server.report().nics
            assert (nic.lease, nic.server, nic.router) == (True, '10.71.0.1', '10.71.0.1')
            assert nic.gateway_answers
        with cloud.console(two) as console:
            assert console.run(f'ping -c 1 -W 3 {address_of(one)}').code == 0
