"""Networks that come, change and go, on a real database."""

from __future__ import annotations

import dataclasses

import pytest

from nova import context as nova_context
from nova import exception
from nova.db import api as db
from nova.db import records
from nova.network import api as network_api
from nova.network import model
from nova.tests import stores

API = network_api.API(
    max_nics_per_server=3,
    vlan_physical_network='trunk',
    project_ranges=['10.128.0.0/9', 'fd00:128::/32'],
)
MEMBER = nova_context.RequestContext(user_id='u', project_id='red')
STRANGER = nova_context.RequestContext(user_id='v', project_id='blue')
ADMIN = nova_context.RequestContext(user_id='a', project_id='admin', is_admin=True)

pytestmark = pytest.mark.usefixtures('database')


def spec(cidr: str | None = '10.128.0.0/29', **values: object) -> network_api.NetworkSpec:
    return network_api.NetworkSpec(label='net', cidr=cidr, **values)  # type: ignore[arg-type]


def attach(network: records.Network) -> records.Instance:
    instance = stores.store_instance(stores.store_flavor(stores.new_uuid()))
    db.vifs_allocate(instance.uuid, stores.build_nics(network), 0)
    return instance


@pytest.mark.parametrize(
    'values',
    [
        {'cidr': '10.0.0.0/24'},
        {'cidr': '10.0.0.4/30'},
        {'cidr': None, 'cidr_v6': 'fd00:1::/64'},
        {'cidr': '10.9.0.0/24', 'cidr_v6': 'fd00:1::/64'},
    ],
)
def test_what_is_in_the_way_is_named(values: dict[str, str | None]) -> None:
    first = API.create_network(
        network_api.NetworkSpec(label='first', cidr='10.0.0.0/29', cidr_v6='fd00:1::/64')
    )
    with pytest.raises(exception.NetworkOverlap) as caught:
        API.create_network(network_api.NetworkSpec(label='second', **values))  # type: ignore[arg-type]
    assert caught.value.message.endswith(f'conflicts with network first ({first.uuid}).')
    assert db.network_list() == (first,)


def test_a_network_of_both_families_in_one_request() -> None:
    (made,) = API.create_networks(spec(cidr_v6='fd00:1::/64'), None, None)
    assert (made.cidr, made.cidr_v6) == ('10.128.0.0/29', 'fd00:1::/64')


def test_the_part_of_a_range_that_is_given_out() -> None:
    network = API.create_network(spec('10.0.0.0/24', fixed_cidr='10.0.0.128/26'))
    assert (network.dhcp_start, network.dhcp_end) == ('10.0.0.128', '10.0.0.191')
    whole = API.create_network(spec('10.0.1.0/24', fixed_cidr='10.0.1.0/24'))
    assert (whole.dhcp_start, whole.dhcp_end) == ('10.0.1.2', '10.0.1.254')
    for values in (
        {'fixed_cidr': '10.0.3.0/26'},
        {'fixed_cidr': '10.0.2.1/26'},
        {'fixed_cidr': '10.0.0.0/8'},
        {'fixed_cidr': 'x'},
        {'fixed_cidr': '10.0.2.0/26', 'allowed_end': '10.0.2.9'},
    ):
        with pytest.raises(exception.InvalidInput, match='fixed_cidr'):
            API.create_network(spec('10.0.2.0/24', **values))


def test_a_network_with_and_without_dhcp() -> None:
    served = API.create_network(spec('10.0.0.0/29', enable_dhcp=True))
    assert (served.gateway, served.dhcp_server) == ('10.0.0.1', '10.0.0.1')
    API.create_network(spec('10.0.1.0/29', kind='flat', enable_dhcp=False))
    still = API.create_network(
        spec('10.0.2.0/29', cidr_v6='fd00:2::/64', gateway_v6='fd00:2::9', enable_dhcp=False)
    )
    assert (still.gateway, still.dhcp_server) == ('10.0.2.1', None)
    assert (still.gateway_v6, still.ipv6_mode) == ('fd00:2::9', None)
    apart = API.create_network(spec('10.0.3.0/29', gateway='none', enable_dhcp=False))
    assert (apart.gateway, apart.dhcp_server, apart.dhcp_start) == (None, None, '10.0.3.1')
    refused: dict[str, dict[str, object]] = {
        'enable_dhcp': {'kind': 'flat', 'enable_dhcp': True},
        'dhcp_server': {'dhcp_server': '10.0.4.2', 'enable_dhcp': False},
        'ipv6_mode': {'cidr_v6': 'fd00:4::/64', 'ipv6_mode': 'slaac', 'enable_dhcp': False},
        'multi_host': {'multi_host': True, 'enable_dhcp': False},
    }
    for field, values in refused.items():
        with pytest.raises(exception.InvalidInput) as caught:
            API.create_network(spec('10.0.4.0/29', **values))
        assert caught.value.kwargs['field'] == field


def test_vlan_networks_for_which_little_is_said() -> None:
    first = API.create_network(spec('10.0.0.0/29', kind='vlan'))
    second = API.create_network(spec('10.0.1.0/29', kind='vlan', vlan_start=700))
    named = API.create_network(spec('10.0.2.0/29', kind='vlan', physical_network='other'))
    assert [(n.physical_network, n.vlan) for n in (first, second, named)] == [
        ('trunk', 100),
        ('trunk', 700),
        ('other', 100),
    ]


