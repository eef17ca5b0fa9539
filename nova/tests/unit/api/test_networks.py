"""Networks: what requests become, and what is refused before it reaches anybody."""

from __future__ import annotations

from typing import Any

import pytest

from nova import exception
from nova.network import network_spec
from nova.tests.unit.api import doubles

NETWORK = doubles.network_uuid(1)
NETWORKS, TENANT = '/os-networks', '/os-tenant-networks'


@pytest.fixture
def client() -> doubles.Client:
    return doubles.build_client()


def post(client: doubles.Client, path: str, **fields: Any) -> Any:
    body = {'network': {'label': 'red', 'cidr': '10.7.0.0/24'} | fields}
    return client.send('POST', path, body, roles='admin')


def message_of(answer: Any) -> str:
    (fault,) = answer.json.values()
    return str(fault['message'])


def test_create_shows_what_was_made(client: doubles.Client) -> None:
    answer = post(client, NETWORKS)
    listed = client.send('GET', NETWORKS, roles='admin').json['networks'][0]
    assert answer.status_code == 200
    assert answer.json['network'].keys() == listed.keys()
    assert answer.json['network']['label'] == 'net7'
    assert client.network.calls == [
        ('create', network_spec.NetworkSpec(label='red', cidr='10.7.0.0/24'), None, None)
    ]


def test_every_field_of_a_network(client: doubles.Client) -> None:
    post(
        client,
        NETWORKS,
        cidr_v6='fd00:7::/64',
        kind='vlan',
        project_id='p',
        gateway='10.7.0.9',
        gateway_v6='none',
        ipv6_mode='stateful',
        dns1='192.0.2.1',
        dns2='192.0.2.2',
        routes=['192.0.2.0/24,10.7.0.5'],
        dhcp_server='10.7.0.2',
        enable_dhcp='true',
        allowed_start='10.7.0.10',
        allowed_end='10.7.0.20',
        bridge='br7',
        bridge_interface='physnet7',
        vlan='107',
        vlan_start=100,
        mtu=1400,
        multi_host='true',
        share_address='0',
        ipam=None,
        vpn_start=None,
    )
    assert client.network.calls[0][1] == network_spec.NetworkSpec(
        label='red',
        cidr='10.7.0.0/24',
        cidr_v6='fd00:7::/64',
        kind='vlan',
        project_id='p',
        gateway='10.7.0.9',
        gateway_v6='none',
        ipv6_mode='stateful',
        dns=('192.0.2.1', '192.0.2.2'),
        routes=('192.0.2.0/24,10.7.0.5',),
        dhcp_server='10.7.0.2',
        enable_dhcp=True,
        allowed_start='10.7.0.10',
        allowed_end='10.7.0.20',
        bridge='br7',
        physical_network='physnet7',
        vlan=107,
        vlan_start=100,
        mtu=1400,
        multi_host=True,
    )


def test_what_clients_leave_out_is_null(client: doubles.Client) -> None:
    nulls = dict.fromkeys(
        ('cidr_v6', 'vlan', 'dns1', 'gateway', 'mtu', 'project_id', 'enable_dhcp', 'num_networks')
    )
    assert post(client, NETWORKS, **nulls).status_code == 200
    assert client.network.calls[0][1] == network_spec.NetworkSpec(label='red', cidr='10.7.0.0/24')


@pytest.mark.parametrize(('path', 'call'), [(NETWORKS, 'create'), (TENANT, 'create of project')])
def test_several_networks_out_of_one_range(client: doubles.Client, path: str, call: str) -> None:
    answer = post(client, path, num_networks='3', network_size=60)
    assert client.network.calls[0][::2] == (call, 3)
    assert client.network.calls[0][3] == 26
    assert [n['label'] for n in answer.json['networks']] == ['net7', 'net8', 'net9']
    assert answer.json['network'] == answer.json['networks'][0]


def test_a_network_of_a_project(client: doubles.Client) -> None:
    body = {'network': {'label': 'red', 'cidr_v6': 'fd00:7::/64', 'vlan_start': 7}}
    answer = client.send('POST', TENANT, body)
    assert answer.json == {
        'network': {'id': doubles.network_uuid(7), 'label': 'net7', 'cidr': '10.7.0.0/24'}
    }
    spec = network_spec.NetworkSpec(label='red', cidr=None, cidr_v6='fd00:7::/64', vlan_start=7)
    assert client.network.calls == [('create of project', spec, None, None)]


