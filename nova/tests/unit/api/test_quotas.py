"""Quotas and limits: what requests become, and what answers show."""

from __future__ import annotations

from typing import Any

import pytest

from nova import exception
from nova.tests.unit.api import doubles

PATH = f'/os-quota-sets/{doubles.PROJECT}'
CLASS = '/os-quota-class-sets/default'

#: What strict clients take, at the microversions that are served.
FIELDS = {
    'id',
    'instances',
    'cores',
    'ram',
    'fixed_ips',
    'floating_ips',
    'metadata_items',
    'injected_files',
    'injected_file_content_bytes',
    'injected_file_path_bytes',
    'key_pairs',
    'security_groups',
    'security_group_rules',
    'server_groups',
    'server_group_members',
}


@pytest.fixture
def client() -> doubles.Client:
    return doubles.build_client()


def put(client: doubles.Client, **limits: Any) -> Any:
    return client.send('PUT', PATH, {'quota_set': limits}, roles='admin')


@pytest.mark.parametrize('path', [PATH, f'{PATH}/defaults', f'{PATH}/detail'])
def test_the_fields_of_a_quota_set(client: doubles.Client, path: str) -> None:
    found = client.send('GET', path).json['quota_set']
    assert found.keys() == FIELDS
    assert found['id'] == doubles.PROJECT


def test_limit_and_usage(client: doubles.Client) -> None:
    found = client.send('GET', f'{PATH}/detail').json['quota_set']
    limit = client.send('GET', PATH).json['quota_set']['cores']
    assert found['cores'] == {'limit': limit, 'in_use': 2, 'reserved': 0}


def test_update_and_delete(client: doubles.Client) -> None:
    answer = put(client, cores='7', ram=-1, interfaces=4, tenant_id=doubles.PROJECT)
    assert answer.status_code == 200
    found = answer.json['quota_set']
    assert (found['cores'], found['ram'], found['interfaces']) == (7, -1, 4)
    assert found.keys() == FIELDS - {'id'} | {'interfaces'}
    defaults = client.send('GET', f'{PATH}/defaults').json['quota_set']
    assert defaults['cores'] != 7
    put(client, cores=1, force='True')
    assert client.send('DELETE', PATH, roles='admin').status_code == 202
    assert client.send('GET', PATH).json['quota_set'] == defaults
    assert client.compute.quotas.calls == [
        (doubles.PROJECT, {'cores': 7, 'ram': -1, 'interfaces': 4}, False),
        (doubles.PROJECT, {'cores': 1}, True),
        (doubles.PROJECT, None),
    ]


@pytest.mark.parametrize(
    ('limits', 'field'),
    [
        ({'cores': -2}, 'cores'),
        ({'cores': 2**31}, 'cores'),
        ({'cores': 'many'}, 'cores'),
        ({'cores': True}, 'cores'),
        ({'cores': None}, 'cores'),
        ({'volumes': 5}, 'volumes'),
        ({'force': 'perhaps'}, 'force'),
        ({'tenant_id': 'another'}, 'tenant_id'),
    ],
)
def test_quotas_that_are_refused(
    client: doubles.Client, limits: dict[str, object], field: str
) -> None:
    answer = put(client, **limits)
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in answer.json['badRequest']['message']
    assert client.compute.quotas.calls == []


def test_the_quotas_of_all_projects(client: doubles.Client) -> None:
    before = client.send('GET', CLASS, roles='admin').json['quota_class_set']
    assert before.keys() == FIELDS
    assert before['id'] == 'default'
    body = {'quota_class_set': {'cores': '7', 'interfaces': 4}}
    answer = client.send('PUT', CLASS, body, roles='admin')
    assert answer.status_code == 200
    after = answer.json['quota_class_set']
    expected = {key: value for key, value in before.items() if key != 'id'}
    assert after == expected | {'cores': 7, 'interfaces': 4}
    assert client.send('GET', f'{PATH}/defaults').json['quota_set']['cores'] == 7
    assert client.compute.quotas.calls == [('default', {'cores': 7, 'interfaces': 4})]


@pytest.mark.parametrize('method', ['GET', 'PUT'])
def test_who_may_see_and_change_the_quotas_of_all_projects(
    client: doubles.Client, method: str
) -> None:
    body = {'quota_class_set': {'cores': 1}} if method == 'PUT' else None
    assert client.send(method, CLASS, body).status_code == 403
    other = client.send(method, '/os-quota-class-sets/gold', body, roles='admin')
    assert other.status_code == 404
    assert 'gold' in other.json['itemNotFound']['message']
    assert client.compute.quotas.calls == []


@pytest.mark.parametrize('field', ['volumes', 'force', 'tenant_id'])
def test_what_is_no_quota_of_all_projects(client: doubles.Client, field: str) -> None:
    answer = client.send('PUT', CLASS, {'quota_class_set': {field: 5}}, roles='admin')
    assert answer.status_code == 400
    assert field in answer.json['badRequest']['message']


def test_less_than_there_is(client: doubles.Client) -> None:
    client.compute.quotas.error = exception.InvalidInput(field='cores', reason='there are more')
    assert put(client, cores=1).status_code == 400


@pytest.mark.parametrize('path', ['/os-quota-sets/other', '/os-quota-sets/other/detail'])
def test_another_project(client: doubles.Client, path: str) -> None:
    assert client.send('GET', path).status_code == 403
    assert client.send('GET', path, roles='admin').status_code == 200


def test_what_is_no_project(client: doubles.Client) -> None:
    answer = client.send('PUT', '/os-quota-sets/a%22b', {'quota_set': {}}, roles='admin')
    assert answer.status_code == 400


def test_quotas_of_users_are_refused(client: doubles.Client) -> None:
    assert client.send('GET', f'{PATH}?user_id=u', roles='admin').status_code == 400


def test_limits(client: doubles.Client) -> None:
    found = client.send('GET', '/limits?reserved=1').json['limits']
    assert found['rate'] == []
    absolute = found['absolute']
    assert absolute.keys() == {
        'maxTotalInstances',
        'maxTotalCores',
        'maxTotalRAMSize',
        'maxServerMeta',
        'maxImageMeta',
        'maxPersonality',
        'maxPersonalitySize',
        'maxTotalKeypairs',
        'maxServerGroups',
        'maxServerGroupMembers',
        'maxTotalFloatingIps',
        'maxSecurityGroups',
        'maxSecurityGroupRules',
        'totalInstancesUsed',
        'totalCoresUsed',
        'totalRAMUsed',
        'totalFloatingIpsUsed',
        'totalSecurityGroupsUsed',
        'totalServerGroupsUsed',
    }
    assert (absolute['totalInstancesUsed'], absolute['totalCoresUsed']) == (1, 2)
    assert absolute['maxTotalCores'] == client.compute.quotas.defaults['cores']


def test_limits_of_another_project(client: doubles.Client) -> None:
    assert client.send('GET', '/limits?tenant_id=other').status_code == 403
    assert client.send('GET', '/limits?tenant_id=other', roles='admin').status_code == 200
    own = client.send('GET', f'/limits?tenant_id={doubles.PROJECT}')
    assert own.json == client.send('GET', '/limits').json
