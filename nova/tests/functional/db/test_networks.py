"""Networks and the allocation of NICs: all or nothing, no address twice, none lost."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import random
import threading

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest
import sqlalchemy as sa

from nova import exception
from nova.db import api as db
from nova.db import models, records, session
from nova.tests import stores

pytestmark = pytest.mark.usefixtures('database')


def allocate(
    instance: records.Instance,
    *networks: records.Network,
    fixed_ips: Sequence[str | None] = (),
    quarantine_s: int = 0,
) -> tuple[records.Vif, ...]:
    wanted = stores.build_nics(*networks, fixed_ips=fixed_ips)
    db.vifs_allocate(instance.uuid, wanted, quarantine_s)
    return db.vifs_of_instances([instance.uuid])[instance.uuid]


def taken_addresses() -> list[str]:
    with session.database().reader() as connection:
        query = sa.select(models.FixedIp.address).where(models.FixedIp.vif_id.is_not(None))
        return sorted(connection.scalars(query))


def test_a_network_is_what_was_stored() -> None:
    new, addresses = stores.build_network('10.1.0.0/29', project_id='p')
    network = db.network_create(new, addresses, lambda _others: None)
    assert db.network_get(new.uuid) == network
    for field in records.NewNetwork.__dataclass_fields__:
        assert getattr(network, field) == getattr(new, field), field
    assert network.host is None


def test_the_guard_sees_all_and_its_refusal_stores_nothing() -> None:
    first = stores.store_network('10.1.0.0/29')
    seen: list[records.Network] = []

    def refuse(others: Sequence[records.Network]) -> None:
        seen.extend(others)
        raise exception.NetworkOverlap(
            field='cidr', value='x', label=others[0].label, network_id=others[0].uuid
        )

    new, addresses = stores.build_network('10.1.0.0/30')
    with pytest.raises(exception.NetworkOverlap):
        db.network_create(new, addresses, refuse)
    assert seen == [first]
    assert db.network_list() == (first,)


def test_a_project_sees_its_own_networks_and_those_of_nobody() -> None:
    shared = stores.store_network('10.1.0.0/29')
    mine = stores.store_network('10.2.0.0/29', project_id='me')
    other = stores.store_network('10.3.0.0/29', project_id='you')
    assert db.network_list('me') == (shared, mine)
    assert db.network_list() == (shared, mine, other)


def test_the_first_host_to_claim_a_network_keeps_it() -> None:
    network = stores.store_network('10.1.0.0/29')
    assert db.network_claim_host(network.uuid, 'a').host == 'a'
    assert db.network_claim_host(network.uuid, 'b').host == 'a'
    with pytest.raises(exception.NetworkNotFound):
        db.network_claim_host(stores.new_uuid(), 'a')


def test_a_network_in_use_is_not_deleted() -> None:
    network = stores.store_network('10.1.0.0/29')
    instance = stores.store_instance(stores.store_flavor())
    allocate(instance, network)
    with pytest.raises(exception.NetworkInUse):
        db.network_delete(network.uuid)
    db.vifs_deallocate(instance.uuid)
    db.network_delete(network.uuid)
    with pytest.raises(exception.NetworkNotFound):
        db.network_delete(network.uuid)


@pytest.mark.parametrize('count', [0, 1, 2, 3, 8])
def test_nics_keep_the_order_of_the_request(count: int) -> None:
    networks = [stores.store_network(f'10.{i}.0.0/28') for i in range(8)]
    chosen = random.Random(count).sample(networks, count)
    instance = stores.store_instance(stores.store_flavor())
    vifs = allocate(instance, *chosen)
    assert [vif.network_uuid for vif in vifs] == [network.uuid for network in chosen]
    assert [vif.index for vif in vifs] == list(range(count))
    assert len({vif.mac for vif in vifs}) == count
    assert [len(vif.addresses) for vif in vifs] == [1] * count
    assert all(vif.hostname == instance.hostname for vif in vifs)


def test_the_same_network_twice_gives_two_nics() -> None:
    network = stores.store_network('10.1.0.0/28')
    instance = stores.store_instance(stores.store_flavor())
    vifs = allocate(instance, network, network)
    assert [vif.addresses for vif in vifs] == [('10.1.0.2',), ('10.1.0.3',)]


def test_exhaustion_of_one_network_holds_nothing_of_the_others() -> None:
    wide = stores.store_network('10.1.0.0/28')
    narrow = stores.store_network('10.2.0.0/30', label='narrow')
    flavor = stores.store_flavor()
    allocate(stores.store_instance(flavor), narrow)
    before = taken_addresses()
    late = stores.store_instance(flavor)
    for order in ((wide, narrow), (narrow, wide)):
        with pytest.raises(exception.NoMoreFixedIps, match='narrow'):
            allocate(late, *order)
    assert taken_addresses() == before
    assert db.vifs_of_instances([late.uuid]) == {late.uuid: ()}


def test_a_fixed_ip_asked_for_is_given_once() -> None:
    network = stores.store_network('10.1.0.0/28')
    flavor = stores.store_flavor()
    first, second = stores.store_instance(flavor), stores.store_instance(flavor)
    assert allocate(first, network, fixed_ips=['10.1.0.9'])[0].addresses == ('10.1.0.9',)
    with pytest.raises(exception.FixedIpInUse):
        allocate(second, network, fixed_ips=['10.1.0.9'])
    assert db.vifs_of_instances([second.uuid]) == {second.uuid: ()}


def test_an_address_asked_for_is_not_taken_by_an_earlier_nic_of_the_same_server() -> None:
    network = stores.store_network('10.1.0.0/28')
    instance = stores.store_instance(stores.store_flavor())
    vifs = allocate(instance, network, network, fixed_ips=[None, '10.1.0.2'])
    assert [vif.addresses for vif in vifs] == [('10.1.0.3',), ('10.1.0.2',)]


@pytest.mark.parametrize('address', ['10.1.0.1', '10.1.0.0', '10.9.0.1'])
def test_a_reserved_or_foreign_address_is_refused(address: str) -> None:
    network = stores.store_network('10.1.0.0/28')
    instance = stores.store_instance(stores.store_flavor())
    with pytest.raises(exception.FixedIpInvalid, match=address):
        allocate(instance, network, fixed_ips=[address])


def test_a_mac_in_use_is_refused_and_nothing_is_held() -> None:
    network = stores.store_network('10.1.0.0/28')
    flavor = stores.store_flavor()
    first, second = stores.store_instance(flavor), stores.store_instance(flavor)
    wanted = stores.build_nics(network)
    db.vifs_allocate(first.uuid, wanted, 0)
    copy = dataclasses.replace(wanted[0], uuid=stores.new_uuid())
    with pytest.raises(exception.MacInUse):
        db.vifs_allocate(second.uuid, [copy], 0)
    assert taken_addresses() == ['10.1.0.2']


def test_nics_of_an_instance_that_is_gone_are_refused() -> None:
    network = stores.store_network('10.1.0.0/28')
    with pytest.raises(exception.InstanceNotFound):
        db.vifs_allocate(stores.new_uuid(), stores.build_nics(network), 0)
    assert taken_addresses() == []


def test_what_was_freed_last_is_given_last() -> None:
    network = stores.store_network('10.1.0.0/29')
    flavor = stores.store_flavor()
    one, two = stores.store_instance(flavor), stores.store_instance(flavor)
    allocate(one, network)
    freed = db.vifs_deallocate(one.uuid)
    assert [vif.addresses for vif in freed] == [('10.1.0.2',)]
    assert db.vifs_deallocate(one.uuid) == ()
    vifs = allocate(two, *[network] * 5)
    assert [vif.addresses[0] for vif in vifs] == [
        '10.1.0.3',
        '10.1.0.4',
        '10.1.0.5',
        '10.1.0.6',
        '10.1.0.2',
    ]


def test_a_quarantined_address_is_given_only_by_name() -> None:
    network = stores.store_network('10.1.0.0/30')
    flavor = stores.store_flavor()
    one, two = stores.store_instance(flavor), stores.store_instance(flavor)
    allocate(one, network)
    db.vifs_deallocate(one.uuid)
    with pytest.raises(exception.NoMoreFixedIps):
        allocate(two, network, quarantine_s=60)
    allocate(two, network, fixed_ips=['10.1.0.2'], quarantine_s=60)
    assert taken_addresses() == ['10.1.0.2']


def test_parallel_allocations_share_no_address_and_lose_none() -> None:
    """Eight writers at once against two networks with room for exactly all."""
    first, second = stores.store_network('10.1.0.0/26'), stores.store_network('10.2.0.0/26')
    flavor = stores.store_flavor()
    instances = [stores.store_instance(flavor) for _ in range(64)]
    outcomes: list[str] = []

    def work(mine: Sequence[records.Instance]) -> None:
        for number, instance in enumerate(mine):
            order = (first, second) if number % 2 else (second, first)
            try:
                allocate(instance, *order)
                outcomes.append('allocated')
            except exception.NoMoreFixedIps:
                outcomes.append('refused')

    threads = [threading.Thread(target=work, args=(instances[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ['allocated'] * 61 + ['refused'] * 3
    assert len(set(taken_addresses())) == 2 * 61


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40))
def test_any_sequence_of_allocations_agrees_with_a_model(
    steps: list[tuple[bool, int]],
) -> None:
    network = stores.store_network('10.1.0.0/28')
    flavor = stores.store_flavor(stores.new_uuid())
    instances = [stores.store_instance(flavor) for _ in range(6)]
    held: dict[str, int] = {}
    for is_allocation, which in steps:
        uuid = instances[which].uuid
        if not is_allocation:
            assert len(db.vifs_deallocate(uuid)) == held.pop(uuid, 0)
        elif uuid not in held:
            nics = which + 1
            if sum(held.values()) + nics <= 13:
                allocate(instances[which], *[network] * nics)
                held[uuid] = nics
            else:
                with pytest.raises(exception.NoMoreFixedIps):
                    allocate(instances[which], *[network] * nics)
        vifs = db.vifs_of_networks([network.uuid])[network.uuid]
        addresses = [address for vif in vifs for address in vif.addresses]
        assert len(addresses) == len(set(addresses)) == sum(held.values())