@pytest.mark.parametrize(
    ('fields', 'field'),
    [
        ({'label': None}, 'label'),
        ({'label': ''}, 'label'),
        ({'label': 'x' * 256}, 'label'),
        ({'label': 'a\nb'}, 'label'),
        ({'cidr': 5}, 'cidr'),
        ({'vlan': 4095}, 'vlan'),
        ({'vlan': '0'}, 'vlan'),
        ({'mtu': 'large'}, 'mtu'),
        ({'num_networks': 0}, 'num_networks'),
        ({'network_size': '0'}, 'network_size'),
        ({'dns': '192.0.2.1'}, 'dns'),
        ({'dns': ['192.0.2.1'], 'dns1': '192.0.2.2'}, 'dns'),
        ({'physical_network': 'a', 'bridge_interface': 'b'}, 'bridge_interface'),
        ({'multi_host': 'each'}, 'multi_host'),
        ({'share_address': True}, 'share_address'),
        ({'vpn_start': '10.0.0.5'}, 'vpn_start'),
        ({'colour': 'red'}, 'colour'),
    ],
)
def test_networks_that_are_refused(
    client: doubles.Client, fields: dict[str, object], field: str
) -> None:
    answer = post(client, NETWORKS, **fields)
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in message_of(answer)
    assert client.network.calls == []


def test_a_project_does_not_say_how_its_network_is_made(client: doubles.Client) -> None:
    for field in ('bridge', 'project_id', 'vlan', 'physical_network', 'gateway'):
        answer = post(client, TENANT, **{field: 'x'})
        assert answer.status_code == 400
        assert field in message_of(answer)


@pytest.mark.parametrize('path', [NETWORKS, TENANT])
@pytest.mark.parametrize(
    ('error', 'code'),
    [
        (
            exception.NetworkOverlap(
                field='Range', value='10.7.0.0/24', label='blue', network_id='n'
            ),
            409,
        ),
        (exception.InvalidCidr(field='cidr', value='x', reason='it is no range'), 400),
        (exception.QuotaExceeded(resource='networks', allowed=3, requested=4), 403),
    ],
)
def test_errors_of_a_create(
    client: doubles.Client, path: str, error: exception.NovaException, code: int
) -> None:
    client.network.error = error
    answer = post(client, path)
    assert (answer.status_code, message_of(answer)) == (code, error.message)


@pytest.mark.parametrize('path', [NETWORKS, TENANT])
def test_delete(client: doubles.Client, path: str) -> None:
    deleted = client.send('DELETE', f'{path}/{NETWORK}', roles='admin')
    assert (deleted.status_code, deleted.text) == (202, '')
    assert client.send('DELETE', f'{path}/x', roles='admin').status_code == 404
    client.network.error = exception.NetworkInUse(network_id=NETWORK, count=2)
    assert client.send('DELETE', f'{path}/{NETWORK}', roles='admin').status_code == 409


@pytest.mark.parametrize('network', [None, NETWORK.upper()])
def test_a_network_for_the_callers_project(client: doubles.Client, network: str | None) -> None:
    answer = client.send('POST', f'{NETWORKS}/add', {'id': network}, roles='admin')
    assert (answer.status_code, answer.text) == (202, '')
    assert client.network.calls == [('add', network and network.lower(), doubles.PROJECT)]


@pytest.mark.parametrize('body', [{}, {'id': 'x'}, {'id': None, 'more': 1}])
def test_what_is_no_network_to_add(client: doubles.Client, body: dict[str, object]) -> None:
    assert client.send('POST', f'{NETWORKS}/add', body, roles='admin').status_code == 400


@pytest.mark.parametrize(
    ('body', 'changes'),
    [
        ({'associate_host': 'host-1'}, {'host': 'host-1'}),
        ({'disassociate': None}, {'host': None, 'project_id': None}),
        ({'disassociate_host': None}, {'host': None}),
        ({'disassociate_project': None}, {'project_id': None}),
    ],
)
def test_actions(
    client: doubles.Client, body: dict[str, object], changes: dict[str, object]
) -> None:
    answer = client.send('POST', f'{NETWORKS}/{NETWORK}/action', body, roles='admin')
    assert (answer.status_code, answer.text) == (202, '')
    assert client.network.calls == [('modify', NETWORK, changes)]
    gone = client.send('POST', f'{NETWORKS}/x/action', body, roles='admin')
    assert gone.status_code == 404


def test_a_host_that_there_is_not(client: doubles.Client) -> None:
    client.network.error = exception.HostNotFound(host='nowhere')
    path = f'{NETWORKS}/{NETWORK}/action'
    answer = client.send('POST', path, {'associate_host': 'nowhere'}, roles='admin')
    assert answer.status_code == 400
    assert message_of(answer) == (
        'Invalid input for associate_host: Host nowhere could not be found.'
    )


@pytest.mark.parametrize(
    'body', [{}, {'associate_host': ''}, {'associate_host': None}, {'disassociate': 'x'}, {'x': 1}]
)
def test_what_is_no_action(client: doubles.Client, body: dict[str, object]) -> None:
    answer = client.send('POST', f'{NETWORKS}/{NETWORK}/action', body, roles='admin')
    assert answer.status_code == 400
    assert client.network.calls == []
