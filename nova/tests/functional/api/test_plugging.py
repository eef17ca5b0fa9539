"""NICs, addresses and power of servers by the HTTP API, down to a hypervisor in memory."""

from __future__ import annotations

from typing import Any

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.network import api as network_api
from nova.network import model
from nova.tests.functional.api import test_servers
from nova.tests.functional.api.test_servers import Cloud, wait_until

pytestmark = pytest.mark.usefixtures('database')
cloud = test_servers.cloud


class Server:
    """A server that runs, by default on ``cloud.first``."""

    def __init__(self, cloud: Cloud, nics: int = 1, network: records.Network | None = None) -> None:
        self.cloud = cloud
        uuid = (network or cloud.first).uuid
        self.uuid = cloud.boot(networks=[{'uuid': uuid}] * nics)['id']

    def attach(self, expected: int = 200, **body: Any) -> dict[str, Any]:
        path = f'/servers/{self.uuid}/os-interface'
        answer = self.cloud.send('POST', path, {'interfaceAttachment': body})
        assert answer.status_code == expected, answer.text
        found: dict[str, Any] = answer.json.get('interfaceAttachment', {})
        return found

    def detach(self, port_id: str) -> None:
        path = f'/servers/{self.uuid}/os-interface/{port_id}'
        assert self.cloud.send('DELETE', path).status_code == 202

    def power(self, action: str, expected: int = 202) -> None:
        path = f'/servers/{self.uuid}/action'
        assert self.cloud.send('POST', path, {action: None}).status_code == expected

    def action(self, expected: int = 202, **body: Any) -> None:
        answer = self.cloud.send('POST', f'/servers/{self.uuid}/action', body)
        assert answer.status_code == expected, answer.text

    def nics(self) -> list[dict[str, Any]]:
        path = f'/servers/{self.uuid}/os-interface'
        found: list[dict[str, Any]] = self.cloud.send('GET', path).json['interfaceAttachments']
        return found

    def ports(self) -> list[str]:
        return [nic['port_id'] for nic in self.nics()]

    def addresses(self, place: int) -> list[str]:
        return [ip['ip_address'] for ip in self.nics()[place]['fixed_ips']]

    def guest(self) -> model.NetworkInfo:
        return self.cloud.driver.guests[self.uuid][1]

    def stored(self) -> model.NetworkInfo:
        return network_api.API(max_nics_per_server=16).network_infos([self.uuid])[self.uuid]

    def state(self) -> tuple[str, str | None]:
        shown = self.cloud.show(self.uuid)
        return shown['status'], shown['OS-EXT-STS:task_state']


def test_attach_and_detach(cloud: Cloud) -> None:
    server = Server(cloud)
    first = server.attach(net_id=cloud.second.uuid)
    again = server.attach(net_id='two', fixed_ips=[{'ip_address': '10.2.0.5'}])

    assert (first['net_id'], first['port_state']) == (cloud.second.uuid, 'ACTIVE')
    assert [ip['ip_address'] for ip in again['fixed_ips']] == ['10.2.0.5']
    assert server.ports()[1:] == [first['port_id'], again['port_id']]
    assert [vif.index for vif in server.guest()] == [0, 1, 2]
    assert [vif.default_route for vif in server.stored()] == [True, False, False]

    server.detach(first['port_id'])
    wait_until(lambda: len(server.ports()) == 2)
    later = server.attach(net_id='two')

    assert [vif.index for vif in server.stored()] == [0, 2, 3]
    assert [vif.slot for vif in server.stored()] == [0, 2, 1]
    assert server.ports()[-1] == later['port_id']
    assert [vif.id for vif in server.guest()] == server.ports()


def test_a_host_keeps_the_bridges_that_its_guests_need(cloud: Cloud) -> None:
    """Asked for when a NIC goes, when a guest goes, and from time to time."""
    server, other = Server(cloud), Server(cloud)
    bridges = cloud.first.bridge, cloud.second.bridge
    port = server.attach(net_id='two')['port_id']
    cloud.compute.reconcile()
    assert cloud.driver.bridges == set(bridges)

    server.detach(port)
    wait_until(lambda: cloud.driver.bridges == {bridges[0]})
    cloud.send('DELETE', f'/servers/{server.uuid}')
    wait_until(lambda: server.uuid not in cloud.driver.guests)
    assert cloud.driver.bridges == {bridges[0]}
    cloud.send('DELETE', f'/servers/{other.uuid}')
    wait_until(lambda: cloud.driver.bridges == set())


