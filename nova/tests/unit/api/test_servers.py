"""Servers: what requests become, and what answers show."""

from __future__ import annotations

from collections.abc import Callable
import json
from typing import Any

import pytest

from nova import exception
from nova.api.handlers import servers
from nova.db import records
from nova.network import model
from nova.tests.unit.api import doubles

SERVER = doubles.server_uuid(1)
Golden = Callable[[str, str], None]


@pytest.fixture
def client() -> doubles.Client:
    return doubles.build_client()


def text_of(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + '\n'


def create_body(**fields: Any) -> dict[str, Any]:
    required = {'name': 'vm', 'imageRef': doubles.IMAGE, 'flavorRef': '1'}
    return {'server': required | fields}


# --- showing


@pytest.mark.parametrize(
    ('version', 'roles'),
    [
        ('2.1', 'member'),
        ('2.1', 'admin'),
        ('2.3', 'admin'),
        ('2.9', 'member'),
        ('2.16', 'admin'),
        ('2.19', 'member'),
        ('2.26', 'member'),
        ('2.35', 'admin'),
    ],
)
def test_show(client: doubles.Client, golden: Golden, version: str, roles: str) -> None:
    answer = client.send('GET', f'/servers/{SERVER}', roles=roles, version=version)
    golden(f'api/server-{version}-{roles}.json', text_of(answer.json))


@pytest.mark.parametrize('roles', ['member', 'admin'])
def test_show_fault(client: doubles.Client, roles: str) -> None:
    path = f'/servers/{doubles.server_uuid(2)}'
    shown = client.send('GET', path, roles=roles, project='project-b').json['server']
    expected = {
        'code': 500,
        'created': '2025-01-31T12:00:30Z',
        'message': 'No valid host was found.',
    }
    if roles == 'admin':
        expected['details'] = 'host7 is full'
    assert shown['status'] == 'ERROR'
    assert shown['fault'] == expected
    assert shown['hostId'] == ''
    assert 'progress' not in shown


@pytest.mark.parametrize('count', [0, 1, 2, 3, 8])
def test_addresses_are_in_nic_order(client: doubles.Client, count: int) -> None:
    vifs = tuple(doubles.build_vif(index) for index in range(count))
    client.network.infos[SERVER] = model.NetworkInfo(vifs)
    shown = client.send('GET', f'/servers/{SERVER}').json['server']['addresses']
    assert list(shown) == [vif.network.label for vif in vifs]
    assert [
        entry['OS-EXT-IPS-MAC:mac_addr'] for entries in shown.values() for entry in entries
    ] == [vif.mac for vif in vifs]
    listed = client.send('GET', f'/servers/{SERVER}/os-interface').json['interfaceAttachments']
    assert [entry['port_id'] for entry in listed] == [vif.id for vif in vifs]


def test_ips(client: doubles.Client, golden: Golden) -> None:
    answer = client.send('GET', f'/servers/{SERVER}/ips')
    golden('api/ips.json', text_of(answer.json))
    one = client.send('GET', f'/servers/{SERVER}/ips/net')
    assert one.json == {'net': answer.json['addresses']['net']}
    assert client.send('GET', f'/servers/{SERVER}/ips/other').status_code == 404


def test_interfaces(client: doubles.Client, golden: Golden) -> None:
    answer = client.send('GET', f'/servers/{SERVER}/os-interface')
    golden('api/interfaces.json', text_of(answer.json))
    listed = answer.json['interfaceAttachments']
    one = client.send('GET', f'/servers/{SERVER}/os-interface/{listed[1]["port_id"]}')
    assert one.json == {'interfaceAttachment': listed[1]}
    assert client.send('GET', f'/servers/{SERVER}/os-interface/x').status_code == 404


@pytest.mark.parametrize(
    ('state', 'status', 'task'),
    [
        (records.VmState.BUILDING, 'BUILD', records.TaskState.SPAWNING),
        (records.VmState.ACTIVE, 'ACTIVE', records.TaskState.DELETING),
        (records.VmState.STOPPED, 'SHUTOFF', None),
        (records.VmState.ERROR, 'ERROR', None),
    ],
)
def test_status(
    client: doubles.Client,
    state: records.VmState,
    status: str,
    task: records.TaskState | None,
) -> None:
    client.compute.instances = [doubles.build_instance(vm_state=state, task_state=task)]
    shown = client.send('GET', f'/servers/{SERVER}').json['server']
    assert shown['status'] == status
    assert shown['OS-EXT-STS:vm_state'] == state.value
    assert shown['OS-EXT-STS:task_state'] == (task.value if task else None)


def test_host_status_of_each_host(client: doubles.Client) -> None:
    hosts = ['compute1', 'compute2', 'compute3', None]
    client.compute.instances = [
        doubles.build_instance(number, host=host) for number, host in enumerate(hosts, 1)
    ]
    client.compute.down = {1}
    listed = client.send('GET', '/servers/detail', roles='admin', version='2.16').json['servers']
    assert [shown['host_status'] for shown in listed] == ['UNKNOWN', 'MAINTENANCE', 'UNKNOWN', '']


# --- creating


def test_create(client: doubles.Client) -> None:
    first, second = doubles.network_uuid(2), doubles.network_uuid(1)
    body = create_body(
        networks=[
            {'uuid': first.upper()},
            {'uuid': second, 'fixed_ip': '10.1.0.9', 'tag': 'lan'},
            {'uuid': first, 'security_groups': [{'name': 'own'}]},
        ],
        metadata={'a': 'b'},
        config_drive='true',
        user_data='Zm9v',
        availability_zone='nova',
        security_groups=[{'name': 'web'}, {'name': 'db'}],
    )
    answer = client.send('POST', '/servers', body, version='2.32')
    assert answer.status_code == 202
    assert answer.headers['location'] == f'https://cloud.example/v2.1/servers/{SERVER}'
    made = answer.json['server']
    assert len(made.pop('adminPass')) == 12
    assert made == {
        'id': SERVER,
        'OS-DCF:diskConfig': 'MANUAL',
        'links': [
            {'rel': 'self', 'href': f'https://cloud.example/v2.1/servers/{SERVER}'},
            {'rel': 'bookmark', 'href': f'https://cloud.example/servers/{SERVER}'},
        ],
    }
    assert client.compute.created == [
        {
            'name': 'vm',
            'image_ref': doubles.IMAGE,
            'flavor_ref': '1',
            'requested_networks': (
                records.RequestedNetwork(network_uuid=first),
                records.RequestedNetwork(network_uuid=second, fixed_ip='10.1.0.9', tag='lan'),
                records.RequestedNetwork(network_uuid=first, security_groups=('own',)),
            ),
            'min_count': 1,
            'max_count': 1,
            'metadata': {'a': 'b'},
            'user_data': 'Zm9v',
            'config_drive': True,
            'availability_zone': 'nova',
            'security_groups': ('web', 'db'),
        }
    ]


@pytest.mark.parametrize('networks', [{}, {'networks': []}, {'networks': 'auto'}])
def test_no_network_named_leaves_the_choice(
    client: doubles.Client, networks: dict[str, Any]
) -> None:
    assert client.send('POST', '/servers', create_body(**networks)).status_code == 202
    assert client.compute.created[0]['requested_networks'] == ()


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({}, (1, 1)),
        ({'min_count': 2}, (2, 2)),
        ({'max_count': '3'}, (1, 3)),
        ({'min_count': '2', 'max_count': 3}, (2, 3)),
    ],
)
def test_counts(client: doubles.Client, fields: dict[str, Any], expected: tuple[int, int]) -> None:
    client.send('POST', '/servers', create_body(**fields))
    asked = client.compute.created[0]
    assert (asked['min_count'], asked['max_count']) == expected


