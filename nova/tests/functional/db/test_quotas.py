"""Limits on what the instances of a project hold, also when many ask at once."""

from __future__ import annotations

from collections.abc import Callable
import concurrent.futures
import dataclasses

import pytest

from nova import exception
from nova.db import api as db
from nova.db import quotas, records, session
from nova.tests import stores


@pytest.fixture
def flavor(database: session.Database) -> records.Flavor:
    for project in ('one', 'two'):
        db.security_group_default(project)
    return stores.store_flavor()


def held(instances: list[records.Instance]) -> tuple[int, int]:
    """NICs and addresses."""
    found = db.vifs_of_instances([instance.uuid for instance in instances])
    vifs = [vif for vifs in found.values() for vif in vifs]
    return len(vifs), sum(len(vif.addresses) for vif in vifs)


def test_a_hundred_attaches_against_a_limit_of_ten(flavor: records.Flavor) -> None:
    network = stores.store_network('10.0.0.0/24')
    instances = [stores.store_instance(flavor, project_id='one') for _ in range(10)]
    limits = quotas.NicLimits(interfaces=10)

    def attach(number: int) -> bool:
        (nic,) = stores.build_nics(network)
        try:
            db.vif_attach(instances[number % 10].uuid, nic, 0, max_nics=16, limits=limits)
        except exception.QuotaExceeded:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(attach, range(100))) == 10
    assert held(instances) == (10, 10)


def test_a_boot_is_refused_whole(flavor: records.Flavor) -> None:
    network = stores.store_network('10.0.0.0/24')
    first, second, other = (
        stores.store_instance(flavor, project_id=project) for project in ('one', 'one', 'two')
    )
    limits = quotas.NicLimits(interfaces=3)
    db.vifs_allocate(first.uuid, stores.build_nics(network, network), 0, limits)
    with pytest.raises(exception.QuotaExceeded, match='interfaces: allowed 3, asked for 4'):
        db.vifs_allocate(second.uuid, stores.build_nics(network, network), 0, limits)
    assert held([first, second]) == (2, 2)
    db.vifs_allocate(other.uuid, stores.build_nics(network, network), 0, limits)
    db.vifs_allocate(second.uuid, stores.build_nics(network), 0, limits)


def test_further_addresses_count(flavor: records.Flavor) -> None:
    network = stores.store_network('10.0.0.0/24')
    instance = stores.store_instance(flavor, project_id='one')
    limits = quotas.NicLimits(interfaces=1, fixed_ips=3)
    (nic,) = stores.build_nics(network)
    db.vifs_allocate(instance.uuid, [nic], 0, limits)
    for _ in range(2):
        vif = db.vif_add_address(nic.uuid, 0, limits)
    with pytest.raises(exception.QuotaExceeded, match='fixed_ips'):
        db.vif_add_address(nic.uuid, 0, limits)
    db.vif_remove_address(nic.uuid, vif.addresses[1])
    assert len(db.vif_add_address(nic.uuid, 0, limits).addresses) == 3


def parallel(work: Callable[[int], object], times: int) -> list[object]:
    """What ten callers at once got; None where a quota was in the way."""

    def attempt(number: int) -> object:
        try:
            return work(number)
        except exception.QuotaExceeded:
            return None

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        return [found for found in pool.map(attempt, range(times)) if found is not None]


def test_addresses_of_both_families_count(flavor: records.Flavor) -> None:
    new, addresses = stores.build_network('10.0.0.0/24')
    both = dataclasses.replace(new, cidr_v6='fd00:1::/64')
    network = db.network_create(both, addresses, lambda _others: None)
    instance = stores.store_instance(flavor, project_id='one')
    (nic,) = stores.build_nics(network)
    wanted = dataclasses.replace(nic, fixed_ip_v6='fd00:1::5')
    with pytest.raises(exception.QuotaExceeded, match='fixed_ips: allowed 1, asked for 2'):
        db.vifs_allocate(instance.uuid, [wanted], 0, quotas.NicLimits(fixed_ips=1))
    db.vifs_allocate(instance.uuid, [wanted], 0, quotas.NicLimits(fixed_ips=2))
    assert held([instance]) == (1, 2)


# --- the limits of single projects


def test_limits_are_set_and_reset(flavor: records.Flavor) -> None:
    db.quota_set('one', {'cores': 5, 'ram': -1})
    db.quota_set('two', {'cores': 7})
    db.quota_set('one', {'cores': 6})
    assert db.quota_get('one') == {'cores': 6, 'ram': -1}
    db.quota_reset('one')
    assert (db.quota_get('one'), db.quota_get('two')) == ({}, {'cores': 7})