@pytest.mark.parametrize(
    ('body', 'status'),
    [
        ({}, 400),  # two networks may be meant
        ({'net_id': 'one', 'security_groups': [{'name': 'no such group'}]}, 400),
        ({'net_id': 'one', 'security_groups': [{'id': 'web'}]}, 400),
        ({'net_id': 'none'}, 400),
        ({'net_id': 'three'}, 400),  # another project's
        ({'net_id': 'one', 'fixed_ips': []}, 400),
        ({'net_id': 'one', 'fixed_ips': [{'ip_address': '10.9.0.1'}]}, 400),
        ({'net_id': 'one', 'fixed_ips': [{'ip_address': '10.1.0.2'}]}, 409),
        ({'fixed_ips': [{'ip_address': '10.1.0.9'}]}, 400),
        ({'port_id': '44444444-0000-4000-8000-000000000001'}, 400),
        ({'net_id': 'one', 'colour': 'red'}, 400),
    ],
)
def test_what_cannot_be_attached(cloud: Cloud, body: dict[str, Any], status: int) -> None:
    server = Server(cloud)
    server.attach(status, **body)
    assert cloud.held() == 1
    assert len(server.guest()) == 1


def test_a_nic_that_is_not_there_is_not_detached(cloud: Cloud) -> None:
    server, other = Server(cloud), Server(cloud)
    for port_id in (other.ports()[0], '44444444-0000-4000-8000-000000000001', 'x'):
        path = f'/servers/{server.uuid}/os-interface/{port_id}'
        assert cloud.send('DELETE', path).status_code == 404
    assert (len(server.guest()), len(other.guest())) == (1, 1)


def test_sixteen_and_no_more(cloud: Cloud) -> None:
    server = Server(cloud)
    for _ in range(15):
        server.attach(net_id='one')
    server.attach(403, net_id='one')
    for port in server.ports()[:15]:
        server.detach(port)
    wait_until(lambda: len(server.ports()) == 1)
    server.attach(net_id='one')
    assert [(vif.index, vif.slot) for vif in server.stored()] == [(15, 15), (16, 0)]
    # the NIC with the default route was taken out, so the next one got it
    assert [vif.default_route for vif in server.stored()] == [False, True]


def test_groups_of_a_nic_that_is_attached(cloud: Cloud) -> None:
    """They are known to the host before the NIC is there."""
    server = Server(cloud)
    path = '/os-security-groups'
    made = cloud.send('POST', path, {'security_group': {'name': 'web'}}).json['security_group']
    seen: list[tuple[str, ...]] = []
    plug = cloud.driver.attach_interface

    def watch(instance: records.Instance, vif: model.VIF) -> None:
        seen.append(tuple(group.id for group in cloud.driver.ruleset.groups))
        plug(instance, vif)

    cloud.driver.attach_interface = watch  # type: ignore[method-assign]
    server.attach(net_id='two', security_groups=[{'name': 'web'}])
    server.attach(net_id='two')
    assert made['id'] in seen[0]
    groups = [vif.security_groups for vif in server.guest()]
    assert groups[1] == (made['id'],)
    assert groups[2] == groups[0] != groups[1]
    assert len(groups) == 3


def test_an_attach_that_the_hypervisor_refuses_leaves_nothing(cloud: Cloud) -> None:
    server = Server(cloud)
    cloud.driver.fail_attach = exception.HypervisorError(action='attach', reason='no bus')
    server.attach(500, net_id='one')
    assert cloud.held() == 1
    cloud.driver.fail_attach = None
    server.attach(net_id='one')
    assert [vif.index for vif in server.stored()] == [0, 2]


