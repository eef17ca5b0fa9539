"""Hosts that serve their own guests of a network: their addresses, and who races for them."""

from __future__ import annotations

import concurrent.futures
import dataclasses

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.tests import stores

pytestmark = pytest.mark.usefixtures('database')


def store_network(cidr: str) -> records.Network:
    new, addresses = stores.build_network(cidr)
    return db.network_create(
        dataclasses.replace(new, multi_host=True), addresses, lambda _others: None
    )


def place(host: str, network: records.Network) -> records.Instance:
    """An instance on the host, whose NIC is there before anybody claims its network."""
    name = f'for-{stores.new_uuid()}'
    instance = stores.store_instance(stores.store_flavor(name))
    db.instance_update(instance.uuid, host=host)
    db.vifs_allocate(instance.uuid, stores.build_nics(network), 0)
    return instance


def test_a_host_has_one_address_until_it_gives_it_back() -> None:
    network = store_network('10.1.0.0/29')
    first = db.network_host_claim(network.uuid, 'one', 0)
    again = db.network_host_claim(network.uuid, 'one', 0)
    both = db.network_host_claim(network.uuid, 'two', 0)

    assert first.hosts == again.hosts == {'one': '10.1.0.2'}
    assert both.hosts == {'one': '10.1.0.2', 'two': '10.1.0.3'}
    assert db.network_list() == (db.network_get(network.uuid),)
    assert db.network_host_release(network.uuid, 'one')
    assert db.network_get(network.uuid).hosts == {'two': '10.1.0.3'}


def test_what_a_host_gave_back_is_as_good_as_any_other() -> None:
    network = store_network('10.1.0.0/30')
    db.network_host_claim(network.uuid, 'one', 0)
    with pytest.raises(exception.NoMoreFixedIps):
        db.network_host_claim(network.uuid, 'two', 0)
    db.network_host_release(network.uuid, 'one')

    with pytest.raises(exception.NoMoreFixedIps):  # it is in quarantine
        db.network_host_claim(network.uuid, 'two', 60)
    place('two', network)
    assert db.vifs_of_networks([network.uuid])[network.uuid][0].addresses == ('10.1.0.2',)


def test_hosts_that_come_at_once_get_addresses_of_their_own() -> None:
    network = store_network('10.1.0.0/27')
    hosts = [f'host-{number}' for number in range(12)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda host: db.network_host_claim(network.uuid, host, 0), hosts * 2))

    found = db.network_get(network.uuid).hosts
    assert sorted(found) == sorted(hosts)
    assert len(set(found.values())) == len(hosts)


def test_a_guest_that_comes_while_the_last_one_goes_finds_its_host_served() -> None:
    """Whatever the order in which the two are committed."""
    network = store_network('10.1.0.0/26')
    for _ in range(5):
        leaving = place('one', network)
        db.network_host_claim(network.uuid, 'one', 0)

        def leave(instance: records.Instance = leaving) -> None:
            db.vifs_deallocate(instance.uuid)
            db.network_host_release(network.uuid, 'one')

        def come() -> records.Instance:
            made = place('one', network)
            db.network_host_claim(network.uuid, 'one', 0)
            return made

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            gone, came = pool.submit(leave), pool.submit(come)
            gone.result()
            instance = came.result()
        assert list(db.network_get(network.uuid).hosts) == ['one']
        db.vifs_deallocate(instance.uuid)
        assert db.network_host_release(network.uuid, 'one')
    assert db.network_get(network.uuid).hosts == {}


def test_the_bridges_of_a_host_are_those_of_its_guests() -> None:
    one, two = store_network('10.1.0.0/29'), store_network('10.2.0.0/29')
    place('here', one)
    place('here', one)
    place('there', two)

    assert db.bridges_of_host('here') == {one.bridge}
    assert db.bridges_of_host('there') == {two.bridge}
    assert db.bridges_of_host('nowhere') == frozenset()
