"""What holds for every request: tokens, ids, versions, sizes, errors."""

from __future__ import annotations

import pytest

from nova import exception
from nova.api import faults
from nova.tests.unit.api import doubles


@pytest.fixture
def client() -> doubles.Client:
    return doubles.build_client()


@pytest.mark.parametrize('path', ['/', '/v2.1', '/v2.1/'])
@pytest.mark.parametrize('strategy', ['noauth', 'keystone'])
def test_version_documents_need_no_token(path: str, strategy: str) -> None:
    answer = doubles.build_client(auth_strategy=strategy).raw('GET', path)
    document = answer.json['versions'][0] if path == '/' else answer.json['version']
    assert answer.status_code == 200
    assert document['id'] == 'v2.1'
    assert (document['min_version'], document['version']) == ('2.1', '2.35')
    assert document['links'][0]['href'].endswith('/v2.1/')


@pytest.mark.parametrize('strategy', ['noauth', 'keystone'])
@pytest.mark.parametrize('path', ['/v2.1/servers', '/v2.1//', '/nothing', '/v2.1/../v2.1/servers'])
def test_everything_else_needs_one(path: str, strategy: str) -> None:
    headers = {} if strategy == 'noauth' else {'X-User-Id': 'u', 'X-Project-Id': 'p'}
    answer = doubles.build_client(auth_strategy=strategy).raw('GET', path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers['x-compute-request-id'].startswith('req-')


def test_the_health_check_needs_no_token(client: doubles.Client) -> None:
    assert client.raw('GET', '/healthcheck').status_code == 200


def test_request_ids(client: doubles.Client) -> None:
    answer = client.send('GET', '/servers')
    assert answer.headers['x-openstack-request-id'] == answer.headers['x-compute-request-id']


def test_versions_are_echoed(client: doubles.Client) -> None:
    answer = client.send('GET', '/servers', version='2.19')
    assert answer.headers['openstack-api-version'] == 'compute 2.19'
    assert answer.headers['x-openstack-nova-api-version'] == '2.19'
    assert 'OpenStack-API-Version' in answer.headers['vary']


def test_the_old_header_alone(client: doubles.Client) -> None:
    answer = client.send('GET', '/servers', headers={'X-OpenStack-Nova-API-Version': '2.3'})
    assert answer.headers['openstack-api-version'] == 'compute 2.3'


def test_a_version_out_of_range(client: doubles.Client) -> None:
    answer = client.send('GET', '/servers', version='2.36')
    assert answer.status_code == 406
    assert '2.35' in answer.json['notAcceptable']['message']
    assert 'OpenStack-API-Version' in answer.headers['vary']


def test_a_token_without_a_project_may_do_nothing(client: doubles.Client) -> None:
    assert client.send('GET', '/servers', project='').status_code == 401


@pytest.mark.parametrize(
    ('method', 'path', 'code', 'name'),
    [
        ('GET', '/nothing', 404, 'itemNotFound'),
        ('GET', '/os-keypairs', 404, 'itemNotFound'),
        ('DELETE', '/servers', 405, 'badMethod'),
        ('GET', '/servers/%00', 404, 'itemNotFound'),
        ('GET', '/servers?name=%00', 400, 'badRequest'),
        ('GET', '/os-networks/net1', 404, 'itemNotFound'),
    ],
)
def test_refusals(client: doubles.Client, method: str, path: str, code: int, name: str) -> None:
    answer = client.send(method, path)
    assert answer.status_code == code
    assert answer.json[name]['code'] == code


@pytest.mark.parametrize(
    ('body', 'content_type', 'code'),
    [
        ('{', 'application/json', 400),
        ('', 'application/json', 400),
        ('[]', 'application/json', 400),
        ('[' * 50000, 'application/json', 400),
        ('name=x', 'application/x-www-form-urlencoded', 415),
        ('{"server": {"name": "\\ud800"}}', 'application/json', 400),
        ('x' * 200000, 'application/json', 413),
    ],
)
def test_bodies_that_are_no_json_object(
    client: doubles.Client, body: str, content_type: str, code: int
) -> None:
    headers = {'X-User-Id': 'u', 'X-Project-Id': 'p', 'X-Roles': 'member'}
    answer = client.raw(
        'POST',
        '/v2.1/servers',
        body=body,
        headers=headers | {'Content-Type': content_type},
    )
    assert answer.status_code == code


def test_the_text_of_a_fault_is_for_the_operator(client: doubles.Client) -> None:
    client.compute.error = exception.NetworkSetupFailed(network='n', reason='secret host7')
    answer = client.send('POST', f'/servers/{doubles.server_uuid(1)}/action', CONSOLE)
    assert answer.status_code == 500
    assert answer.json == {'computeFault': {'code': 500, 'message': faults.HIDDEN}}


def test_a_safe_fault_is_shown(client: doubles.Client) -> None:
    client.compute.error = exception.ServiceUnavailable(topic='compute', host='compute1')
    answer = client.send('POST', f'/servers/{doubles.server_uuid(1)}/action', CONSOLE)
    assert answer.status_code == 503
    assert 'compute1' in answer.json['serviceUnavailable']['message']


def test_a_mistake_of_ours_is_not_shown(client: doubles.Client) -> None:
    client.compute.error = RuntimeError('secret')
    answer = client.send('POST', f'/servers/{doubles.server_uuid(1)}/action', CONSOLE)
    assert answer.json == {'computeFault': {'code': 500, 'message': faults.HIDDEN}}


def test_a_conflict(client: doubles.Client) -> None:
    client.compute.error = exception.InstanceInvalidState(
        method='m', instance_id='i', state='building'
    )
    answer = client.send('POST', f'/servers/{doubles.server_uuid(1)}/action', CONSOLE)
    assert answer.status_code == 409
    assert 'building' in answer.json['conflictingRequest']['message']


CONSOLE = {'os-getConsoleOutput': {'length': None}}
