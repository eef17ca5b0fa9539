"""Security groups: what requests become, and what answers show."""

from __future__ import annotations

from collections.abc import Callable
import json
from typing import Any

import pytest

from nova import exception
from nova.db import records
from nova.network import model
from nova.tests.unit.api import doubles

GROUP, RULE = doubles.group_uuid(1), doubles.rule_uuid(1)
SERVER = doubles.server_uuid(1)
Golden = Callable[[str, str], None]


@pytest.fixture
def client() -> doubles.Client:
    return doubles.build_client()


def rule_body(**fields: Any) -> dict[str, Any]:
    return {'security_group_rule': {'parent_group_id': GROUP} | fields}


def message_of(answer: Any) -> str:
    (fault,) = answer.json.values()
    return str(fault['message'])


def test_list(client: doubles.Client, golden: Golden) -> None:
    answer = client.send('GET', '/os-security-groups')
    golden('api/security-groups.json', json.dumps(answer.json, indent=2) + '\n')
    listed = answer.json['security_groups']
    assert client.send('GET', '/os-security-groups?limit=1&offset=1').json == {
        'security_groups': [listed[1]]
    }


@pytest.mark.parametrize('value', ['1', 'True', ''])
def test_all_tenants(client: doubles.Client, value: str) -> None:
    path = f'/os-security-groups?all_tenants={value}'
    assert client.send('GET', path).status_code == 403
    assert len(client.send('GET', path, roles='admin').json['security_groups']) == 3


def test_show(client: doubles.Client) -> None:
    listed = client.send('GET', '/os-security-groups').json['security_groups']
    shown = client.send('GET', f'/os-security-groups/{GROUP}').json
    assert shown == {'security_group': listed[0]}


@pytest.mark.parametrize('name', ['default', '1', doubles.group_uuid(3)])
def test_what_is_not_an_id_of_the_project_is_not_found(client: doubles.Client, name: str) -> None:
    assert client.send('GET', f'/os-security-groups/{name}').status_code == 404
    assert client.send('DELETE', f'/os-security-groups/{name}').status_code == 404


def test_create_update_and_delete(client: doubles.Client) -> None:
    body = {'security_group': {'name': 'web', 'description': 'the web'}}
    made = client.send('POST', '/os-security-groups', body)
    assert made.json == {
        'security_group': {
            'id': doubles.group_uuid(9),
            'name': 'web',
            'description': 'the web',
            'tenant_id': doubles.PROJECT,
            'rules': [],
        }
    }
    nameless = {'security_group': {'name': 'web', 'description': None}}
    client.send('PUT', f'/os-security-groups/{GROUP}', nameless)
    deleted = client.send('DELETE', f'/os-security-groups/{GROUP}')
    assert (deleted.status_code, deleted.text) == (202, '')
    assert client.groups.calls == [
        ('create', 'web', 'the web'),
        ('update', GROUP, 'web', ''),
        ('delete', GROUP),
    ]


@pytest.mark.parametrize(
    ('fields', 'field'),
    [
        ({}, 'name'),
        ({'name': ''}, 'name'),
        ({'name': ' web'}, 'name'),
        ({'name': 'x' * 256}, 'name'),
        ({'name': 'a\nb'}, 'name'),
        ({'name': 5}, 'name'),
        ({'name': 'web', 'description': 'x' * 256}, 'description'),
        ({'name': 'web', 'color': 'red'}, 'color'),
    ],
)
def test_groups_that_are_refused(
    client: doubles.Client, fields: dict[str, object], field: str
) -> None:
    answer = client.send('POST', '/os-security-groups', {'security_group': fields})
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in message_of(answer)


@pytest.mark.parametrize(
    ('error', 'code', 'message'),
    [
        (
            exception.SecurityGroupExists(name='web'),
            400,
            'Invalid input for name: Security group web already exists.',
        ),
        (
            exception.QuotaExceeded(resource='security_groups', allowed=10, requested=11),
            403,
            'Quota exceeded for security_groups: allowed 10, asked for 11',
        ),
    ],
)
def test_errors_of_a_create(
    client: doubles.Client, error: Exception, code: int, message: str
) -> None:
    client.groups.error = error
    answer = client.send('POST', '/os-security-groups', {'security_group': {'name': 'web'}})
    assert (answer.status_code, message_of(answer)) == (code, message)


def test_a_group_in_use_is_not_deleted(client: doubles.Client) -> None:
    client.groups.error = exception.SecurityGroupInUse(name='web', count=3)
    answer = client.send('DELETE', f'/os-security-groups/{GROUP}')
    assert answer.status_code == 400
    assert 'still in use by 3' in message_of(answer)