def test_a_reservation(client: doubles.Client) -> None:
    answer = client.send('POST', '/servers', create_body(return_reservation_id=True, max_count=2))
    assert answer.json == {'reservation_id': 'r-1'}


def test_a_password_of_the_users_own(client: doubles.Client) -> None:
    answer = client.send('POST', '/servers', create_body(adminPass='mine'))
    assert answer.json['server']['adminPass'] == 'mine'


NETWORKS = [
    {'uuid': doubles.network_uuid(1)},
    {
        'uuid': doubles.network_uuid(2),
        'fixed_ip': '10.2.0.9',
        'security_groups': [{'name': 'c'}],
    },
]
GROUPS = [{'name': 'a'}, {'name': 'b'}]


@pytest.mark.parametrize(
    ('error', 'code', 'message'),
    [
        (
            exception.NetworkNotFound(network_id=doubles.network_uuid(2)),
            400,
            (
                'Invalid input for networks[1].uuid: Network '
                f'{doubles.network_uuid(2)} could not be found.'
            ),
        ),
        (
            exception.FixedIpInvalid(
                address='10.2.0.9', network=doubles.network_uuid(2), reason='it is reserved'
            ),
            400,
            (
                'Invalid input for networks[1].fixed_ip: Fixed IP address 10.2.0.9 cannot be used '
                f'on network {doubles.network_uuid(2)}: it is reserved'
            ),
        ),
        (
            exception.FixedIpInUse(address='10.2.0.9', network=doubles.network_uuid(2)),
            409,
            (
                'networks[1].fixed_ip: Fixed IP address 10.2.0.9 is already in use on network '
                f'{doubles.network_uuid(2)}.'
            ),
        ),
        (
            exception.NoMoreFixedIps(network=doubles.network_uuid(1)),
            409,
            f'networks[0].uuid: No fixed IP address is left on network {doubles.network_uuid(1)}.',
        ),
        (
            exception.SecurityGroupNotFound(group_id='b'),
            400,
            'Invalid input for security_groups[1].name: Security group b could not be found.',
        ),
        (
            exception.SecurityGroupNotFound(group_id='c'),
            400,
            (
                'Invalid input for networks[1].security_groups[0].name: Security group c could not '
                'be found.'
            ),
        ),
        (
            exception.FlavorNotFound(flavor_id='1'),
            400,
            'Invalid input for flavorRef: Flavor 1 could not be found.',
        ),
        (
            exception.ImageNotFound(image_id='i'),
            400,
            'Invalid input for imageRef: Image i could not be found.',
        ),
        (
            exception.ImageUnacceptable(image_id='i', reason='it is queued'),
            400,
            'Invalid input for imageRef: Image i is unacceptable: it is queued',
        ),
        (
            exception.InvalidInput(field='networks', reason='no more than 16'),
            400,
            'Invalid input for networks: no more than 16',
        ),
        (
            exception.QuotaExceeded(resource='instances', allowed=10, requested=11),
            403,
            'Quota exceeded for instances: allowed 10, asked for 11',
        ),
    ],
)
def test_errors_of_a_create_name_the_field(
    client: doubles.Client, error: Exception, code: int, message: str
) -> None:
    client.compute.error = error
    body = create_body(networks=NETWORKS, security_groups=GROUPS)
    answer = client.send('POST', '/servers', body)
    assert answer.status_code == code
    (fault,) = answer.json.values()
    assert fault == {'code': code, 'message': message}


