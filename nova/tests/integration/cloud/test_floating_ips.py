"""A floating IP of a real guest, by the real SDK."""

from __future__ import annotations

import json

import pytest

from lab import checkout, clients, compute
from lab.identity import ADMIN
from nova.tests.integration.cloud import clouds

pytestmark = pytest.mark.root

#: Allocates one, lets it lead to the server named on the command line and says what it has become.
SCRIPT = """
import json, sys, openstack
conn = openstack.connect(compute_api_version='2')
made = conn.create_floating_ip(network='nova')
server = conn.get_server_by_id(sys.argv[1])
conn.compute.add_floating_ip_to_server(server.id, made.floating_ip_address)
found = conn.compute.get('/os-floating-ips').json()['floating_ips']
print(json.dumps({'address': made.floating_ip_address, 'found': found}))
"""


def test_the_sdk_gives_a_guest_a_floating_ip(cloud: clouds.Cloud) -> None:
    sandbox = cloud.sandbox
    compute.manage(sandbox, 'floating', 'create', '--range', '198.51.100.8/31')
    sandbox.output('ip', 'addr', 'add', '198.51.100.8/31', 'dev', 'lo')
    try:
        with cloud.admitting('icmp', 8, 0), cloud.booted(['net-a', 'net-b']) as server:
            assert server.report().nics[0].lease
            done = sandbox.run(
                [checkout.venv_command('python'), '-c', SCRIPT, server.uuid],
                env=clients.environment(ADMIN),
            )
            outcome = json.loads(done.stdout)
            (found,) = outcome['found']
            fixed = server.interfaces()[0]['fixed_ips'][0]['ip_address']
            assert (found['ip'], found['fixed_ip'], found['instance_id']) == (
                outcome['address'],
                fixed,
                server.uuid,
            )
            (entry,) = [
                entry
                for entry in server.show()['addresses']['net-a']
                if entry['OS-EXT-IPS:type'] == 'floating'
            ]
            assert (entry['addr'], entry['version']) == (found['ip'], 4)
            assert entry['OS-EXT-IPS-MAC:mac_addr'] == server.interfaces()[0]['mac_addr']
            ping = ['busybox', 'ping', '-c', '1', '-W', '5', found['ip']]
            assert '1 packets received' in sandbox.output(*ping)

            body = {'removeFloatingIp': {'address': found['ip']}}
            assert cloud.api.call('POST', f'/servers/{server.uuid}/action', body).status == 202
            rules = sandbox.output('nft', 'list', 'table', 'inet', 'nova-nat')
            assert found['ip'] not in rules
        assert cloud.api.call('DELETE', f'/os-floating-ips/{found["id"]}').status == 202
    finally:
        sandbox.output('ip', 'addr', 'del', '198.51.100.8/31', 'dev', 'lo')
    for address in ('198.51.100.8', '198.51.100.9'):
        compute.manage(sandbox, 'floating', 'delete', address)
