"""Security groups in force on real guests, by the packet filter of the host."""

from __future__ import annotations

import time
from typing import Any

from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds

#: One echo request; says whether its answer came within half a second.
_PING = """
import os, select, socket, struct, sys, time
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
mark = os.getpid() & 0xFFFF
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
head = struct.pack("!BBHHH", 8, 0, 0, mark, 1)
raw.sendto(struct.pack("!BBHHH", 8, 0, checksum(head), mark, 1), (sys.argv[1], 0))
end = time.monotonic() + 0.5
found = False
while not found and time.monotonic() < end and select.select([raw], [], [], 0.5)[0]:
    packet = raw.recv(2048)
    kind, _, _, ident, _ = struct.unpack("!BBHHH", packet[20:28])
    found = (kind, ident) == (0, mark)
print("yes" if found else "no")
"""

#: Within which a change has to be in force.
_SOON_S = 1.0


def _answers(cloud: clouds.Cloud, address: str) -> bool:
    command = ['python3', '-c', _PING, address]
    return cloud.sandbox.output(*command).strip() == 'yes'


def _post(cloud: clouds.Cloud, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = cloud.api.call('POST', path, body)
    assert answer.status in (200, 202), answer.text
    return dict(answer.json()) if answer.text else {}


def _becomes(cloud: clouds.Cloud, address: str, reachable: bool, since: float) -> float:
    """Seconds from ``since`` until the address answers, or does so no more."""
    assert wait_until(lambda: _answers(cloud, address) is reachable, 30, 0.02), cloud.log()
    return time.monotonic() - since


def test_groups_are_in_force_nic_by_nic_and_follow_changes(cloud: clouds.Cloud) -> None:
    group = _post(cloud, '/os-security-groups', {'security_group': {'name': 'ping'}})
    group_id = group['security_group']['id']
    networks = [
        {'uuid': cloud.networks['net-a']['uuid'], 'security_groups': [{'name': 'ping'}]},
        {'uuid': cloud.networks['net-b']['uuid']},
    ]
    answer = cloud.request(networks)
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    # what the guest asks for comes back: DHCP, and its gateways' answers
    assert [(nic.lease, nic.gateway_answers) for nic in server.report().nics] == [(True, True)] * 2
    first, second = (nic['fixed_ips'][0]['ip_address'] for nic in server.interfaces())
    assert (_answers(cloud, first), _answers(cloud, second)) == (False, False)
    rule = {'parent_group_id': group_id, 'ip_protocol': 'icmp', 'from_port': 8, 'to_port': 0}
    since = time.monotonic()
    made = _post(cloud, '/os-security-group-rules', {'security_group_rule': rule})
    assert _becomes(cloud, first, True, since) < _SOON_S
    assert not _answers(cloud, second)
    since = time.monotonic()
    _post(cloud, f'/servers/{server.uuid}/action', {'addSecurityGroup': {'name': 'ping'}})
    assert _becomes(cloud, second, True, since) < _SOON_S
    cloud.api.call('DELETE', f'/os-security-group-rules/{made["security_group_rule"]["id"]}')
    _becomes(cloud, first, False, since)
    assert not _answers(cloud, second)
    server.delete()
    assert cloud.api.call('DELETE', f'/os-security-groups/{group_id}').status == 202