def test_create_and_delete_a_rule(client: doubles.Client) -> None:
    body = rule_body(ip_protocol='tcp', from_port='22', to_port=22, cidr='10.0.0.0/8')
    made = client.send('POST', '/os-security-group-rules', body)
    assert made.json['security_group_rule'] == {
        'id': doubles.rule_uuid(2),
        'parent_group_id': GROUP,
        'ip_protocol': 'tcp',
        'from_port': 22,
        'to_port': 22,
        'ip_range': {'cidr': '10.0.0.0/8'},
        'group': {},
    }
    assert client.groups.calls[0] == (
        'create rule',
        GROUP,
        {
            'direction': 'ingress',
            'protocol': 'tcp',
            'from_port': 22,
            'to_port': 22,
            'cidr': '10.0.0.0/8',
            'remote_group_uuid': None,
        },
    )
    deleted = client.send('DELETE', f'/os-security-group-rules/{RULE}')
    assert (deleted.status_code, deleted.text) == (202, '')
    assert client.send('DELETE', '/os-security-group-rules/5').status_code == 404


def test_what_a_client_leaves_out_of_a_rule(client: doubles.Client) -> None:
    nulls = rule_body(
        direction='egress', ip_protocol=None, from_port=None, to_port='-1', cidr='', group_id=None
    )
    client.send('POST', '/os-security-group-rules', nulls)
    assert client.groups.calls[0][2] == {
        'direction': 'egress',
        'protocol': None,
        'from_port': None,
        'to_port': -1,
        'cidr': None,
        'remote_group_uuid': None,
    }


@pytest.mark.parametrize(
    ('fields', 'field'),
    [
        ({'from_port': 65536}, 'from_port'),
        ({'from_port': 'ssh'}, 'from_port'),
        ({'to_port': -2}, 'to_port'),
        ({'to_port': True}, 'to_port'),
        ({'ip_protocol': ['tcp']}, 'ip_protocol'),
        ({'cidr': 7}, 'cidr'),
        ({'direction': 'out'}, 'direction'),
        ({'parent_group_id': None}, 'parent_group_id'),
        ({'ethertype': 'IPv4'}, 'ethertype'),
    ],
)
def test_rules_that_are_refused(
    client: doubles.Client, fields: dict[str, object], field: str
) -> None:
    answer = client.send('POST', '/os-security-group-rules', rule_body(**fields))
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in message_of(answer)
    assert client.groups.calls == []


@pytest.mark.parametrize(
    ('error', 'code', 'text'),
    [
        (exception.SecurityGroupRuleExists(group_id='g'), 400, 'security_group_rule'),
        (exception.SecurityGroupNotFound(group_id='g', field='group_id'), 400, 'for group_id'),
        (exception.SecurityGroupNotFound(group_id='g', field='parent_group_id'), 404, 'group g'),
    ],
)
def test_errors_of_a_rule(client: doubles.Client, error: Exception, code: int, text: str) -> None:
    client.groups.error = error
    answer = client.send('POST', '/os-security-group-rules', rule_body())
    assert answer.status_code == code
    assert text in message_of(answer)


def test_the_groups_of_a_server(client: doubles.Client) -> None:
    listed = client.send('GET', '/os-security-groups').json['security_groups']
    answer = client.send('GET', f'/servers/{SERVER}/os-security-groups')
    assert answer.json == {'security_groups': [listed[1], listed[0]]}
    shown = client.send('GET', f'/servers/{SERVER}').json['server']
    assert shown['security_groups'] == [{'name': 'group2'}, {'name': 'default'}]


def test_before_it_has_nics_a_server_has_the_groups_that_it_asked_for(
    client: doubles.Client,
) -> None:
    wanted = records.RequestedNetwork(
        network_uuid=doubles.network_uuid(1), security_groups=(GROUP, doubles.group_uuid(8))
    )
    client.compute.instances = [doubles.build_instance(requested_networks=(wanted, wanted))]
    client.network.infos[SERVER] = model.NetworkInfo()
    shown = client.send('GET', f'/servers/{SERVER}').json['server']
    assert shown['security_groups'] == [{'name': 'default'}]


@pytest.mark.parametrize(
    ('action', 'call'), [('addSecurityGroup', 'add'), ('removeSecurityGroup', 'remove')]
)
def test_actions(client: doubles.Client, action: str, call: str) -> None:
    answer = client.send('POST', f'/servers/{SERVER}/action', {action: {'name': 'web'}})
    assert (answer.status_code, answer.text) == (202, '')
    nics = [vif.id for vif in client.network.infos[SERVER]]
    assert client.groups.calls == [(call, SERVER, nics, 'web')]
    for body in ({}, {'name': ''}, {'name': None}, {'name': 'web', 'id': 1}):
        refused = client.send('POST', f'/servers/{SERVER}/action', {action: body})
        assert refused.status_code == 400
