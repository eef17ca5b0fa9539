"""Floating IPs over HTTP; whose they are is judged in the functional tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from nova.tests.unit.api import doubles

ACTION = f'/servers/{doubles.server_uuid(1)}/action'


@pytest.fixture
def client() -> doubles.Client:
    return doubles.build_client()


@pytest.mark.parametrize(
    ('method', 'path', 'body', 'status', 'call'),
    [
        ('POST', '/os-floating-ips', {'pool': 'nova'}, 200, ('allocate', 'nova')),
        ('POST', '/os-floating-ips', {'pool': None}, 200, ('allocate', None)),
        ('DELETE', '/os-floating-ips/1', None, 202, ('release', '1')),
        (
            'POST',
            ACTION,
            {'addFloatingIp': {'address': '192.0.2.1'}},
            202,
            ('associate', '192.0.2.1', None),
        ),
        (
            'POST',
            ACTION,
            {'addFloatingIp': {'address': '192.0.2.1', 'fixed_address': '10.0.0.9'}},
            202,
            ('associate', '192.0.2.1', '10.0.0.9'),
        ),
        (
            'POST',
            ACTION,
            {'removeFloatingIp': {'address': '192.0.2.1'}},
            202,
            ('disassociate', doubles.server_uuid(1), '192.0.2.1'),
        ),
    ],
)
def test_what_is_asked_is_done(
    client: doubles.Client, method: str, path: str, body: Any, status: int, call: tuple[Any, ...]
) -> None:
    answer = client.send(method, path, body=body)

    assert answer.status_code == status, answer.text
    assert client.network.floating_ips.calls == [call]


@pytest.mark.parametrize(
    'body',
    [
        {'addFloatingIp': {}},
        {'addFloatingIp': {'address': 'x'}},
        {'addFloatingIp': {'address': '192.0.2.1', 'port': 1}},
        {'removeFloatingIp': {'address': '192.0.2.1', 'fixed_address': '10.0.0.9'}},
    ],
)
def test_what_makes_no_sense(client: doubles.Client, body: Any) -> None:
    assert client.send('POST', ACTION, body=body).status_code == 400
    assert client.network.floating_ips.calls == []


def test_one_that_is_not_there(client: doubles.Client) -> None:
    assert client.send('GET', '/os-floating-ips/2').status_code == 404


def test_a_floating_ip_is_among_the_addresses_of_its_nic(client: doubles.Client) -> None:
    (first, *others) = client.network.infos[doubles.server_uuid(1)]
    one = dataclasses.replace(
        client.network.floating_ips.one,
        fixed_ip=first.addresses[0],
        network_uuid=first.network.id,
    )
    client.network.floating_ips.leading[doubles.server_uuid(1)] = [one]
    path = f'/servers/{doubles.server_uuid(1)}'
    shown = client.send('GET', path).json['server']['addresses']
    assert shown['net'][:2] == [
        {
            'version': 4,
            'addr': first.addresses[0],
            'OS-EXT-IPS:type': 'fixed',
            'OS-EXT-IPS-MAC:mac_addr': first.mac,
        },
        {
            'version': 4,
            'addr': '192.0.2.1',
            'OS-EXT-IPS:type': 'floating',
            'OS-EXT-IPS-MAC:mac_addr': first.mac,
        },
    ]
    kinds = [entry['OS-EXT-IPS:type'] for entries in shown.values() for entry in entries]
    assert kinds.count('floating') == 1
    assert others
    listed = client.send('GET', '/servers/detail').json['servers'][0]['addresses']
    assert listed == shown
    ips = client.send('GET', f'{path}/ips').json['addresses']
    assert ips['net'][1] == {'version': 4, 'addr': '192.0.2.1'}
    assert client.send('GET', f'{path}/ips/net').json['net'] == ips['net']