@pytest.mark.parametrize('project', ['', 'a b', 'a\nb', 'a"b', 'ä', 'x' * 65])
def test_what_is_no_project(project: str) -> None:
    with pytest.raises(exception.InvalidName, match='project_id'):
        API.create_network(spec(project_id=project))
    network = API.create_network(spec())
    with pytest.raises(exception.InvalidName, match='project_id'):
        API.modify_network(network.uuid, project_id=project)
    with pytest.raises(exception.InvalidName, match='project_id'):
        API.add_network_to_project(network.uuid, project)


# --- networks that projects make


def test_a_project_makes_networks_where_the_operator_lets_it() -> None:
    (made,) = API.create_project_networks(MEMBER, spec(cidr_v6='fd00:128:1::/64'), None, None)
    assert made.project_id == 'red'
    for refused in (
        spec('10.0.0.0/24'),
        spec('10.0.0.0/8'),
        spec(None, cidr_v6='fd00:1::/64'),
        spec('10.129.0.0/24', cidr_v6='fd00:1::/64'),
    ):
        with pytest.raises(exception.NotAuthorized, match=r'10\.128\.0\.0/9, fd00:128::/32'):
            API.create_project_networks(MEMBER, refused, None, None)
    assert db.network_list() == (made,)
    closed = network_api.API(max_nics_per_server=3)
    with pytest.raises(exception.NotAuthorized, match='none'):
        closed.create_project_networks(MEMBER, spec('10.128.1.0/24'), None, None)
    (admins,) = closed.create_project_networks(ADMIN, spec('10.0.0.0/24'), None, None)
    assert admins.project_id == 'admin'


def test_a_project_is_not_told_of_others_networks() -> None:
    (mine,) = API.create_project_networks(MEMBER, spec(), None, None)
    with pytest.raises(exception.NetworkOverlap) as caught:
        API.create_project_networks(STRANGER, spec(), None, None)
    assert caught.value.message == 'Range 10.128.0.0/29 is in use by others'
    with pytest.raises(exception.NetworkOverlap, match=mine.uuid):
        API.create_project_networks(MEMBER, spec(), None, None)


def test_who_may_delete_which_network() -> None:
    (mine,) = API.create_project_networks(MEMBER, spec(), None, None)
    shared = API.create_network(spec('10.0.0.0/29'))
    with pytest.raises(exception.NetworkNotFound):
        API.delete_project_network(STRANGER, mine.uuid)
    with pytest.raises(exception.NotAuthorized, match=shared.uuid):
        API.delete_project_network(MEMBER, shared.uuid)
    instance = attach(mine)
    with pytest.raises(exception.NetworkInUse):
        API.delete_project_network(MEMBER, mine.uuid)
    db.vifs_deallocate(instance.uuid)
    API.delete_project_network(MEMBER, mine.uuid)
    API.delete_project_network(ADMIN, shared.uuid)
    assert db.network_list() == ()


def test_a_label_of_two_networks() -> None:
    networks = [API.create_network(spec(f'10.{number}.0.0/29')) for number in range(2)]
    assert len({network.label for network in networks}) == 1
    with pytest.raises(exception.InvalidInput, match='2 networks fit; name one by its uuid'):
        API.choose_network('red', 'net', None)
    chosen = API.choose_network('red', networks[1].uuid, None)
    assert chosen.network_uuid == networks[1].uuid


# --- projects and hosts of networks


def test_a_network_is_given_to_a_project() -> None:
    shared = API.create_network(spec())
    vlan = API.create_network(spec('10.0.0.0/29', kind='vlan'))
    assert API.add_network_to_project(None, 'red').uuid == vlan.uuid
    assert API.add_network_to_project(shared.uuid, 'red').project_id == 'red'
    for uuid in (None, shared.uuid, stores.new_uuid()):
        with pytest.raises(exception.NetworkNotFound):
            API.add_network_to_project(uuid, 'blue')


def test_the_host_of_a_network() -> None:
    db.service_report('host-1', 'nova-network')
    db.service_report('host-2', 'nova-compute')
    network = API.create_network(spec())
    flat = API.create_network(spec('10.0.0.0/29', kind='flat'))
    assert API.modify_network(network.uuid, host='host-1').host == 'host-1'
    with pytest.raises(exception.HostNotFound):
        API.modify_network(network.uuid, host='host-2')
    with pytest.raises(exception.InvalidInput, match='flat'):
        API.modify_network(flat.uuid, host='host-1')
    attach(network)
    with pytest.raises(exception.NetworkInUse):
        API.modify_network(network.uuid, host=None)
    assert db.network_get(network.uuid).host == 'host-1'


def test_both_are_taken_away_or_none() -> None:
    network = API.create_network(spec(project_id='red'))
    network = db.network_claim_host(network.uuid, 'host-1')
    instance = attach(network)
    with pytest.raises(exception.NetworkInUse):
        API.modify_network(network.uuid, host=None, project_id=None)
    assert db.network_get(network.uuid) == network
    db.vifs_deallocate(instance.uuid)
    changed = API.modify_network(network.uuid, host=None, project_id=None)
    expected = dataclasses.replace(
        network, host=None, project_id=None, updated_at=changed.updated_at
    )
    assert changed == expected
    assert changed.kind is model.NetworkKind.FLAT_DHCP