def test_a_deaf_guest(cloud: Cloud) -> None:
    server = Server(cloud, nics=2)
    cloud.driver.deaf = True
    port = server.ports()[1]
    server.detach(port)
    wait_until(lambda: server.nics()[1]['port_state'] == 'DETACHING')
    assert len(server.addresses(1)) == 1
    server.detach(port)  # once more is no error
    cloud.driver.deaf = False
    cloud.compute.tidy()
    assert server.ports() == [server.nics()[0]['port_id']]
    assert cloud.held() == 1


def test_a_stop_makes_the_deafest_guest_let_go(cloud: Cloud) -> None:
    server = Server(cloud, nics=2)
    cloud.driver.deaf = True
    server.detach(server.ports()[1])
    wait_until(lambda: server.nics()[1]['port_state'] == 'DETACHING')
    server.action(reboot={'type': 'HARD'})
    wait_until(lambda: server.state() == ('ACTIVE', None))
    assert len(server.ports()) == len(server.guest()) == 1


def test_what_a_restart_finds(cloud: Cloud) -> None:
    server = Server(cloud, nics=3)
    _, attaching, detaching = server.ports()
    db.vif_set_state(attaching, model.VifState.ATTACHING)
    db.vif_set_state(detaching, model.VifState.DETACHING)
    assert [nic['port_state'] for nic in server.nics()] == ['ACTIVE', 'BUILD', 'DETACHING']
    cloud.compute.init_host()
    cloud.compute.init_host()
    assert len(server.ports()) == len(server.guest()) == cloud.held() == 1


def test_addresses(cloud: Cloud) -> None:
    server = Server(cloud, nics=2)
    (first,) = server.addresses(0)
    server.action(addFixedIp={'networkId': 'one'})
    server.action(addFixedIp={'networkId': cloud.first.uuid})
    assert server.addresses(0)[0] == first
    assert server.addresses(0) == list(server.guest()[0].addresses)
    assert [len(server.addresses(place)) for place in (0, 1)] == [3, 1]

    server.action(removeFixedIp={'address': server.addresses(0)[1]})
    server.action(removeFixedIp={'address': first})
    assert server.addresses(0) == list(server.guest()[0].addresses)
    assert server.addresses(0) == ['10.1.0.5']
    server.action(409, removeFixedIp={'address': '10.1.0.5'})
    server.action(400, removeFixedIp={'address': first})
    server.action(400, addFixedIp={'networkId': 'two'})
    server.action(400, addFixedIp={'networkId': 'nowhere'})


def test_a_further_address_comes_after_those_that_are_there(cloud: Cloud) -> None:
    low, high = (Server(cloud, network=cloud.second) for _ in range(2))
    (kept,), (freed,) = high.addresses(0), low.addresses(0)
    cloud.send('DELETE', f'/servers/{low.uuid}')
    wait_until(lambda: cloud.held() == 1)
    # The network is small: all its addresses, so that of the other server too.
    for _ in range(4):
        high.action(addFixedIp={'networkId': 'two'})
    high.action(409, addFixedIp={'networkId': 'two'})
    assert high.addresses(0)[0] == kept
    assert freed in high.addresses(0)[1:]


def test_power(cloud: Cloud) -> None:
    server = Server(cloud, nics=2)
    before = server.guest()
    server.power('os-start', 409)
    server.power('os-stop')
    wait_until(lambda: server.state() == ('SHUTOFF', None))
    server.power('os-stop', 409)
    server.action(409, reboot={'type': 'SOFT'})
    server.attach(net_id='two')
    server.power('os-start')
    wait_until(lambda: server.state() == ('ACTIVE', None))
    for kind in ('SOFT', 'HARD'):
        server.action(reboot={'type': kind})
        wait_until(lambda: server.state() == ('ACTIVE', None))
    assert [vif.id for vif in server.guest()][:2] == [vif.id for vif in before]
    assert len(server.guest()) == 3


def test_a_server_without_a_guest(cloud: Cloud) -> None:
    cloud.driver.fail_spawn = exception.HypervisorError(action='start', reason='no')
    server = Server(cloud)
    server.attach(409, net_id='one')
    server.action(409, addFixedIp={'networkId': 'one'})
    server.power('os-start', 409)
