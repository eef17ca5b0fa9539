"""A cloud whose firewall is libvirt's network filters, with real guests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab import compute, libvirtd
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds, test_packet_filter, test_spoof

LABELS = ('net-a', 'net-b')
_SOON_S = 30


@pytest.fixture(scope='module')
def cloud() -> Iterator[clouds.Cloud]:
    settings = compute.Settings(extra={'firewall': {'driver': 'nwfilter'}})
    with clouds.running('nwfilter', settings) as sandbox:
        made = clouds.fill(sandbox, settings, LABELS)
        with made.booted(LABELS) as server:
            server.console()
        yield made


def make_group(cloud: clouds.Cloud, name: str) -> str:
    body = {'security_group': {'name': name}}
    made = test_packet_filter._post(cloud, '/os-security-groups', body)
    return str(made['security_group']['id'])


def add_rule(cloud: clouds.Cloud, parent: str, **fields: Any) -> str:
    rule = {'parent_group_id': parent, 'ip_protocol': 'icmp', **fields}
    body = {'security_group_rule': rule}
    made = test_packet_filter._post(cloud, '/os-security-group-rules', body)
    return str(made['security_group_rule']['id'])


def filters(cloud: clouds.Cloud) -> set[str]:
    """Our network filters that not every NIC has."""
    words = libvirtd.virsh(cloud.sandbox, 'nwfilter-list').split()
    return {w for w in words if w.startswith(('nova-instance', 'nova-secgroup'))}


def test_a_guest_sends_only_as_itself(cloud: clouds.Cloud) -> None:
    test_spoof.test_a_guest_sends_only_as_itself(cloud)


def test_groups_are_filters_and_follow_changes(cloud: clouds.Cloud) -> None:
    """From the host and from a neighbour on the same bridge, which go different ways."""
    network = cloud.networks['net-a']['uuid']
    with cloud.unchanged():
        guarded, peers = make_group(cloud, 'guarded'), make_group(cloud, 'peers')
        servers = []
        for group in ('guarded', 'peers'):
            chosen = {'uuid': network, 'security_groups': [{'name': group}]}
            answer = cloud.request([chosen])
            assert answer.status == 202, answer.text
            servers.append(clouds.Server(cloud, answer.json()['server']['id']))
        for server in servers:
            server.wait_status('ACTIVE')
            (nic,) = server.report().nics
            assert (nic.lease, nic.gateway_answers) == (True, True)
        address = servers[0].interfaces()[0]['fixed_ips'][0]['ip_address']
        with Console(cloud.sandbox, servers[1].domain) as console:
            console.wait_ready()

            def becomes(neighbour: bool, host: bool) -> bool:
                """Whether the guest comes to answer these, and only these."""

                def is_so() -> bool:
                    by_neighbour = console.run(f'ping -c 1 -W 1 {address}').code == 0
                    by_host = test_packet_filter._answers(cloud, address)
                    return (by_neighbour, by_host) == (neighbour, host)

                return bool(wait_until(is_so, _SOON_S, 0.2))

            assert becomes(neighbour=False, host=False), cloud.log()
            (shown,) = compute.manage_json(cloud.sandbox, 'firewall', 'show', servers[0].uuid)
            assert shown['in_kernel'] is True, shown
            # A single kind of ICMP, of members of a group: all in a set.
            echo = add_rule(cloud, guarded, from_port=8, to_port=0, group_id=peers)
            assert becomes(neighbour=True, host=False), cloud.log()
            # All kinds, of a range: a rule of the filter.
            gateway = add_rule(cloud, guarded, from_port=-1, to_port=-1, cidr='10.10.0.1/32')
            assert becomes(neighbour=True, host=True), cloud.log()
            cloud.api.call('DELETE', f'/os-security-group-rules/{echo}')
            assert becomes(neighbour=False, host=True), cloud.log()
            add_rule(cloud, guarded, from_port=8, to_port=0, group_id=peers)
            assert becomes(neighbour=True, host=True), cloud.log()
            # The neighbour leaves the group that the rule names.
            path = f'/servers/{servers[1].uuid}/action'
            test_packet_filter._post(cloud, path, {'addSecurityGroup': {'name': 'guarded'}})
            test_packet_filter._post(cloud, path, {'removeSecurityGroup': {'name': 'peers'}})
            assert becomes(neighbour=False, host=True), cloud.log()
            cloud.api.call('DELETE', f'/os-security-group-rules/{gateway}')
            assert becomes(neighbour=False, host=False), cloud.log()
        assert len(filters(cloud)) == 3  # one for each NIC, one for the group that both are in
        for server in servers:
            server.delete()
        assert filters(cloud) == set()
        for group_id in (guarded, peers):
            assert cloud.api.call('DELETE', f'/os-security-groups/{group_id}').status == 202
