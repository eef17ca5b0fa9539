"""NICs and addresses that come and go: quarantine, and the default route."""

from __future__ import annotations

import dataclasses

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.tests import stores

pytestmark = pytest.mark.usefixtures('database')


def boot(*networks: records.Network) -> records.Instance:
    instance = stores.store_instance(stores.store_flavor(f'for-{stores.new_uuid()}'))
    db.vifs_allocate(instance.uuid, stores.build_nics(*networks), 0)
    return instance


def vifs_of(instance: records.Instance) -> tuple[records.Vif, ...]:
    return db.vifs_of_instances([instance.uuid])[instance.uuid]


def test_an_address_that_was_taken_from_a_nic_waits() -> None:
    """However it was freed, and whoever asks for any."""
    network = stores.store_network('10.1.0.0/29')
    keeper, other = boot(network), boot(network)
    (vif,) = vifs_of(keeper)
    while True:  # all of the range
        try:
            vif = db.vif_add_address(vif.uuid, 0)
        except exception.NoMoreFixedIps:
            break
    db.vif_remove_address(vif.uuid, vif.addresses[-1])
    (nic,) = stores.build_nics(network)

    with pytest.raises(exception.NoMoreFixedIps):
        db.vif_add_address(vif.uuid, 60)
    with pytest.raises(exception.NoMoreFixedIps):
        db.vif_attach(other.uuid, nic, 60, max_nics=16)
    attached = db.vif_attach(other.uuid, nic, 0, max_nics=16)
    assert attached.addresses == (vif.addresses[-1],)
    db.vif_free(attached.uuid)
    with pytest.raises(exception.NoMoreFixedIps):
        db.vif_add_address(vif.uuid, 60)


def test_one_nic_has_the_default_route_and_it_can_be_another() -> None:
    instance = boot(*(stores.store_network(f'10.{n}.0.0/29') for n in range(3)))
    stranger = boot(stores.store_network('10.9.0.0/29'))
    chosen = vifs_of(instance)[2]

    for _ in range(2):
        assert db.vif_set_default_route(chosen.uuid).default_route

    assert [vif.default_route for vif in vifs_of(instance)] == [False, False, True]
    assert [vif.default_route for vif in vifs_of(stranger)] == [True]


def test_the_default_route_is_for_nics_that_lead_somewhere() -> None:
    new, addresses = stores.build_network('10.2.0.0/29')
    closed = db.network_create(
        dataclasses.replace(new, gateway=None), addresses, lambda _others: None
    )
    instance = boot(stores.store_network('10.1.0.0/29'), closed)

    with pytest.raises(exception.InvalidInput, match='no IPv4 gateway'):
        db.vif_set_default_route(vifs_of(instance)[1].uuid)
    with pytest.raises(exception.VifNotFound):
        db.vif_set_default_route(stores.new_uuid())

    assert [vif.default_route for vif in vifs_of(instance)] == [True, False]
