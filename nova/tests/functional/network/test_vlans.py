"""Which network has which VLAN, on a real database."""

from __future__ import annotations

import concurrent.futures

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.network import api as network_api

API = network_api.API(max_nics_per_server=3, vlan_start=100)

pytestmark = pytest.mark.usefixtures('database')


def spec(number: int, **values: object) -> network_api.NetworkSpec:
    """Network ``number``, on the physical network ``trunk``."""
    given = {'label': f'net-{number}', 'cidr': f'10.{number}.0.0/29', 'kind': 'vlan'}
    return network_api.NetworkSpec(**(given | {'physical_network': 'trunk'} | values))  # type: ignore[arg-type]


def make(number: int, **values: object) -> records.Network:
    return API.create_network(spec(number, **values))


def test_networks_made_at_once_get_different_vlans() -> None:
    """Each looks for the lowest free one, finds the same, and all but one look again."""
    make(0, vlan=102)
    with concurrent.futures.ThreadPoolExecutor(8) as workers:
        made = list(workers.map(make, range(1, 9)))
    assert sorted(network.vlan or 0 for network in made) == [100, 101, *range(103, 109)]


def test_a_vlan_that_is_taken_names_the_network_that_has_it() -> None:
    first = make(1, vlan=7)
    with pytest.raises(exception.VlanInUse) as caught:
        make(2, vlan=7)
    expected = f'Physical network trunk:7 conflicts with network net-1 ({first.uuid}).'
    assert (caught.value.code, caught.value.message) == (409, expected)
    assert db.network_list() == (first,)


def test_physical_networks_have_vlans_of_their_own() -> None:
    made = [make(1, vlan=7), make(2, vlan=7, physical_network='other')]
    made += [make(3), make(4, physical_network='other')]
    assert [(network.physical_network, network.vlan) for network in made] == [
        ('trunk', 7),
        ('other', 7),
        ('trunk', 100),
        ('other', 100),
    ]


@pytest.mark.parametrize('vlan', [1, 4094])
def test_the_first_and_the_last_vlan(vlan: int) -> None:
    assert make(1, vlan=vlan).vlan == vlan


@pytest.mark.parametrize('vlan', [-1, 0, 4095, 4096])
def test_what_no_vlan_can_be_is_refused_by_name(vlan: int) -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        make(1, vlan=vlan)
    assert caught.value.message == (f'Invalid input for vlan: {vlan} is not from 1 to 4094')
    assert db.network_list() == ()


def test_when_all_vlans_are_taken_the_physical_network_is_named() -> None:
    last = network_api.API(max_nics_per_server=3, vlan_start=4093)
    made = [last.create_network(spec(number)) for number in (1, 2)]
    with pytest.raises(exception.InvalidInput, match='no VLAN from 4093 to 4094 is free on trunk'):
        last.create_network(spec(3))
    assert [network.vlan for network in made] == [4093, 4094]
    assert last.create_network(spec(3, physical_network='other')).vlan == 4093


def test_a_vlan_is_free_again_when_its_network_is_deleted() -> None:
    first = make(1)
    API.delete_network(first.uuid)
    assert (first.vlan, make(2).vlan) == (100, 100)


def test_carved_networks_count_their_vlans_on_all_or_none() -> None:
    whole = spec(1, cidr='10.1.0.0/24', vlan=7)
    made = API.create_networks(whole, 3, 26)
    assert [(network.label, network.vlan) for network in made] == [
        ('net-1_0', 7),
        ('net-1_1', 8),
        ('net-1_2', 9),
    ]
    for beyond in (5, 4092):  # the third one would have 7, and 4095
        with pytest.raises(exception.NovaException):
            API.create_networks(spec(2, cidr='10.2.0.0/24', vlan=beyond), 4, 26)
    assert db.network_list() == made
