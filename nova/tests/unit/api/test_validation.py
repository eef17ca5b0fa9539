"""Errors say in plain words which field is wrong and why."""

from __future__ import annotations

from typing import Any

import pytest

from nova import exception
from nova.api import microversion, validation
from nova.api.schemas import flavors, servers
from nova.tests.unit.api import doubles

NETWORK = doubles.network_uuid(1)


def server(**fields: Any) -> dict[str, Any]:
    required = {'name': 'vm', 'imageRef': doubles.IMAGE, 'flavorRef': '1'}
    return {'server': required | fields}


def check(body: object, version: microversion.Version = microversion.MAX) -> None:
    validation.check_text(body)
    validation.check_body(servers.create(version), body)


DISK = {
    'uuid': doubles.IMAGE,
    'source_type': 'image',
    'destination_type': 'local',
    'boot_index': 0,
    'delete_on_termination': True,
}


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'networks': []},
        {'networks': 'auto'},
        {'networks': [{'uuid': NETWORK}, {'uuid': NETWORK, 'fixed_ip': '10.0.0.5', 'port': None}]},
        {'networks': [{'uuid': NETWORK, 'fixed_ip': 'fd00::5', 'tag': 'lan 1'}]},
        {'min_count': 1, 'max_count': '2'},
        {'block_device_mapping_v2': [DISK]},
        {'block_device_mapping_v2': [DISK | {'boot_index': '0'}]},
        {'flavorRef': 1},
        {'config_drive': 'true'},
        {'config_drive': ''},
        {'user_data': 'Zm9v\nZm9v'},
        {'OS-DCF:diskConfig': 'AUTO'},
        {'description': None},
        {'metadata': {'a key': 'ü'}},
        {'name': 'ünïcode vm'},
    ],
)
def test_accepted(fields: dict[str, Any]) -> None:
    check(server(**fields))


def test_empty_hints_are_accepted_beside_the_server() -> None:
    check(server() | {'os:scheduler_hints': {}, 'OS-SCH-HNT:scheduler_hints': {}})


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'networks': [{'uuid': NETWORK}, {'uuid': 'x'}]}, "networks[1].uuid: 'x' is not a UUID"),
        (
            {'networks': [{'uuid': NETWORK.replace('-', '')}]},
            f"networks[0].uuid: '{NETWORK.replace('-', '')}' is not a UUID",
        ),
        ({'networks': [{'fixed_ip': '10.0.0.1'}]}, 'networks[0].uuid: it is required'),
        (
            {'networks': [{'uuid': NETWORK, 'fixed_ip': '10.0.0.256'}]},
            "networks[0].fixed_ip: '10.0.0.256' is not an IP address",
        ),
        (
            {'networks': [{'uuid': NETWORK, 'port': NETWORK}]},
            f"networks[0].port: '{NETWORK}' is not null: networks are served without ports",
        ),
        (
            {'networks': [{'uuid': NETWORK, 'mac': 'x'}]},
            'networks[0].mac: there is no such field',
        ),
        (
            {'networks': [{'uuid': NETWORK, 'tag': 'a,b'}]},
            (
                "networks[0].tag: 'a,b' is not a tag of 1 to 60 printable characters without "
                'commas and slashes'
            ),
        ),
        ({'networks': 'none'}, "networks: 'none' is not 'auto' or a list of networks"),
        ({'key_name': 'mine'}, "key_name: 'mine' is not supported"),
        ({'color': 'red'}, 'color: there is no such field'),
        (
            {'security_groups': [{'id': 'web'}]},
            'security_groups[0].name: it is required',
        ),
        (
            {'block_device_mapping_v2': [DISK, DISK]},
            'block_device_mapping_v2: ',
        ),
        (
            {'block_device_mapping_v2': [DISK | {'source_type': 'volume'}]},
            (
                "block_device_mapping_v2[0].source_type: 'volume' is not 'image', the only value "
                'supported'
            ),
        ),
        (
            {'name': 'vm '},
            "name: 'vm ' is not 1 to 255 printable characters without a space at either end",
        ),
        ({'name': ''}, "name: '' is not 1 to 255 printable"),
        ({'name': 'a\u202eb'}, 'name: '),
        ({'name': 'a\ud800'}, 'name: it holds a character that is not allowed'),
        ({'metadata': {'a': 'b\x00'}}, 'metadata.a: it holds a character that is not allowed'),
        ({'metadata': {'a': 1}}, 'metadata.a: 1 is not a text of at most 255 characters'),
        ({'metadata': {'a/b': '1'}}, "metadata: 'a/b' is not a key"),
        ({'user_data': '%%%'}, 'user_data: it is not base64 of at most 65535 characters'),
        ({'adminPass': 12345}, 'adminPass: it is not a text'),
        ({'min_count': 0}, 'min_count: 0 is not a whole number from 1 to 2147483647'),
        ({'description': 'mine'}, "description: 'mine' is not null; descriptions are not stored"),
        ({'imageRef': ''}, "imageRef: '' is not a UUID"),
    ],
)
def test_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        check(server(**fields))
    assert str(caught.value).startswith(f'Invalid input for {message}')


@pytest.mark.parametrize(
    ('body', 'message'),
    [
        ({}, 'server: it is required'),
        ({'server': 1}, 'server: 1 is not of type object'),
        ({'server': {}}, 'name: it is required'),
        (server() | {'os:scheduler_hints': {'group': 'x'}}, 'os:scheduler_hints: '),
    ],
)
def test_refused_bodies(body: object, message: str) -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        check(body)
    assert str(caught.value).startswith(f'Invalid input for {message}')


@pytest.mark.parametrize(
    ('version', 'fields'),
    [
        ((2, 31), {'networks': [{'uuid': NETWORK, 'tag': 'lan'}]}),
        ((2, 18), {'description': None}),
    ],
)
def test_fields_of_later_versions(version: tuple[int, int], fields: dict[str, Any]) -> None:
    with pytest.raises(exception.InvalidInput, match='there is no such field'):
        check(server(**fields), microversion.Version(*version))


def test_long_values_are_abbreviated() -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        check(server(imageRef='x' * 10000))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize('flavor_id', ['a/b', 'a ', ' a', 'a?b', '', 'ü'])
def test_flavor_ids_fit_into_a_path(flavor_id: str) -> None:
    body = {'flavor': {'name': 'f', 'ram': 1, 'vcpus': 1, 'disk': 0, 'id': flavor_id}}
    with pytest.raises(exception.InvalidInput, match='Invalid input for id'):
        validation.check_body(flavors.create(microversion.MIN), body)
