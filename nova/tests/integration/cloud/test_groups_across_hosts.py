"""Security groups of guests on two hosts: a change reaches both at once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds, two_hosts

pytestmark = pytest.mark.root

#: Far below [DEFAULT] reconcile_interval_s: who follows so soon has been told.
_TOLD_S = 20


def post(cloud: two_hosts.Cloud, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = cloud.api.call('POST', path, body)
    assert answer.status in (200, 202), answer.text
    return dict(answer.json()) if answer.text else {}


def make_group(cloud: two_hosts.Cloud, name: str) -> str:
    made = post(cloud, '/os-security-groups', {'security_group': {'name': name}})
    return str(made['security_group']['id'])


def boot(cloud: two_hosts.Cloud, group: str) -> clouds.Server:
    """A guest whose only NIC is in this group."""
    answer = cloud.request(
        [{'uuid': cloud.networks['across']['uuid'], 'security_groups': [{'name': group}]}]
    )
    assert answer.status == 202, answer.text
    return clouds.Server(cloud, answer.json()['server']['id'])


def reaches(console: Console, address: str) -> bool:
    return console.run(f'ping -c 1 -W 1 {address}').code == 0


def becomes(console: Console, address: str, reachable: bool, what: str) -> None:
    since = time.monotonic()
    assert wait_until(lambda: reaches(console, address) is reachable, _TOLD_S, 0.05), what
    print(f'{what}: {time.monotonic() - since:.2f} s')


def test_a_change_reaches_every_host(two_hosts: two_hosts.Cloud) -> None:
    """Rules and members: the asked guest's host hears of both, wherever they change."""
    cloud = two_hosts
    asked_group, asking_group = make_group(cloud, 'asked'), make_group(cloud, 'asking')
    with cloud.only_on(cloud.hosts[0]):
        asked = boot(cloud, 'asked')
        asked.wait_status('ACTIVE')
    with cloud.only_on(cloud.hosts[1]):
        asking = boot(cloud, 'asking')
        asking.wait_status('ACTIVE')
    with cloud.deleted(asked, asking):
        asked.report()
        address = str(asked.interfaces()[0]['fixed_ips'][0]['ip_address'])
        with cloud.console(asking) as console:
            assert not reaches(console, address)
            rule = {'parent_group_id': asked_group, 'ip_protocol': 'icmp', 'from_port': 8}
            rule |= {'to_port': 0, 'group_id': asking_group}
            made = post(cloud, '/os-security-group-rules', {'security_group_rule': rule})
            becomes(console, address, True, 'a rule that is new')
            # The other host's guest leaves the group that the rule names, and joins it again.
            action = f'/servers/{asking.uuid}/action'
            post(cloud, action, {'addSecurityGroup': {'name': 'default'}})
            post(cloud, action, {'removeSecurityGroup': {'name': 'asking'}})
            becomes(console, address, False, 'a member that has left')
            post(cloud, action, {'addSecurityGroup': {'name': 'asking'}})
            becomes(console, address, True, 'a member that is new')
            path = f'/os-security-group-rules/{made["security_group_rule"]["id"]}'
            assert cloud.api.call('DELETE', path).status == 202
            becomes(console, address, False, 'a rule that is gone')
    for group in (asked_group, asking_group):
        assert cloud.api.call('DELETE', f'/os-security-groups/{group}').status == 202
