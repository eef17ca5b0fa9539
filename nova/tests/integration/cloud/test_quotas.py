"""Quotas by the real clients, against a real cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import clients
from lab.identity import DEMO
from nova.tests.integration.cloud import clouds

pytestmark = pytest.mark.root


@pytest.fixture
def project(cloud: clouds.Cloud) -> Iterator[str]:
    """The id of the user's project, whose quotas are what they were in the end."""
    found = clients.run_json(cloud.sandbox, 'openstack', 'project', 'show', 'demo')['id']
    yield found
    assert cloud.api.call('DELETE', f'/os-quota-sets/{found}').status == 202


def shown(cloud: clouds.Cloud, project: str) -> dict[str, str]:
    """What ``nova quota-show`` prints, by quota."""
    text = clients.run(cloud.sandbox, 'nova', 'quota-show', login=DEMO).stdout
    rows = [line.split('|')[1:3] for line in text.splitlines() if line.startswith('|')]
    return {name.strip(): limit.strip() for name, limit in rows}


def test_a_boot_beyond_a_quota(cloud: clouds.Cloud, project: str) -> None:
    before = shown(cloud, project)
    update = ['nova', 'quota-update', '--instances', '1', '--fixed-ips', '3', project]
    clients.run(cloud.sandbox, *update)
    after = shown(cloud, project)
    assert (after['instances'], after['fixed_ips'], after['cores']) == ('1', '3', before['cores'])

    nets = [{'uuid': cloud.networks[label]['uuid']} for label in ('net-a', 'net-b')]
    refused = cloud.request([*nets, *nets], api=cloud.user)
    assert refused.status == 403
    assert clouds.message(refused) == 'Quota exceeded for fixed_ips: allowed 3, asked for 4'

    created = cloud.request(nets, api=cloud.user).json()['server']['id']
    server = clouds.Server(cloud, created)
    try:
        options = ['--flavor', clouds.FLAVOR, '--image', cloud.image]
        nic = ['--nic', f'net-id={nets[0]["uuid"]}']
        refused_boot = clients.run(
            cloud.sandbox, 'nova', 'boot', *options, *nic, 'more', login=DEMO, check=False
        )
        assert refused_boot.returncode != 0
        assert 'Quota exceeded for instances: allowed 1, asked for 2' in refused_boot.stderr

        server.wait_status('ACTIVE')
        attach = {'interfaceAttachment': {'net_id': nets[0]['uuid']}}
        path = f'/servers/{server.uuid}/os-interface'
        assert cloud.user.call('POST', path, attach).status == 200
        beyond = cloud.user.call('POST', path, attach)
        assert (beyond.status, 'fixed_ips' in clouds.message(beyond)) == (403, True)

        detail = cloud.user.get(f'/os-quota-sets/{project}/detail')['quota_set']
        assert detail['fixed_ips'] == {'limit': 3, 'in_use': 3, 'reserved': 0}
        limits = clients.run_json(
            cloud.sandbox, 'openstack', 'limits', 'show', '--absolute', login=DEMO
        )
        found = {row['Name']: row['Value'] for row in limits}
        assert (found['instances_used'], found['instances']) == (1, 1)
    finally:
        server.delete()


@pytest.fixture
def defaults(cloud: clouds.Cloud) -> Iterator[dict[str, int]]:
    """The quotas of all projects, which are the same in the end."""
    path = '/os-quota-class-sets/default'
    found: dict[str, int] = cloud.api.get(path)['quota_class_set']
    yield found
    body = {'quota_class_set': {name: limit for name, limit in found.items() if name != 'id'}}
    assert cloud.api.call('PUT', path, body).status == 200


def test_the_quotas_of_all_projects(
    cloud: clouds.Cloud, project: str, defaults: dict[str, int]
) -> None:
    """By what either client has of commands for it."""
    clients.run(cloud.sandbox, 'nova', 'quota-class-update', '--instances', '7', 'default')
    new = ['--cores', '41', '--key-pairs', '5']
    clients.run(cloud.sandbox, 'openstack', 'quota', 'set', '--default', *new)
    own = ['--cores', '42', '--ram', '1024', '--force', project]
    clients.run(cloud.sandbox, 'openstack', 'quota', 'set', *own)

    text = clients.run(cloud.sandbox, 'nova', 'quota-class-show', 'default').stdout
    rows = [line.split('|')[1:3] for line in text.splitlines() if line.startswith('|')]
    found = {name.strip(): limit.strip() for name, limit in rows}
    assert (found['instances'], found['cores'], found['key_pairs']) == ('7', '41', '5')
    assert found['ram'] == str(defaults['ram'])
    for options, cores in ((['--default'], 41), ([project], 42)):
        listed = clients.run_json(
            cloud.sandbox, 'openstack', 'quota', 'show', '--compute', *options
        )
        limits = {row['Resource']: row['Limit'] for row in listed}
        assert (limits['instances'], limits['cores']) == (7, cores)
    # projects whose quotas differ from those of all
    listed = clients.run_json(cloud.sandbox, 'openstack', 'quota', 'list', '--compute')
    (row,) = [row for row in listed if row['Project ID'] == project]
    assert (row['Cores'], row['Ram']) == (42, 1024)
