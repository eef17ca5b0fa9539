"""A cloud whose firewall is iptables, with a real guest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import compute
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds, test_packet_filter, test_spoof

LABELS = ('net-a', 'net-b')


@pytest.fixture(scope='module')
def cloud() -> Iterator[clouds.Cloud]:
    settings = compute.Settings(extra={'firewall': {'driver': 'iptables'}})
    with clouds.running('ipt', settings) as sandbox:
        yield clouds.fill(sandbox, settings, LABELS)


def saved(cloud: clouds.Cloud) -> str:
    """Our rules and sets."""
    script = 'iptables-save -t mangle; ip6tables-save -t mangle; ipset save'
    lines = cloud.sandbox.output('/bin/sh', '-c', script).splitlines()
    return '\n'.join(line for line in lines if 'nova-' in line)


def answers(cloud: clouds.Cloud, address: str) -> bool:
    """Whether the guest answers to an echo request of its host."""
    return cloud.sandbox.output('python3', '-c', test_packet_filter._PING, address).strip() == 'yes'


def test_a_guest_in_groups(cloud: clouds.Cloud) -> None:
    """Its rules are there before it and gone after it; it gets its leases, is reached where its
    groups let it be, and sends only as itself."""
    made = cloud.api.call('POST', '/os-security-groups', {'security_group': {'name': 'ping'}})
    group_id = made.json()['security_group']['id']
    first, second = (cloud.networks[label]['uuid'] for label in LABELS)
    networks = [{'uuid': first, 'security_groups': [{'name': 'ping'}]}, {'uuid': second}]
    answer = cloud.request(networks)
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    nics = server.report().nics
    assert [(nic.lease, nic.gateway_answers) for nic in nics] == [(True, True)] * 2
    assert 'filterref' not in cloud.sandbox.output('virsh', 'dumpxml', server.domain)
    interfaces = server.interfaces()
    addresses = [nic['fixed_ips'][0]['ip_address'] for nic in interfaces]
    rules = saved(cloud)
    for shown, address in zip(interfaces, addresses, strict=True):
        device = f'tap{shown["port_id"].replace("-", "")[:12]}'
        assert f'--physdev-in {device} -g nova-e-' in rules
        assert f'-d {address}/32 -o ' in rules

    assert [answers(cloud, address) for address in addresses] == [False, False]
    rule = {'parent_group_id': group_id, 'ip_protocol': 'icmp', 'from_port': 8, 'to_port': 0}
    made = cloud.api.call('POST', '/os-security-group-rules', {'security_group_rule': rule})
    assert wait_until(lambda: answers(cloud, addresses[0]), 10, 0.05), saved(cloud)
    assert not answers(cloud, addresses[1])
    rule_id = made.json()['security_group_rule']['id']
    cloud.api.call('DELETE', f'/os-security-group-rules/{rule_id}')
    assert wait_until(lambda: not answers(cloud, addresses[0]), 10, 0.05), saved(cloud)

    with Console(cloud.sandbox, server.domain) as console:
        console.wait_ready()
        for nic, own, other in zip(nics, addresses, reversed(addresses), strict=True):
            network = cloud.networks[LABELS[nic.index]]
            test_spoof.check_nic(cloud, console, nic.name, nic.mac, own, other, network)
    before = saved(cloud)
    server.delete()
    assert 'tap' in before
    assert 'physdev-in tap' not in saved(cloud).replace('physdev-in tap+', '')