@pytest.mark.parametrize(
    ('fields', 'field'),
    [
        ({'min_count': 3, 'max_count': 2}, 'min_count'),
        ({'availability_zone': 'moon'}, 'availability_zone'),
        (
            {
                'block_device_mapping_v2': [
                    {
                        'uuid': SERVER,
                        'source_type': 'image',
                        'destination_type': 'local',
                        'boot_index': 0,
                    }
                ]
            },
            'block_device_mapping_v2[0].uuid',
        ),
    ],
)
def test_contradictions(client: doubles.Client, fields: dict[str, Any], field: str) -> None:
    answer = client.send('POST', '/servers', create_body(**fields))
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in answer.json['badRequest']['message']
    assert client.compute.created == []


# --- listing


def test_list(client: doubles.Client) -> None:
    answer = client.send('GET', '/servers')
    assert answer.json == {
        'servers': [
            {
                'id': SERVER,
                'name': 'vm 1',
                'links': [
                    {'rel': 'self', 'href': f'https://cloud.example/v2.1/servers/{SERVER}'},
                    {'rel': 'bookmark', 'href': f'https://cloud.example/servers/{SERVER}'},
                ],
            }
        ]
    }
    assert client.compute.listed == [
        {'filters': {}, 'limit': 1000, 'marker': None, 'all_projects': False}
    ]


def test_the_details_of_a_list_are_those_of_its_servers(client: doubles.Client) -> None:
    listed = client.send('GET', '/servers/detail').json['servers']
    assert listed == [client.send('GET', f'/servers/{SERVER}').json['server']]


def test_pages(client: doubles.Client) -> None:
    client.compute.instances = [doubles.build_instance(number) for number in (1, 2, 3)]
    answer = client.send('GET', '/servers/detail?limit=2&name=a%26b&deleted=False')
    assert len(answer.json['servers']) == 2
    assert answer.json['servers_links'] == [
        {
            'rel': 'next',
            'href': 'https://cloud.example/v2.1/servers/detail?limit=2&name=a%26b&deleted=False'
            f'&marker={doubles.server_uuid(2)}',
        }
    ]
    asked = f'/servers?limit=2000&marker={doubles.server_uuid(2)}'
    assert 'servers_links' not in client.send('GET', asked).json
    assert client.compute.listed[-1]['limit'] == 1000
    assert client.compute.listed[-1]['marker'] == doubles.server_uuid(2)
    assert client.send('GET', '/servers?limit=0').json == {'servers': []}


@pytest.mark.parametrize('value', ['1', 'True', ''])
def test_all_tenants(client: doubles.Client, value: str) -> None:
    path = f'/servers?all_tenants={value}'
    assert client.send('GET', path).status_code == 403
    assert len(client.send('GET', path, roles='admin').json['servers']) == 2


def test_all_tenants_of_one_project(client: doubles.Client) -> None:
    client.send('GET', '/servers?all_tenants=1&project_id=project-b', roles='admin')
    client.send('GET', '/servers?project_id=project-b', roles='admin')
    assert [asked['filters'] for asked in client.compute.listed] == [
        {'project_id': 'project-b'},
        {},
    ]


