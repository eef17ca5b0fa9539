"""Instances, claims, flavors and services."""

from __future__ import annotations

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.tests import stores

pytestmark = pytest.mark.usefixtures('database')

STATE = records.TaskState


def claim(instance: records.Instance, host: str, vcpus_limit: int = 2) -> bool:
    return db.instance_claim(
        instance.uuid,
        host,
        vcpus=instance.flavor.vcpus,
        memory_mb=instance.flavor.memory_mb,
        disk_gb=instance.flavor.root_gb,
        vcpus_limit=vcpus_limit,
        memory_mb_limit=10000,
        disk_gb_limit=100,
    )


def report(host: str) -> records.ComputeNode:
    return db.compute_node_report(
        host,
        hypervisor_type='QEMU',
        hypervisor_version=7002000,
        vcpus=2,
        memory_mb=4096,
        disk_gb=50,
    )


def test_an_instance_is_what_was_stored() -> None:
    request = (records.RequestedNetwork(network_uuid=stores.new_uuid(), fixed_ip='10.0.0.9'),)
    instance = stores.store_instance(stores.store_flavor(), requested_networks=request)
    assert db.instance_get(instance.uuid) == instance
    assert instance.requested_networks == request
    assert (instance.vm_state, instance.task_state) == ('building', 'scheduling')
    assert instance.name == f'instance-{instance.id:08x}'


def test_another_project_cannot_get_it() -> None:
    instance = stores.store_instance(stores.store_flavor(), project_id='mine')
    assert db.instance_get(instance.uuid, project_id='mine') == instance
    with pytest.raises(exception.InstanceNotFound):
        db.instance_get(instance.uuid, project_id='yours')


def test_lists_are_newest_first_and_paged() -> None:
    flavor, other = stores.store_flavor(), stores.store_flavor('other')
    made = [stores.store_instance(flavor) for _ in range(5)]
    extra = stores.store_instance(other, project_id='project-2')
    newest_first = tuple(reversed(made))
    assert db.instance_list(project_id='project-1') == newest_first
    assert db.instance_list(flavorid=other.flavorid) == (extra,)
    page = db.instance_list(project_id='project-1', marker=made[3].uuid, limit=2)
    assert page == (made[2], made[1])
    with pytest.raises(exception.InstanceNotFound):
        db.instance_list(marker=stores.new_uuid())
    with pytest.raises(exception.InstanceNotFound):
        db.instance_list(project_id='project-1', marker=extra.uuid)


def test_an_update_is_a_compare_and_swap() -> None:
    instance = stores.store_instance(stores.store_flavor())
    db.instance_update(
        instance.uuid, expected_task_state=STATE.SCHEDULING, task_state=STATE.NETWORKING
    )
    with pytest.raises(exception.InstanceInvalidState):
        db.instance_update(instance.uuid, expected_task_state=STATE.SCHEDULING, task_state=None)
    assert db.instance_get(instance.uuid).task_state == STATE.NETWORKING
    with pytest.raises(exception.InstanceNotFound):
        db.instance_update(stores.new_uuid(), task_state=None)


def test_a_fault_puts_the_instance_into_error() -> None:
    instance = stores.store_instance(stores.store_flavor())
    db.instance_set_fault(instance.uuid, code=500, message='why', details='trace')
    stored = db.instance_get(instance.uuid)
    assert stored.vm_state == records.VmState.ERROR
    assert stored.task_state is None
    assert stored.fault is not None
    assert (stored.fault.code, stored.fault.message, stored.fault.details) == (500, 'why', 'trace')
    db.instance_set_fault(stores.new_uuid(), code=500, message='nobody', details='')


def test_claims_stop_at_the_limit_and_are_given_back() -> None:
    report('h')
    flavor = stores.store_flavor()
    first, second, third = (stores.store_instance(flavor) for _ in range(3))
    assert claim(first, 'h')
    assert claim(second, 'h')
    assert not claim(third, 'h')
    assert db.instance_get(third.uuid).host is None
    assert report('h').vcpus_used == 2
    assert db.instance_destroy(first.uuid)
    assert not db.instance_destroy(first.uuid)
    assert claim(third, 'h')
    node = db.compute_node_get('h')
    assert (node.vcpus_used, node.memory_mb_used, node.disk_gb_used, node.instances) == (
        2,
        1024,
        2,
        2,
    )


def test_an_instance_is_claimed_once_and_not_while_it_is_deleted() -> None:
    report('a')
    report('b')
    flavor = stores.store_flavor()
    instance, doomed = stores.store_instance(flavor), stores.store_instance(flavor)
    assert claim(instance, 'a')
    with pytest.raises(exception.InstanceNotFound):
        claim(instance, 'b')
    db.instance_update(doomed.uuid, task_state=STATE.DELETING)
    with pytest.raises(exception.InstanceNotFound):
        claim(doomed, 'b')
    assert db.compute_node_get('b').vcpus_used == 0


def test_only_an_instance_without_host_is_removed_on_the_spot() -> None:
    report('h')
    flavor = stores.store_flavor()
    placed, waiting = stores.store_instance(flavor), stores.store_instance(flavor)
    claim(placed, 'h')
    assert not db.instance_destroy(placed.uuid, only_without_host=True)
    assert db.instance_destroy(waiting.uuid, only_without_host=True)
    assert [instance.uuid for instance in db.instance_list()] == [placed.uuid]


def test_flavors_are_unique_and_sorted_by_size() -> None:
    large = stores.store_flavor('large', memory_mb=4096)
    small = stores.store_flavor('small')
    assert db.flavor_list() == (small, large)
    with pytest.raises(exception.FlavorExists):
        stores.store_flavor('small')
    db.flavor_delete(small.flavorid)
    with pytest.raises(exception.FlavorNotFound):
        db.flavor_get(small.flavorid)
    with pytest.raises(exception.FlavorNotFound):
        db.flavor_delete(small.flavorid)


def test_a_service_has_one_row_however_often_it_reports() -> None:
    db.service_report('h', 'nova-compute')
    (first,) = db.service_list()
    db.service_report('h', 'nova-compute')
    (second,) = db.service_list()
    assert second.id == first.id
    assert second.last_seen_at >= first.last_seen_at
    with pytest.raises(exception.HostNotFound):
        db.compute_node_get('h')


def test_a_disabled_service_says_why_until_it_is_enabled() -> None:
    db.service_report('h', 'nova-compute')
    db.service_set_disabled('h', 'nova-compute', True, 'a fan is broken')
    db.service_report('h', 'nova-compute')
    (service,) = db.service_list()
    assert (service.disabled, service.disabled_reason) == (True, 'a fan is broken')
    enabled = db.service_set_disabled('h', 'nova-compute', False)
    assert (enabled.disabled, enabled.disabled_reason) == (False, None)
    with pytest.raises(exception.ServiceNotFound, match='nova-network on host h'):
        db.service_set_disabled('h', 'nova-network', True)
