"""Flavors, networks, services, hypervisors and zones, as they are shown."""

from __future__ import annotations

from collections.abc import Callable
import json

import pytest

from nova.tests.unit.api import doubles

Golden = Callable[[str, str], None]


@pytest.fixture
def client() -> doubles.Client:
    return doubles.build_client()


@pytest.mark.parametrize(
    ('name', 'path', 'roles', 'version'),
    [
        ('flavors', '/flavors', 'member', '2.1'),
        ('flavors-detail', '/flavors/detail', 'member', '2.1'),
        ('extra-specs', '/flavors/1/os-extra_specs', 'member', '2.1'),
        ('networks-member', '/os-networks', 'member', '2.1'),
        ('networks-admin', '/os-networks', 'admin', '2.35'),
        ('tenant-networks', '/os-tenant-networks', 'member', '2.1'),
        ('floating-ips', '/os-floating-ips', 'member', '2.1'),
        ('floating-ip', '/os-floating-ips/1', 'member', '2.1'),
        ('floating-ip-pools', '/os-floating-ip-pools', 'member', '2.1'),
        ('services-2.1', '/os-services', 'admin', '2.1'),
        ('services-2.11', '/os-services?host=compute1', 'admin', '2.11'),
        ('hypervisors', '/os-hypervisors', 'admin', '2.1'),
        ('hypervisors-detail-2.1', '/os-hypervisors/detail', 'admin', '2.1'),
        ('hypervisors-detail-2.33', '/os-hypervisors/detail?limit=1', 'admin', '2.33'),
        ('hypervisor-statistics', '/os-hypervisors/statistics', 'admin', '2.1'),
        ('zones', '/os-availability-zone', 'member', '2.1'),
        ('zones-detail', '/os-availability-zone/detail', 'admin', '2.1'),
    ],
)
def test_show(
    client: doubles.Client, golden: Golden, name: str, path: str, roles: str, version: str
) -> None:
    answer = client.send('GET', path, roles=roles, version=version)
    assert answer.status_code == 200
    golden(f'api/{name}.json', json.dumps(answer.json, indent=2) + '\n')


@pytest.mark.parametrize(
    ('collection', 'member', 'key', 'member_key', 'name'),
    [
        ('/flavors/detail', '/flavors/{}', 'flavors', 'flavor', '1'),
        ('/os-networks', '/os-networks/{}', 'networks', 'network', doubles.network_uuid(1)),
        (
            '/os-tenant-networks',
            '/os-tenant-networks/{}',
            'networks',
            'network',
            doubles.network_uuid(1),
        ),
        ('/os-hypervisors/detail', '/os-hypervisors/{}', 'hypervisors', 'hypervisor', '1'),
    ],
)
def test_a_member_is_shown_as_in_its_list(
    client: doubles.Client, collection: str, member: str, key: str, member_key: str, name: str
) -> None:
    listed = client.send('GET', collection, roles='admin').json[key]
    shown = client.send('GET', member.format(name), roles='admin').json[member_key]
    assert shown == listed[0]
    assert client.send('GET', member.format('other'), roles='admin').status_code == 404


@pytest.mark.parametrize(
    ('query', 'roles', 'expected'),
    [
        ('', 'member', ['1', '2']),
        ('is_public=None', 'member', ['1', '2']),
        ('', 'admin', ['1', '2']),
        ('is_public=None', 'admin', ['1', '2', '3']),
        ('is_public=False', 'admin', ['3']),
        ('minRam=1000', 'member', ['2']),
        ('minDisk=20', 'member', ['2']),
        ('marker=1', 'member', ['2']),
        ('marker=1&is_public=None&limit=1', 'admin', ['2']),
    ],
)
def test_flavors_that_are_asked_for(
    client: doubles.Client, query: str, roles: str, expected: list[str]
) -> None:
    answer = client.send('GET', f'/flavors?{query}', roles=roles)
    assert [flavor['id'] for flavor in answer.json['flavors']] == expected


def test_pages_of_flavors(client: doubles.Client) -> None:
    first = client.send('GET', '/flavors?limit=1').json
    assert 'marker=1' in first['flavors_links'][0]['href']
    assert 'flavors_links' not in client.send('GET', '/flavors?limit=1&marker=1').json
    assert client.send('GET', '/flavors?marker=nope').status_code == 400


def test_a_private_flavor_is_not_found_by_others(client: doubles.Client) -> None:
    assert client.send('GET', '/flavors/3').status_code == 404
    assert client.send('GET', '/flavors/3', roles='admin').status_code == 200


def test_create_flavor(client: doubles.Client) -> None:
    body = {
        'flavor': {
            'name': 'tiny',
            'id': None,
            'ram': '64',
            'vcpus': 1,
            'disk': 0,
            'swap': '',
            'rxtx_factor': 1.0,
            'OS-FLV-EXT-DATA:ephemeral': 2,
            'os-flavor-access:is_public': False,
        }
    }
    answer = client.send('POST', '/flavors', body, roles='admin')
    made = answer.json['flavor']
    assert made.pop('links')
    assert made == {
        'id': 'made-up',
        'name': 'tiny',
        'ram': 64,
        'vcpus': 1,
        'disk': 0,
        'swap': '',
        'OS-FLV-EXT-DATA:ephemeral': 2,
        'OS-FLV-DISABLED:disabled': False,
        'os-flavor-access:is_public': False,
        'rxtx_factor': 1.0,
    }


@pytest.mark.parametrize(
    ('fields', 'field'),
    [
        ({'ram': 0}, 'ram'),
        ({'ram': '0'}, 'ram'),
        ({'ram': '1e3'}, 'ram'),
        ({'vcpus': True}, 'vcpus'),
        ({'disk': -1}, 'disk'),
        ({'rxtx_factor': 2.0}, 'rxtx_factor'),
        ({'description': 'x'}, 'description'),
    ],
)
def test_flavors_that_are_refused(
    client: doubles.Client, fields: dict[str, object], field: str
) -> None:
    body = {'flavor': {'name': 'f', 'ram': 1, 'vcpus': 1, 'disk': 1} | fields}
    answer = client.send('POST', '/flavors', body, roles='admin')
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in answer.json['badRequest']['message']


def test_delete_flavor(client: doubles.Client) -> None:
    assert client.send('DELETE', '/flavors/1', roles='admin').status_code == 202
    assert client.send('DELETE', '/flavors/nope', roles='admin').status_code == 404
    assert client.compute.deleted == ['1']


def test_pages_of_hypervisors(client: doubles.Client) -> None:
    path = '/os-hypervisors?limit=1&marker=1'
    answer = client.send('GET', path, roles='admin', version='2.33')
    assert [node['id'] for node in answer.json['hypervisors']] == [2]
    assert 'hypervisors_links' not in answer.json
    # paging came with 2.33
    assert len(client.send('GET', path, roles='admin').json['hypervisors']) == 2
    gone = client.send('GET', '/os-hypervisors?marker=9', roles='admin', version='2.33')
    assert gone.status_code == 400


def test_extensions(client: doubles.Client) -> None:
    listed = client.send('GET', '/extensions').json['extensions']
    one = next(entry for entry in listed if entry['alias'] == 'os-networks')
    assert client.send('GET', '/extensions/os-networks').json == {'extension': one}
    assert client.send('GET', '/extensions/nothing').status_code == 404
