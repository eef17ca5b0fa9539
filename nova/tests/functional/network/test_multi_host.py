"""Networks that every host serves to its own guests, beside such as one host serves to all."""

from __future__ import annotations

import datetime

import pytest

from nova import exception, liveness
from nova.db import api as db
from nova.db import records, session
from nova.network import model
from nova.network.linux import metadata
from nova.tests import stores
from nova.tests.functional.network.conftest import (
    API,
    CONTEXT,
    Cloud,
    allocate,
    make_network,
    wait_until,
)


def place(flavor: records.Flavor, host: str) -> records.Instance:
    """An instance on a host, as the scheduler leaves it."""
    instance = stores.store_instance(flavor)
    return db.instance_update(instance.uuid, host=host)


def server_of(vif: model.VIF) -> str | None:
    subnet = vif.network.subnet(4)
    return None if subnet is None else subnet.dhcp_server


def test_each_host_serves_its_own_guests(cloud: Cloud, flavor: records.Flavor) -> None:
    """Whichever service is asked, the instance's own host is gateway and DHCP server."""
    network = make_network(0, multi_host=True)
    on_one, on_two = place(flavor, 'one'), place(flavor, 'two')

    (first,) = allocate(cloud.services['one'], on_one, network)
    (second,) = allocate(cloud.services['one'], on_two, network)

    assert (first.network.host, second.network.host) == ('one', 'two')
    assert cloud.hosts['one'].served() == {'net-0': [first.addresses[0]]}
    assert cloud.hosts['two'].served() == {'net-0': [second.addresses[0]]}
    hosts = db.network_get(network.uuid).hosts
    assert hosts == {'one': server_of(first), 'two': server_of(second)}
    assert len({*hosts.values(), *first.addresses, *second.addresses}) == 4
    for vif, host in ((first, 'one'), (second, 'two')):
        (made,) = cloud.hosts[host].networks.values()
        subnet = vif.network.subnet(4)
        assert subnet is not None
        assert (made.address, made.dhcp.gateway) == (f'{subnet.gateway}/29', subnet.gateway)
        assert cloud.hosts[host].reach.bridges == (network.bridge,)
        assert cloud.hosts[host].metadata == {network.uuid: metadata.Place(network.bridge)}


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
def test_a_network_of_one_host_does_not_send_another_astray(
    cloud: Cloud, flavor: records.Flavor, order: tuple[int, int]
) -> None:
    """The host of one NIC's network is not taken for that of the next, in whichever order."""
    single, multi = make_network(0), make_network(1, multi_host=True)
    allocate(cloud.services['one'], place(flavor, 'one'), single)
    instance = place(flavor, 'two')

    allocated = allocate(cloud.services['one'], instance, *((single, multi)[i] for i in order))

    hosts = {vif.network.label: vif.network.host for vif in allocated}
    assert hosts == {'net-0': 'one', 'net-1': 'two'}
    assert sorted(cloud.hosts['one'].served()) == ['net-0']
    assert sorted(cloud.hosts['two'].served()) == ['net-1']
    assert API.network_infos([instance.uuid])[instance.uuid] == allocated