def test_usage(flavor: records.Flavor) -> None:
    assert set(db.quota_usage('one').values()) == {0, 1}  # the group that each project has
    network = stores.store_network('10.0.0.0/24', project_id='one')
    requested = [records.RequestedNetwork(network_uuid=network.uuid)] * 2
    first = stores.store_instance(flavor, project_id='one')
    stores.store_instance(flavor, project_id='one', requested_networks=requested)
    stores.store_instance(flavor, project_id='two', requested_networks=requested)
    db.vifs_allocate(first.uuid, stores.build_nics(network), 0)
    db.floating_ips_create('nova', ['192.0.2.1', '192.0.2.2'])
    db.floating_ip_allocate('one', 'nova', limit=-1)
    assert db.quota_usage('one') == {
        'instances': 2,
        'cores': 2,
        'ram': 1024,
        'interfaces': 3,
        'fixed_ips': 3,
        'networks': 1,
        'floating_ips': 1,
        'security_groups': 1,
    }
    db.instance_set_fault(first.uuid, code=500, message='', details='')
    db.vifs_deallocate(first.uuid)
    assert db.quota_usage('one')['interfaces'] == 2


# --- servers


def build_new(
    flavor: records.Flavor, count: int = 1, *networks: records.Network
) -> list[records.NewInstance]:
    return [
        records.NewInstance(
            uuid=stores.new_uuid(),
            project_id='one',
            user_id='u',
            display_name='vm',
            hostname='vm',
            image_ref='image',
            flavor=flavor,
            requested_networks=tuple(
                records.RequestedNetwork(network_uuid=network.uuid) for network in networks
            ),
            reservation_id='r',
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ('resource', 'limit'), [('instances', 4), ('cores', 9), ('ram', 2047 + 1024)]
)
def test_many_creates_at_once(database: session.Database, resource: str, limit: int) -> None:
    flavor = stores.store_flavor(vcpus=2, memory_mb=700)
    made = parallel(lambda _: db.instances_create(build_new(flavor), limits={resource: limit}), 30)
    assert len(made) == 4
    assert db.quota_usage('one')['instances'] == 4


def test_as_many_as_there_is_room_for(flavor: records.Flavor) -> None:
    limits = {'instances': 10, 'cores': 5, 'ram': -1}
    assert len(db.instances_create(build_new(flavor, 4), at_least=1, limits=limits)) == 4
    with pytest.raises(exception.QuotaExceeded, match='cores: allowed 5, asked for 6'):
        db.instances_create(build_new(flavor, 3), at_least=2, limits=limits)
    assert len(db.instances_create(build_new(flavor, 3), at_least=1, limits=limits)) == 1
    assert db.quota_usage('one')['instances'] == 5
    other = dataclasses.replace(build_new(flavor)[0], project_id='two')
    assert len(db.instances_create([other], limits=limits)) == 1


def test_who_was_accepted_gets_its_nics(flavor: records.Flavor) -> None:
    """Three servers of two NICs fit into six; whoever was told so is not refused later, and an
    attach does not come between."""
    network = stores.store_network('10.0.0.0/24')
    running = stores.store_instance(flavor, project_id='one')
    limits = quotas.NicLimits(interfaces=6, fixed_ips=6)
    asked = {'interfaces': 6, 'fixed_ips': 6}

    def boot(_number: int) -> records.Instance:
        return db.instances_create(build_new(flavor, 1, network, network), limits=asked)[0]

    accepted = parallel(boot, 20)
    assert len(accepted) == 3
    with pytest.raises(exception.QuotaExceeded, match='interfaces: allowed 6, asked for 7'):
        db.vif_attach(running.uuid, stores.build_nics(network)[0], 0, max_nics=9, limits=limits)

    def allocate(number: int) -> bool:
        nics = stores.build_nics(network, network)
        instance = accepted[number]
        assert isinstance(instance, records.Instance)
        db.vifs_allocate(instance.uuid, nics, 0, limits)
        return True

    assert len(parallel(allocate, 3)) == 3
    assert db.quota_usage('one')['interfaces'] == 6


# --- networks and floating IPs


def test_many_networks_at_once(flavor: records.Flavor) -> None:
    def make(number: int) -> records.Network:
        new, addresses = stores.build_network(f'10.{number}.0.0/30', project_id='one')
        return db.network_create(new, addresses, lambda _others: None, limit=3)

    assert len(parallel(make, 20)) == 3
    assert db.quota_usage('one')['networks'] == 3


def test_floating_ips_of_several_pools_at_once(flavor: records.Flavor) -> None:
    for number, pool in enumerate(('a', 'b', 'c')):
        db.floating_ips_create(pool, [f'192.0.2.{number * 16 + host}' for host in range(16)])

    def take(number: int) -> records.FloatingIp:
        return db.floating_ip_allocate('one', 'abc'[number % 3], limit=4)

    assert len(parallel(take, 30)) == 4
    assert db.quota_usage('one')['floating_ips'] == 4
