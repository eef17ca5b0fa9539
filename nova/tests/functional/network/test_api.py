"""What the HTTP API asks about networks, on a real database."""

from __future__ import annotations

import dataclasses

import pytest

from nova import context as nova_context
from nova import exception
from nova.db import api as db
from nova.db import records, session
from nova.network import api as network_api
from nova.network import model
from nova.tests import stores

API = network_api.API(max_nics_per_server=3)
MINE = nova_context.RequestContext(user_id='u1', project_id='project-1')
ADMIN = nova_context.RequestContext(user_id='a', project_id='admin', is_admin=True)

pytestmark = pytest.mark.usefixtures('database')


def make(number: int, project_id: str | None = None, **changes: object) -> records.Network:
    values = {'label': f'net-{number}', 'cidr': f'10.{number}.0.0/29', 'project_id': project_id}
    return API.create_network(network_api.NetworkSpec(**(values | changes)))  # type: ignore[arg-type]


def request(network: records.Network, fixed_ip: str | None = None) -> records.RequestedNetwork:
    return records.RequestedNetwork(network_uuid=network.uuid, fixed_ip=fixed_ip)


def in_default(request: records.RequestedNetwork) -> records.RequestedNetwork:
    group = db.security_group_default(str(MINE.project_id))
    return dataclasses.replace(request, security_groups=(group.uuid,))


def test_who_sees_which_network() -> None:
    shared, mine, foreign = make(0), make(1, 'project-1'), make(2, 'project-2')

    assert API.list_networks(MINE) == (shared, mine)
    assert API.list_networks(ADMIN) == (shared, mine, foreign)
    assert API.get_network(MINE, mine.uuid) == mine
    assert API.get_network(ADMIN, foreign.uuid) == foreign
    for uuid in (foreign.uuid, stores.new_uuid()):
        with pytest.raises(exception.NetworkNotFound):
            API.get_network(MINE, uuid)


def test_a_network_in_the_way() -> None:
    first = make(0)

    with pytest.raises(exception.NetworkOverlap, match=first.uuid):
        make(1, cidr='10.0.0.4/30')
    assert db.network_list() == (first,)


def test_networks_are_kept_in_the_order_of_the_request() -> None:
    networks = [make(n) for n in range(3)]
    asked = [request(networks[2]), request(networks[0], '10.0.0.5'), request(networks[2])]

    assert API.validate_requested(MINE, asked) == tuple(in_default(r) for r in asked)


def test_who_asks_for_nothing_gets_the_projects_own_or_the_shared_ones() -> None:
    shared = [make(0), make(1)]
    assert API.validate_requested(MINE, ()) == tuple(in_default(request(n)) for n in shared)

    own = [make(2, 'project-1'), make(3, 'project-1')]
    make(4, 'project-2')
    assert API.validate_requested(MINE, ()) == tuple(in_default(request(n)) for n in own)


def test_a_cloud_without_networks() -> None:
    assert API.validate_requested(MINE, ()) == ()


def test_what_cannot_be_asked_for(database: session.Database) -> None:
    network, foreign = make(0), make(1, 'project-2')

    for asked, error in (
        ([request(foreign)], exception.NetworkNotFound),
        ([request(network), request(foreign)], exception.NetworkNotFound),
        ([request(network, '10.0.0.1')], exception.FixedIpInvalid),
        ([request(network, '10.9.0.5')], exception.FixedIpInvalid),
        ([request(network, 'x\n')], exception.FixedIpInvalid),
        ([request(network)] * 4, exception.InvalidInput),
    ):
        with pytest.raises(error):
            API.validate_requested(MINE, asked)
    # an administrator's own server is on the administrator's project's networks as well
    with pytest.raises(exception.NetworkNotFound):
        API.validate_requested(ADMIN, [request(foreign)])


def test_nics_of_many_instances() -> None:
    assert API.network_infos([]) == {}
    uuid = stores.new_uuid()
    assert API.network_infos([uuid]) == {uuid: model.NetworkInfo()}
