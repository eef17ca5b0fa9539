"""The network service on a real database; what it wants of its hosts is recorded."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.network import info, reach
from nova.tests import stores
from nova.tests.functional.network.conftest import (
    API,
    CONTEXT,
    Cloud,
    allocate,
    make_network,
    wait_until,
)


@pytest.mark.parametrize('count', [0, 1, 2, 3, 8])
def test_one_nic_for_each_network_in_order(
    cloud: Cloud, flavor: records.Flavor, count: int
) -> None:
    networks = [make_network(n) for n in range(count)][::-1]
    instance = stores.store_instance(flavor)

    allocated = allocate(cloud.services['one'], instance, *networks)

    vifs = db.vifs_of_instances([instance.uuid])[instance.uuid]
    stored = {network.uuid: network for network in db.network_list()}
    assert allocated == info.build_network_info(vifs, stored)
    assert allocated == API.network_infos([instance.uuid])[instance.uuid]
    assert [vif.network.label for vif in allocated] == [n.label for n in networks]
    assert [vif.default_route for vif in allocated] == [i == 0 for i in range(count)]
    assert {vif.network.host for vif in allocated} <= {'one'}
    assert cloud.hosts['one'].served() == {
        vif.network.label: [vif.addresses[0]] for vif in allocated
    }


def test_the_same_network_twice(cloud: Cloud, flavor: records.Flavor) -> None:
    network, instance = make_network(0), stores.store_instance(flavor)

    allocated = allocate(cloud.services['one'], instance, network, network)

    assert len({vif.mac for vif in allocated}) == 2
    assert [vif.addresses for vif in allocated] == [('10.0.0.2',), ('10.0.0.3',)]
    assert [vif.default_route for vif in allocated] == [True, False]


def test_a_network_is_served_where_it_was_first_used(cloud: Cloud, flavor: records.Flavor) -> None:
    a, b = make_network(0), make_network(1)
    first, second = stores.store_instance(flavor), stores.store_instance(flavor)

    allocate(cloud.services['one'], first, a)
    allocated = allocate(cloud.services['two'], second, b, a)

    assert [vif.network.host for vif in allocated] == ['two', 'one']
    assert cloud.hosts['one'].served() == {'net-0': ['10.0.0.2', '10.0.0.3']}
    assert cloud.hosts['two'].served() == {'net-1': ['10.1.0.2']}

    cloud.services['one'].deallocate_for_instance(CONTEXT, instance_uuid=second.uuid)
    assert cloud.hosts['one'].served() == {'net-0': ['10.0.0.2']}
    # another host is told, and not waited for
    wait_until(lambda: cloud.hosts['two'].served() == {})


def test_deallocating_twice_is_no_error(cloud: Cloud, flavor: records.Flavor) -> None:
    network, instance = make_network(0), stores.store_instance(flavor)
    allocate(cloud.services['one'], instance, network)

    for _ in range(2):
        cloud.services['one'].deallocate_for_instance(CONTEXT, instance_uuid=instance.uuid)

    assert cloud.hosts['one'].served() == {}
    assert db.vifs_of_instances([instance.uuid])[instance.uuid] == ()
    API.delete_network(network.uuid)


def test_allocating_twice_gives_the_same_nics(cloud: Cloud, flavor: records.Flavor) -> None:
    network, instance = make_network(0), stores.store_instance(flavor)

    first = allocate(cloud.services['one'], instance, network)
    second = allocate(cloud.services['one'], instance, network)

    assert first == second


def test_when_one_network_fails_nothing_is_held(cloud: Cloud, flavor: records.Flavor) -> None:
    a, b = make_network(0), make_network(1)
    other, instance = stores.store_instance(flavor), stores.store_instance(flavor)
    allocate(cloud.services['one'], other, a)
    cloud.hosts['one'].broken.add(b.uuid)

    with pytest.raises(exception.NetworkSetupFailed, match='net-1'):
        allocate(cloud.services['one'], instance, a, b)

    assert db.vifs_of_instances([instance.uuid])[instance.uuid] == ()
    assert cloud.hosts['one'].served() == {'net-0': ['10.0.0.2']}


def test_when_the_host_of_a_network_is_gone_nothing_is_held(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    a = make_network(0)
    db.network_claim_host(a.uuid, 'lost')
    instance = stores.store_instance(flavor)

    with pytest.raises(exception.ServiceUnavailable):
        allocate(cloud.services['one'], instance, a)

    assert db.vifs_of_instances([instance.uuid])[instance.uuid] == ()


def test_freeing_waits_for_no_other_host(cloud: Cloud, flavor: records.Flavor) -> None:
    """Nor for a DHCP server: the address is free when its row is."""
    network, instance = make_network(0), stores.store_instance(flavor)
    (vif,) = allocate(cloud.services['two'], instance, network)
    cloud.hosts['two'].gate = threading.Event()
    before = cloud.hosts['two'].calls

    cloud.services['one'].deallocate_for_instance(CONTEXT, instance_uuid=instance.uuid)

    # Now it has read what it is to serve, so that it does not take the next NIC for its own.
    wait_until(lambda: cloud.hosts['two'].calls > before)
    assert cloud.hosts['two'].served() == {'net-0': list(vif.addresses)}
    again = stores.store_instance(flavor)
    db.vifs_allocate(
        again.uuid, stores.build_nics(network, fixed_ips=[vif.addresses[0]]), quarantine_s=0
    )
    db.vifs_deallocate(again.uuid)
    cloud.hosts['two'].gate.set()
    wait_until(lambda: cloud.hosts['two'].served() == {})


def test_an_address_waits_as_long_as_the_option_says(cloud: Cloud, flavor: records.Flavor) -> None:
    """By whichever way it was freed; the host of a multi_host network waits as well."""
    cloud.add('patient', 3, quarantine_s=60)
    service = cloud.services['patient']
    first, second = stores.store_instance(flavor), stores.store_instance(flavor)
    narrow = make_network(0, cidr='10.0.0.0/30')
    own = make_network(1, cidr='10.1.0.0/30', multi_host=True)
    db.instance_update(second.uuid, host='patient')
    for network in (narrow, own):
        db.vifs_allocate(first.uuid, stores.build_nics(network), 0)
        service.deallocate_for_instance(CONTEXT, instance_uuid=first.uuid)

    for network in (narrow, own):
        with pytest.raises(exception.NoMoreFixedIps):
            allocate(service, second, network)
    allocate(cloud.services['one'], second, narrow)


def test_a_failure_leaves_nics_that_were_there(cloud: Cloud, flavor: records.Flavor) -> None:
    network, instance = make_network(0), stores.store_instance(flavor)
    before = allocate(cloud.services['one'], instance, network)
    cloud.hosts['one'].broken.add(network.uuid)

    with pytest.raises(exception.NetworkSetupFailed):
        allocate(cloud.services['one'], instance, network)

    assert API.network_infos([instance.uuid])[instance.uuid] == before


def test_all_or_nothing_when_a_network_is_full(cloud: Cloud, flavor: records.Flavor) -> None:
    a, full = make_network(0), make_network(1, cidr='10.1.0.0/30')
    allocate(cloud.services['one'], stores.store_instance(flavor), full)
    instance = stores.store_instance(flavor)

    with pytest.raises(exception.NoMoreFixedIps, match='net-1'):
        allocate(cloud.services['one'], instance, a, full)

    assert db.vifs_of_networks([a.uuid]) == {a.uuid: ()}


def test_a_mac_address_that_is_taken_is_drawn_again(cloud: Cloud, flavor: records.Flavor) -> None:
    network = make_network(0)
    one, two = stores.store_instance(flavor), stores.store_instance(flavor)
    first = allocate(cloud.services['one'], one, network)
    cloud.add('again', 1)  # draws what `one` drew

    second = allocate(cloud.services['again'], two, network)

    assert first[0].mac != second[0].mac


def test_a_network_of_another_project(cloud: Cloud, flavor: records.Flavor) -> None:
    foreign = make_network(0, project_id='project-2')
    instance = stores.store_instance(flavor, project_id='project-1')

    with pytest.raises(exception.NetworkNotFound):
        allocate(cloud.services['one'], instance, foreign)


def test_what_a_service_finds_when_it_starts(cloud: Cloud, flavor: records.Flavor) -> None:
    a, b = make_network(0), make_network(1)
    instance = stores.store_instance(flavor)
    allocate(cloud.services['one'], instance, a, b)
    before = dict(cloud.hosts['one'].networks)
    cloud.hosts['one'].networks.clear()

    cloud.services['one'].init_host()
    cloud.services['two'].init_host()

    assert cloud.hosts['one'].networks == before
    assert cloud.hosts['two'].networks == {}


def test_a_network_that_fails_does_not_stop_the_service(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    a, b = make_network(0), make_network(1)
    allocate(cloud.services['one'], stores.store_instance(flavor), a, b)
    cloud.hosts['one'].broken.add(a.uuid)

    cloud.services['one'].init_host()

    assert list(cloud.hosts['one'].networks) == [b.uuid]


def test_a_network_deleted_behind_its_last_nic_leaves_its_host(
    cloud: Cloud, flavor: records.Flavor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, instance = make_network(0), stores.store_instance(flavor)
    allocate(cloud.services['one'], instance, network)
    deallocate = db.vifs_deallocate

    def deallocate_and_delete(uuid: str) -> tuple[records.Vif, ...]:
        freed = deallocate(uuid)
        db.network_delete(network.uuid)
        return freed

    monkeypatch.setattr(db, 'vifs_deallocate', deallocate_and_delete)
    cloud.services['one'].deallocate_for_instance(CONTEXT, instance_uuid=instance.uuid)

    assert cloud.hosts['one'].networks == {}


def test_who_waits_is_served_together(cloud: Cloud, flavor: records.Flavor) -> None:
    networks = [make_network(n) for n in range(2)]
    host = cloud.hosts['one']
    host.gate = threading.Event()
    host.broken.add(networks[1].uuid)
    instances = [stores.store_instance(flavor) for _ in range(8)]

    def boot(place: int) -> str:
        try:
            allocate(cloud.services['one'], instances[place], networks[place % 2])
        except exception.NetworkSetupFailed:
            return 'failed'
        return 'served'

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        boots = [pool.submit(boot, place) for place in range(8)]
        # all have their rows: one is being served, the others wait
        while len(db.vifs_of_networks([n.uuid for n in networks])[networks[1].uuid]) < 4:
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        host.gate.set()
        results = [boot.result() for boot in boots]

    assert results == ['served', 'failed'] * 4
    # the first, the others, and what the failed ones gave back
    assert host.calls <= 2 + 4 + 1
    assert len(host.served()['net-0']) == 4


def test_networks_are_kept_apart_before_a_gateway_is_there(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    """What cannot be kept apart is not made, and the instance holds nothing."""
    network, instance = make_network(1), stores.store_instance(flavor)
    host = cloud.hosts['one']
    host.reach_broken = True

    with pytest.raises(exception.NetworkSetupFailed, match='forwarding'):
        allocate(cloud.services['one'], instance, network)
    assert host.networks == {}
    assert db.vifs_of_instances([instance.uuid])[instance.uuid] == ()

    host.reach_broken = False
    allocate(cloud.services['one'], instance, network)
    assert host.reach.bridges == (network.bridge,)
    assert cloud.hosts['two'].reach == reach.Reach()


# --- changes that nobody told the service of


def test_a_host_follows_what_was_changed_of_its_networks(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    mine, others = make_network(0), make_network(1)
    one, two = cloud.services['one'], cloud.services['two']
    allocate(one, stores.store_instance(flavor), mine)
    allocate(two, stores.store_instance(flavor), others)
    for service in (one, two):
        service.watch()
        service.watch()
    host = cloud.hosts['one']
    calls = host.calls
    API.modify_network(mine.uuid, dns=('192.0.2.9',), mtu=1400)
    API.modify_network(others.uuid, dns=('192.0.2.10',))

    one.watch()

    assert host.networks[mine.uuid].dhcp.dns == ('192.0.2.9',)
    assert (host.networks[mine.uuid].dhcp.mtu, host.networks[mine.uuid].link.mtu) == (1400, 1400)
    assert host.calls == calls + 1
    one.watch()
    assert host.calls == calls + 1
    assert cloud.hosts['two'].networks[others.uuid].dhcp.dns == ()
    two.watch()
    assert cloud.hosts['two'].networks[others.uuid].dhcp.dns == ('192.0.2.10',)


def test_a_network_that_goes_leaves_its_host(cloud: Cloud, flavor: records.Flavor) -> None:
    network, moved = make_network(0), make_network(1)
    service, host = cloud.services['one'], cloud.hosts['one']
    instance = stores.store_instance(flavor)
    allocate(service, instance, network, moved)
    service.watch()
    db.vifs_deallocate(instance.uuid)  # and no host is told
    assert set(host.networks) == {network.uuid, moved.uuid}
    API.delete_network(network.uuid)
    db.network_update(moved.uuid, host='two')

    service.watch()

    assert host.networks == {}


def test_what_failed_of_a_change_does_not_end_the_watch(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    network = make_network(0)
    service, host = cloud.services['one'], cloud.hosts['one']
    allocate(service, stores.store_instance(flavor), network)
    host.broken.add(network.uuid)
    API.modify_network(network.uuid, mtu=1400)
    service.watch()
    host.broken.clear()
    API.modify_network(network.uuid, mtu=1300)
    service.watch()
    assert host.networks[network.uuid].link.mtu == 1300
