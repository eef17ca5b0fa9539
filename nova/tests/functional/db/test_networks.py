"""Networks and the allocation of NICs: all or nothing, no address twice, none lost."""

from __future__ import annotations

import collections
from collections.abc import Sequence
import dataclasses
import random
import threading
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest
import sqlalchemy as sa

from nova import exception
from nova.db import api as db
from nova.db import models, records, session
from nova.network import model
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


@pytest.mark.parametrize(
    ('ranges', 'fitting'),
    # 61 addresses of a /26 are for NICs
    [(['10.1.0.0/26'] * 4, 15), (['10.1.0.0/26', '10.2.0.0/26', '10.1.0.0/26', '10.3.0.0/26'], 30)],
    ids=['four-of-one', 'two-of-one-and-one-of-two-others'],
)
def test_64_boots_of_four_nics_at_once(ranges: list[str], fitting: int) -> None:
    """As many get all that they asked for as there is room for; the others get nothing, and are
    told so. Each has its networks in an order of its own."""
    networks = {cidr: stores.store_network(cidr) for cidr in dict.fromkeys(ranges)}
    flavor = stores.store_flavor()
    instances = [stores.store_instance(flavor) for _ in range(64)]
    start = threading.Barrier(64)
    outcomes: dict[str, str] = {}

    def boot(number: int) -> None:
        order = random.Random(number).sample(ranges, 4)
        uuid = instances[number].uuid
        start.wait()
        try:
            db.vifs_allocate(uuid, stores.build_nics(*(networks[cidr] for cidr in order)), 0)
        except exception.NoMoreFixedIps:
            outcomes[uuid] = 'refused'
        except Exception as exc:
            # a test must see what a thread dies of
            outcomes[uuid] = repr(exc)
        else:
            outcomes[uuid] = 'allocated'

    threads = [threading.Thread(target=boot, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert collections.Counter(outcomes.values()) == {'allocated': fitting, 'refused': 64 - fitting}
    vifs = db.vifs_of_instances(list(outcomes))
    assert {uuid: len(found) for uuid, found in vifs.items()} == {
        uuid: 4 if outcome == 'allocated' else 0 for uuid, outcome in outcomes.items()
    }
    held = [address for found in vifs.values() for vif in found for address in vif.addresses]
    assert len(held) == len(set(held)) == 4 * fitting
    assert sorted(held) == taken_addresses()


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


# --- IPv6


def store_v6(cidr: str | None = None, **changes: Any) -> records.Network:
    new, addresses = stores.build_network(cidr or '10.1.0.0/29')
    values: dict[str, Any] = {
        'cidr_v6': 'fd00:1::/64',
        'gateway_v6': 'fd00:1::1',
        'ipv6_mode': model.Ipv6Mode.STATEFUL,
        'routes': (model.Route(cidr='2001:db8::/32', gateway='fd00:1::5'),),
    }
    if cidr is None:
        values |= dict.fromkeys(('cidr', 'gateway', 'dhcp_server', 'dhcp_start', 'dhcp_end'))
        addresses = []
    new = dataclasses.replace(new, **(values | changes))
    return db.network_create(new, addresses, lambda _others: None)


def allocate_v6(network: records.Network, address: str) -> tuple[records.Vif, ...]:
    instance = stores.store_instance(stores.store_flavor(f'flavor-{stores.new_uuid()}'))
    (nic,) = stores.build_nics(network)
    wanted = dataclasses.replace(nic, fixed_ip_v6=address)
    db.vifs_allocate(instance.uuid, [wanted], 0)
    return db.vifs_of_instances([instance.uuid])[instance.uuid]


def test_an_ipv6_network_is_what_was_stored() -> None:
    network = store_v6()
    assert db.network_get(network.uuid) == network
    assert (network.cidr, network.cidr_v6) == (None, 'fd00:1::/64')
    assert network.ipv6_mode is model.Ipv6Mode.STATEFUL
    assert network.routes == (model.Route(cidr='2001:db8::/32', gateway='fd00:1::5'),)


def test_a_nic_of_both_families_has_ipv4_first() -> None:
    (vif,) = allocate_v6(store_v6('10.1.0.0/29'), 'fd00:1::5')
    assert vif.addresses == ('10.1.0.2', 'fd00:1::5')


def test_a_nic_of_ipv6_only() -> None:
    (vif,) = allocate_v6(store_v6(), 'fd00:1::5')
    assert vif.addresses == ('fd00:1::5',)


def test_an_ipv6_address_is_given_once_and_nothing_is_held_for_who_comes_late() -> None:
    network = store_v6('10.1.0.0/29')
    (first,) = allocate_v6(network, 'fd00:1::5')
    before = taken_addresses()
    with pytest.raises(exception.FixedIpInUse):
        allocate_v6(network, 'fd00:1::5')
    assert taken_addresses() == before
    db.vifs_deallocate(first.instance_uuid)
    assert taken_addresses() == []
    (again,) = allocate_v6(network, 'fd00:1::5')
    assert 'fd00:1::5' in again.addresses


def test_no_row_of_ipv6_stays_with_the_network_after_its_nics() -> None:
    network = store_v6()
    (vif,) = allocate_v6(network, 'fd00:1::5')
    db.vifs_deallocate(vif.instance_uuid)
    with session.database().reader() as connection:
        assert connection.scalar(sa.select(sa.func.count(models.FixedIp.id))) == 0
    db.network_delete(network.uuid)


@pytest.mark.parametrize(
    ('field', 'address'), [('fixed_ip', '10.1.0.5'), ('fixed_ip_v6', 'fd00:1::5')]
)
def test_one_address_asked_for_by_many_at_once_is_given_to_one(field: str, address: str) -> None:
    network = store_v6(cidr='10.1.0.0/29') if field == 'fixed_ip' else store_v6()
    flavor = stores.store_flavor()
    instances = [stores.store_instance(flavor) for _ in range(8)]
    wanted = [
        dataclasses.replace(nic, **{field: address})  # type: ignore[arg-type]
        for nic in stores.build_nics(*[network] * len(instances))
    ]
    outcomes: list[str] = []

    def boot(instance: records.Instance, nic: records.WantedNic) -> None:
        try:
            db.vifs_allocate(instance.uuid, [nic], 0)
        except exception.FixedIpInUse:
            outcomes.append('taken')
        else:
            outcomes.append('given')

    threads = [
        threading.Thread(target=boot, args=pair) for pair in zip(instances, wanted, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ['given'] + ['taken'] * 7
    assert taken_addresses() == [address]


# --- VLANs and projects


def test_a_vlan_of_a_physical_network_is_one_networks() -> None:
    store_v6(physical_network='a', vlan=7)
    store_v6(physical_network='a', vlan=8)
    store_v6(physical_network='b', vlan=7)
    with pytest.raises(exception.VlanInUse):
        store_v6(physical_network='a', vlan=7)
    # untagged networks have none
    store_v6(physical_network='a')
    store_v6(physical_network='a')


def test_when_the_networks_of_a_host_were_changed() -> None:
    served, shared, others = (store_v6(vlan=n, physical_network='a') for n in (1, 2, 3))
    db.network_claim_host(served.uuid, 'one')
    db.network_claim_host(others.uuid, 'two')
    with session.database().writer() as connection:
        row = connection.get_one(models.Network, shared.id)
        row.multi_host = True
        row.hosts.append(models.NetworkHost(host='one', address=None))
    before = db.networks_changed('one')
    assert before.keys() == {served.uuid, shared.uuid}
    changed = db.network_update(shared.uuid, mtu=1400)
    assert db.networks_changed('one') == {**before, shared.uuid: changed.updated_at}
    assert changed.updated_at > before[shared.uuid]


def test_a_free_network_goes_to_one_project() -> None:
    vlan = model.NetworkKind.VLAN
    first = store_v6(kind=vlan, physical_network='a', vlan=1)
    second = store_v6(kind=vlan, physical_network='a', vlan=2)
    stores.store_network('10.9.0.0/29')
    taken = [db.network_take_free(project, vlan) for project in ('p', 'q', 'r')]
    assert [None if n is None else (n.uuid, n.project_id) for n in taken] == [
        (first.uuid, 'p'),
        (second.uuid, 'q'),
        None,
    ]


def test_a_network_is_taken_by_name_unless_another_project_has_it() -> None:
    network = store_v6()
    for _ in range(2):
        taken = db.network_take(network.uuid, 'p')
        assert taken is not None
        assert taken.project_id == 'p'
    assert db.network_take(network.uuid, 'q') is None
    assert db.network_take(stores.new_uuid(), 'q') is None


def test_what_can_be_changed_of_a_network() -> None:
    network = store_v6()
    routes = (model.Route(cidr='10.0.0.0/8', gateway='10.1.0.5'),)
    changed = db.network_update(network.uuid, label='new', dns=('192.0.2.9',), routes=routes)
    assert (changed.label, changed.dns, changed.routes) == ('new', ('192.0.2.9',), routes)
    assert db.network_get(network.uuid) == changed
    assert db.network_update(network.uuid, project_id='p').project_id == 'p'
    allocate_v6(network, 'fd00:1::5')
    with pytest.raises(exception.NetworkInUse):
        db.network_update(network.uuid, project_id='q')
    assert db.network_update(network.uuid, project_id='p', mtu=1400).mtu == 1400