@pytest.mark.parametrize(
    'query',
    ['limit=x', 'limit=-1', 'deleted=True', 'ip=10', 'changes-since=2020', 'sort_key=name'],
)
def test_queries_that_are_refused(client: doubles.Client, query: str) -> None:
    answer = client.send('GET', f'/servers/detail?{query}')
    assert answer.status_code == 400
    assert query.partition('=')[0] in answer.json['badRequest']['message']


@pytest.mark.parametrize(
    ('query', 'admin', 'expected'),
    [
        ({'name': '^a.*'}, False, {'name': '^a.*'}),
        ({'status': 'active'}, False, {'vm_states': (records.VmState.ACTIVE,)}),
        ({'status': 'SHUTOFF'}, False, {'vm_states': (records.VmState.STOPPED,)}),
        ({'status': 'RESCUE'}, False, None),
        ({'status': 'ACTIVE', 'vm_state': 'error'}, False, None),
        ({'host': 'h', 'project_id': 'p'}, False, {}),
        ({'host': 'h', 'tenant_id': 'p'}, True, {'host': 'h', 'project_id': 'p'}),
        ({'flavor': '1', 'image': 'i'}, False, {'flavor': '1', 'image': 'i'}),
    ],
)
def test_parse_filters(query: dict[str, str], admin: bool, expected: dict[str, Any] | None) -> None:
    assert servers.parse_filters(query, admin=admin) == expected


# --- the rest


def test_update(client: doubles.Client, golden: Golden) -> None:
    body = {'server': {'name': 'new'}}
    answer = client.send('PUT', f'/servers/{SERVER}', body, version='2.26')
    golden('api/server-updated-2.26.json', text_of(answer.json))


def test_delete(client: doubles.Client) -> None:
    answer = client.send('DELETE', f'/servers/{SERVER}')
    assert (answer.status_code, answer.text) == (204, '')
    assert client.compute.deleted == [SERVER]


@pytest.mark.parametrize(
    ('arguments', 'length'),
    [
        ({}, None),
        ({'length': None}, None),
        ({'length': 5}, 5),
        ({'length': '7'}, 7),
        ({'length': -1}, None),
        ({'length': '-1'}, None),
        ({'length': 0}, 0),
    ],
)
def test_console_output(
    client: doubles.Client, arguments: dict[str, Any], length: int | None
) -> None:
    body = {'os-getConsoleOutput': arguments}
    answer = client.send('POST', f'/servers/{SERVER}/action', body)
    assert answer.json == {'output': 'login: '}
    assert client.compute.lengths == [length]


@pytest.mark.parametrize(
    'body',
    [
        {'os-getConsoleOutput': {'length': 'x'}},
        {'os-getConsoleOutput': {'length': -2}},
        {'os-getConsoleOutput': None},
        {'os-getConsoleOutput': {}, 'os-start': None},
        {'os-nonsense': None},
        {},
    ],
)
def test_actions_that_are_refused(client: doubles.Client, body: dict[str, Any]) -> None:
    answer = client.send('POST', f'/servers/{SERVER}/action', body)
    assert answer.status_code == 400
    assert 'os-getConsoleOutput' in answer.json['badRequest']['message'] or 'length' in answer.text


@pytest.mark.parametrize(
    ('body', 'field'),
    [
        ({'os-start': {'force': True}}, 'os-start'),
        ({'reboot': {'type': 'GENTLE'}}, 'type'),
        ({'reboot': {}}, 'type'),
        ({'addFixedIp': {}}, 'networkId'),
        ({'addFixedIp': {'networkId': ''}}, 'networkId'),
        ({'removeFixedIp': {'address': 'ten'}}, 'address'),
    ],
)
def test_what_an_action_lacks_is_named(
    client: doubles.Client, body: dict[str, Any], field: str
) -> None:
    answer = client.send('POST', f'/servers/{SERVER}/action', body)
    assert answer.status_code == 400
    assert field in answer.json['badRequest']['message']
    assert client.compute.done == []


@pytest.mark.parametrize(
    ('body', 'done'),
    [
        ({'os-start': None}, ('start',)),
        ({'os-stop': {}}, ('stop',)),
        ({'reboot': {'type': 'soft'}}, ('reboot', False)),
        ({'reboot': {'type': 'HARD'}}, ('reboot', True)),
        ({'addFixedIp': {'networkId': 7}}, ('add', '7')),
        ({'removeFixedIp': {'address': '10.0.0.7'}}, ('remove', '10.0.0.7')),
    ],
)
def test_what_an_action_asks_for(
    client: doubles.Client, body: dict[str, Any], done: tuple[object, ...]
) -> None:
    assert client.send('POST', f'/servers/{SERVER}/action', body).status_code == 202
    assert client.compute.done == [done]