def test_a_host_gives_its_address_back_with_its_last_guest(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    network = make_network(0, multi_host=True)
    first, second = place(flavor, 'two'), place(flavor, 'two')
    for instance in (first, second):
        allocate(cloud.services['two'], instance, network)

    cloud.services['two'].deallocate_for_instance(CONTEXT, instance_uuid=first.uuid)
    assert list(db.network_get(network.uuid).hosts) == ['two']
    # another host's service hears of the delete; it waits for nobody
    cloud.services['one'].deallocate_for_instance(CONTEXT, instance_uuid=second.uuid)

    wait_until(lambda: db.network_get(network.uuid).hosts == {})
    wait_until(lambda: cloud.hosts['two'].reach.bridges == ())
    wait_until(lambda: cloud.hosts['two'].served() == {})
    # five addresses, of which one is a host's: four guests, and no fifth
    guests = [place(flavor, 'one') for _ in range(5)]
    for instance in guests[:4]:
        allocate(cloud.services['one'], instance, network)
    with pytest.raises(exception.NoMoreFixedIps):
        allocate(cloud.services['one'], guests[4], network)


def test_a_network_without_room_for_a_host_holds_nothing(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    """The NIC has the last address: its host finds none."""
    network = make_network(0, multi_host=True, cidr='10.0.0.0/30')
    instance = place(flavor, 'one')

    with pytest.raises(exception.NoMoreFixedIps):
        allocate(cloud.services['one'], instance, network)

    assert db.vifs_of_instances([instance.uuid])[instance.uuid] == ()
    assert db.network_get(network.uuid).hosts == {}
    API.delete_network(network.uuid)


def test_an_address_of_a_host_cannot_be_asked_for(cloud: Cloud, flavor: records.Flavor) -> None:
    network = make_network(0, multi_host=True)
    allocate(cloud.services['one'], place(flavor, 'one'), network)
    (taken,) = db.network_get(network.uuid).hosts.values()

    with pytest.raises(exception.FixedIpInvalid, match='reserved'):
        allocate(cloud.services['one'], place(flavor, 'one'), network, fixed_ips=(taken,))


def test_a_host_that_is_lost_holds_up_no_other(cloud: Cloud, flavor: records.Flavor) -> None:
    """Its guests cannot be served, and their addresses are free; the other host's guests can."""
    network = make_network(0, multi_host=True)
    lost, fine = place(flavor, 'lost'), place(flavor, 'one')

    with pytest.raises(exception.ServiceUnavailable):
        allocate(cloud.services['one'], lost, network)
    (vif,) = allocate(cloud.services['one'], fine, network)

    assert vif.network.host == 'one'
    assert db.vifs_of_instances([lost.uuid])[lost.uuid] == ()


def test_a_host_that_is_known_to_be_lost_is_not_waited_for(
    cloud: Cloud, flavor: records.Flavor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call would go to nobody; the database says so."""
    network = make_network(0)
    allocate(cloud.services['two'], stores.store_instance(flavor), network)
    db.service_report('two', 'nova-network')
    instance = stores.store_instance(flavor)
    later = liveness.now() + datetime.timedelta(seconds=61)
    monkeypatch.setattr(liveness, 'now', lambda: later)
    calls = cloud.hosts['two'].calls

    with pytest.raises(exception.ServiceUnavailable, match='on host two'):
        allocate(cloud.services['one'], instance, network)

    assert db.vifs_of_instances([instance.uuid])[instance.uuid] == ()
    # it is told of the end of what was not begun, should it be there after all
    wait_until(lambda: cloud.hosts['two'].calls == calls + 1)


def test_changes_of_the_network_are_followed_by_each_of_its_hosts(
    cloud: Cloud, flavor: records.Flavor
) -> None:
    network = make_network(0, multi_host=True)
    for host in ('one', 'two'):
        allocate(cloud.services[host], place(flavor, host), network)
        cloud.services[host].watch()

    API.modify_network(network.uuid, dns=('192.0.2.53',))
    for service in cloud.services.values():
        service.watch()

    for recorder in cloud.hosts.values():
        (made,) = recorder.networks.values()
        assert made.dhcp.dns == ('192.0.2.53',)


def test_what_a_host_finds_when_it_starts(cloud: Cloud, flavor: records.Flavor) -> None:
    """Addresses of guests that went while its service was down are given back."""
    network = make_network(0, multi_host=True)
    instance = place(flavor, 'two')
    allocate(cloud.services['two'], instance, network)
    db.vifs_deallocate(instance.uuid)

    cloud.services['two'].init_host()

    wait_until(lambda: cloud.hosts['two'].served() == {})
    assert db.network_get(network.uuid).hosts == {}


def test_a_host_with_a_nic_keeps_its_address(cloud: Cloud, flavor: records.Flavor) -> None:
    """Whoever gives it back looks for NICs when nobody can claim it."""
    network = make_network(0, multi_host=True)
    allocate(cloud.services['one'], place(flavor, 'one'), network)

    assert not db.network_host_release(network.uuid, 'one')

    assert list(db.network_get(network.uuid).hosts) == ['one']
    assert db.network_host_release(network.uuid, 'two')


def test_a_network_goes_with_the_addresses_of_its_hosts(
    cloud: Cloud, flavor: records.Flavor, database: session.Database
) -> None:
    network = make_network(0, multi_host=True)
    db.network_host_claim(network.uuid, 'gone', 0)

    API.delete_network(network.uuid)

    assert db.network_list() == ()
    assert db.network_host_release(network.uuid, 'gone')


def test_a_floating_ip_is_where_the_instance_is(cloud: Cloud, flavor: records.Flavor) -> None:
    network = make_network(0, multi_host=True)
    instance = place(flavor, 'two')
    (vif,) = allocate(cloud.services['one'], instance, network)
    allocate(cloud.services['one'], place(flavor, 'one'), network)
    db.floating_ips_create('nova', ['192.0.2.9'])
    held = db.floating_ip_allocate(instance.project_id, 'nova', limit=1)

    db.floating_ip_associate(instance.project_id, held.address, vif.id, vif.addresses[0])
    for service in cloud.services.values():
        service.setup_networks_on_host(CONTEXT, network_uuids=[network.uuid])

    found = {host: [f.address for f in r.reach.floating] for host, r in cloud.hosts.items()}
    assert found == {'one': [], 'two': ['192.0.2.9']}


def test_no_host_is_named_for_a_network_that_every_host_serves(cloud: Cloud) -> None:
    network = make_network(0, multi_host=True)
    with pytest.raises(exception.InvalidInput, match='every host'):
        API.modify_network(network.uuid, host='one')
    with pytest.raises(exception.InvalidInput, match='multi_host'):
        make_network(1, kind='flat', multi_host=True)
