"""Security groups by the real clients: OpenStack's and nova's commands, and the SDK."""

from __future__ import annotations

import json
from typing import Any

from lab import checkout, clients, identity
from nova.tests.integration.cloud import clouds

#: Makes a group and rules, shows what it got, and takes all away but for the group.
_SDK = """
import json, openstack
cloud = openstack.connect()
group = cloud.create_security_group('sdk', 'made by the SDK')
rules = [
    cloud.create_security_group_rule('sdk', 22, 22, 'tcp', '10.10.0.0/16'),
    cloud.create_security_group_rule('sdk', 8, -1, 'icmp', None),
    cloud.create_security_group_rule('sdk', 1, 9, 'udp', None, group['id']),
]
cloud.update_security_group('sdk', description='changed')
found = cloud.get_security_group('sdk')
print(json.dumps([found['description'], [
    [rule['protocol'], rule['port_range_min'], rule['port_range_max'], rule['remote_ip_prefix']]
    for rule in found['security_group_rules']
]]))
for rule in rules:
    cloud.delete_security_group_rule(rule['id'])
"""


def _sdk(cloud: clouds.Cloud, script: str) -> Any:
    command = [checkout.venv_command('python'), '-c', script]
    environment = clients.environment(identity.ADMIN)
    return json.loads(cloud.sandbox.run(command, env=environment).stdout)


def test_the_real_clients(cloud: clouds.Cloud) -> None:
    def run(*words: str) -> str:
        return clients.run(cloud.sandbox, *words).stdout

    def names(server: clouds.Server) -> list[str]:
        return [group['name'] for group in server.show()['security_groups']]

    assert _sdk(cloud, _SDK) == [
        'changed',
        [
            ['tcp', 22, 22, '10.10.0.0/16'],
            ['icmp', 8, None, '0.0.0.0/0'],
            ['udp', 1, 9, None],
        ],
    ]
    network = cloud.networks['net-a']['uuid']
    nics = ['--nic', f'net-id={network}']
    boot = ['--flavor', 'm1.tiny', '--image', 'tiny', *nics]
    run('openstack', 'server', 'create', *boot, '--security-group', 'sdk', 'guest')
    (row,) = clients.run_json(cloud.sandbox, 'openstack', 'server', 'list')
    server = clouds.Server(cloud, row['ID'])
    server.wait_status('ACTIVE')
    assert names(server) == ['sdk']
    run('nova', 'add-secgroup', 'guest', 'default')
    assert names(server) == ['default', 'sdk']
    assert 'made by' not in run('nova', 'list-secgroup', 'guest')
    run('nova', 'remove-secgroup', 'guest', 'sdk')
    assert names(server) == ['default']
    run('openstack', 'server', 'add', 'security', 'group', 'guest', 'sdk')
    assert sorted(names(server)) == ['default', 'sdk']
    server.delete()
    text = run('nova', 'boot', '--security-groups', 'sdk', *_nova_boot(network), 'second')
    assert 'sdk' in text
    (row,) = clients.run_json(cloud.sandbox, 'openstack', 'server', 'list')
    second = clouds.Server(cloud, row['ID'])
    second.wait_status('ACTIVE')
    assert names(second) == ['sdk']
    second.delete()
    deleted = (
        "import openstack; print(str(openstack.connect().delete_security_group('sdk')).lower())"
    )
    assert _sdk(cloud, deleted) is True


def _nova_boot(network: str) -> list[str]:
    return ['--flavor', 'm1.tiny', '--image', 'tiny', '--nic', f'net-id={network}']
