"""Which NIC leads where, and how metadata is found, in a real guest."""

from __future__ import annotations

from collections.abc import Iterator
import json
from typing import Any

import pytest

from lab import compute
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds

pytestmark = pytest.mark.root


@pytest.fixture(scope='module')
def closed(cloud: clouds.Cloud) -> Iterator[dict[str, Any]]:
    """A network that leads nowhere."""
    made = compute.create_network(cloud.sandbox, 'closed', '10.65.0.0/24', '--gateway', 'none')
    yield made
    cloud.delete_network(made)


def defaults(console: Console) -> list[str]:
    """The cards with an IPv4 default route."""
    lines = console.run('ip route show default').output.splitlines()
    return [line.split()[4] for line in lines if line.startswith('default')]


def test_the_default_route_is_where_it_was_asked_for(
    cloud: clouds.Cloud, closed: dict[str, Any]
) -> None:
    """On the NIC with the tag, then on the one that the operator names; and always on one. The
    network without a gateway has its own way to the metadata service."""
    answer = cloud.request(
        [
            {'uuid': closed['uuid']},
            {'uuid': cloud.networks['net-a']['uuid']},
            {'uuid': cloud.networks['net-b']['uuid'], 'tag': 'default-route'},
        ]
    )
    assert answer.status == 202, answer.text
    server = clouds.Server(cloud, answer.json()['server']['id'])
    server.wait_status('ACTIVE')
    assert [nic.router for nic in server.report().nics] == [None, None, '10.20.0.1']
    with Console(cloud.sandbox, server.domain) as console:
        console.wait_ready()
        assert defaults(console) == ['eth2']
        way = console.run('ip route get 169.254.169.254').output.split()
        assert way[way.index('dev') + 1] == 'eth0'
        url = 'http://169.254.169.254/openstack/latest/meta_data.json'
        found = json.loads(console.run(f'timeout 15 wget -q -O - {url}; echo').output)
        assert found['uuid'] == server.uuid

        port = server.interfaces()[1]['port_id']
        compute.manage(cloud.sandbox, 'interface', 'default-route', port)
        again = 'for c in eth0 eth1 eth2; do kill -USR1 $(cat /run/udhcpc.$c); done; sleep 1'

        def has_moved() -> bool:
            console.run(again)
            return defaults(console) == ['eth1']

        assert wait_until(has_moved, 60, 1), defaults(console)
    server.delete()


def test_a_default_route_that_cannot_be_is_refused(
    cloud: clouds.Cloud, closed: dict[str, Any]
) -> None:
    answer = cloud.request([{'uuid': closed['uuid'], 'tag': 'default-route'}])
    assert answer.status == 400
    assert 'closed' in clouds.message(answer)
