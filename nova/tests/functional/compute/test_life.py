"""From the request to the guest and back, through the API object, the scheduler and the compute
manager; the hypervisor, the image service and the network service are stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import threading
import time
from typing import Any

import pytest

from nova import context as nova_context
from nova import exception, quota, rpc
from nova.compute import api as compute_api
from nova.compute import manager as compute_manager
from nova.compute import rpcapi as compute_rpcapi
from nova.db import api as db
from nova.db import records
from nova.network import model, security_groups
from nova.scheduler import manager as scheduler_manager
from nova.scheduler import placing
from nova.scheduler import rpcapi as scheduler_rpcapi
from nova.tests import stores
from nova.virt import fake

pytestmark = pytest.mark.usefixtures('database')

HOST = 'host-1'
CONTEXT = nova_context.RequestContext(user_id='u', project_id='p', roles=['member'])
STATE = records.VmState


@dataclasses.dataclass
class Image:
    id: str
    status: str = 'active'
    min_ram_mb: int = 0
    min_disk_gb: int = 0


class Images:
    def __init__(self) -> None:
        self.image = Image(stores.new_uuid())

    def show(self, context: nova_context.RequestContext, image_id: str) -> Image:
        if image_id != self.image.id:
            raise exception.ImageNotFound(image_id=image_id)
        return self.image


class Networks:
    """Gives an instance a NIC for each network that it asked for; counts what is held."""

    def __init__(self) -> None:
        self.held: dict[str, model.NetworkInfo] = {}
        self.fail: Exception | None = None
        self.on_allocate: Callable[[], None] = lambda: None

    def validate_requested(
        self,
        context: nova_context.RequestContext,
        requested: tuple[records.RequestedNetwork, ...],
        security_groups_asked: tuple[str, ...],
    ) -> tuple[records.RequestedNetwork, ...]:
        return requested

    def allocate_for_instance(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_networks: tuple[records.RequestedNetwork, ...],
        host: str,
    ) -> model.NetworkInfo:
        if self.fail is not None:
            raise self.fail
        self.on_allocate()
        vifs = tuple(
            model.VIF(
                id=stores.new_uuid(),
                index=index,
                mac=f'fa:16:3e:00:00:{index:02x}',
                network=model.Network(
                    id=wanted.network_uuid,
                    label=f'net-{index}',
                    kind=model.NetworkKind.FLAT_DHCP,
                    bridge=f'br{index}',
                ),
                addresses=(f'10.{index}.0.2',),
            )
            for index, wanted in enumerate(requested_networks)
        )
        self.held[instance_uuid] = model.NetworkInfo(vifs)
        return self.held[instance_uuid]

    def deallocate_for_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None:
        self.held.pop(instance_uuid, None)

    # NICs that come and go are for ../api/test_plugging.py.

    def choose_network(
        self,
        project_id: str,
        network: str | None,
        fixed_ip: str | None,
        security_groups_asked: tuple[str, ...] = (),
    ) -> records.RequestedNetwork:
        raise AssertionError

    def attach_interface(self, context: nova_context.RequestContext, **_: Any) -> model.VIF:
        raise AssertionError

    def detach_interface(self, context: nova_context.RequestContext, *, vif_id: str) -> None:
        raise AssertionError

    def add_fixed_ip(self, context: nova_context.RequestContext, *, vif_id: str) -> model.VIF:
        raise AssertionError

    def remove_fixed_ip(
        self, context: nova_context.RequestContext, *, vif_id: str, address: str
    ) -> model.VIF:
        raise AssertionError

    def network_infos(self, instance_uuids: Sequence[str]) -> dict[str, model.NetworkInfo]:
        return {uuid: self.held.get(uuid, model.NetworkInfo()) for uuid in instance_uuids}


@dataclasses.dataclass
class Cloud:
    """One host's services in this process."""

    driver: fake.FakeDriver
    networks: Networks
    images: Images
    compute: compute_manager.ComputeManager
    api: compute_api.API

    def create(self, **kwargs: object) -> records.Instance:
        arguments = {
            'name': 'demo',
            'image_ref': self.images.image.id,
            'flavor_ref': 'id-of-small',
            'requested_networks': tuple(
                records.RequestedNetwork(network_uuid=stores.new_uuid()) for _ in range(2)
            ),
        }
        (instance,) = self.api.create(CONTEXT, **(arguments | kwargs))  # type: ignore[arg-type]
        return instance

    def is_clean(self) -> bool:
        return not self.driver.guests and not self.networks.held


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, 'it did not happen within 10 s'
        time.sleep(0.01)


def is_settled(instance: records.Instance) -> bool:
    return db.instance_get(instance.uuid).task_state is None


def is_gone(instance: records.Instance) -> bool:
    return instance.uuid not in {i.uuid for i in db.instance_list()}


@pytest.fixture
def cloud(local_services: rpc.Local) -> Cloud:
    stores.store_flavor('small')
    driver, networks, images = fake.FakeDriver(), Networks(), Images()
    compute = compute_manager.ComputeManager(
        host=HOST,
        driver=driver,
        network=networks,
        network_reads=networks,
        groups=security_groups.API(
            quotas=quota.Quotas(),
            refresh=compute_rpcapi.ComputeAPI().refresh_security_groups,
        ),
        console_log_max_bytes=10_000,
        reserved_host_memory_mb=512,
        detach_timeout_s=1,
        shutdown_timeout_s=1,
        max_nics=16,
    )
    scheduler = scheduler_manager.SchedulerManager(
        compute=compute_rpcapi.ComputeAPI(),
        ratios=placing.Ratios(cpu=1.0, ram=1.0, disk=1.0),
        service_down_time_s=60,
        max_attempts=3,
    )
    local_services.add(compute_rpcapi.TOPIC, HOST, compute)
    local_services.add(scheduler_rpcapi.TOPIC, HOST, scheduler)
    api = compute_api.API(
        images=images,
        networks=networks,
        network_rpc=networks,
        compute_rpc=compute_rpcapi.ComputeAPI(),
        scheduler_rpc=scheduler_rpcapi.SchedulerAPI(),
        service_down_time_s=60,
    )
    compute.init_host()
    db.service_report(HOST, 'nova-compute')
    return Cloud(driver, networks, images, compute, api)


def test_a_boot_and_a_delete(cloud: Cloud) -> None:
    created = cloud.create()
    assert (created.vm_state, created.task_state) == ('building', 'scheduling')
    wait_until(lambda: is_settled(created))
    instance = cloud.api.get(CONTEXT, created.uuid)
    assert (instance.vm_state, instance.host) == (STATE.ACTIVE, HOST)
    assert instance.power_state == records.PowerState.RUNNING
    assert instance.launched_at is not None
    spawned, network_info = cloud.driver.guests[created.uuid]
    assert spawned.uuid == created.uuid
    assert [vif.network.id for vif in network_info] == [
        wanted.network_uuid for wanted in created.requested_networks
    ]
    assert 'tap' in cloud.api.get_console_output(CONTEXT, instance)
    assert cloud.api.get_console_output(CONTEXT, instance, 1).count('\n') == 1
    cloud.api.delete(CONTEXT, instance)
    wait_until(lambda: is_gone(created))
    assert cloud.is_clean()
    assert db.compute_node_get(HOST).instances == 0


@pytest.mark.parametrize(
    ('field', 'value', 'error'),
    [
        ('flavor_ref', 'nope', exception.FlavorNotFound),
        ('image_ref', 'nope', exception.ImageNotFound),
        ('min_count', 2, exception.InvalidInput),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_stored(
    cloud: Cloud, field: str, value: object, error: type[exception.NovaException]
) -> None:
    with pytest.raises(error):
        cloud.create(**{field: value})
    assert db.instance_list() == ()


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'status': 'queued'}, 'queued'),
        ({'min_ram_mb': 1000}, '1000 MiB'),
        ({'min_disk_gb': 20}, '20 GiB'),
    ],
)
def test_an_image_that_cannot_boot_is_refused(
    cloud: Cloud, change: dict[str, object], reason: str
) -> None:
    cloud.images.image = dataclasses.replace(cloud.images.image, **change)  # type: ignore[arg-type]
    with pytest.raises(exception.ImageUnacceptable, match=reason):
        cloud.create()
    assert db.instance_list() == ()


def test_several_servers_are_numbered_and_cannot_share_a_fixed_ip(cloud: Cloud) -> None:
    wanted = (records.RequestedNetwork(network_uuid=stores.new_uuid(), fixed_ip='10.0.0.5'),)
    with pytest.raises(exception.InvalidInput, match='fixed_ip'):
        cloud.create(requested_networks=wanted, max_count=2)
    made = cloud.api.create(
        CONTEXT,
        name='web',
        image_ref=cloud.images.image.id,
        flavor_ref='id-of-small',
        max_count=2,
    )
    assert [instance.display_name for instance in made] == ['web-1', 'web-2']
    assert len({instance.reservation_id for instance in made}) == 1
    for instance in made:
        wait_until(lambda instance=instance: is_settled(instance))  # type: ignore[misc]


def test_without_a_host_the_instance_says_why_and_can_be_deleted(cloud: Cloud) -> None:
    stores.store_flavor('huge', memory_mb=10**6)
    created = cloud.create(flavor_ref='id-of-huge')
    wait_until(lambda: is_settled(created))
    instance = db.instance_get(created.uuid)
    assert (instance.vm_state, instance.host) == (STATE.ERROR, None)
    assert instance.fault is not None
    assert instance.fault.message == 'No valid host was found.'
    assert '0 with: enough memory' in instance.fault.details
    cloud.api.delete(CONTEXT, instance)
    assert is_gone(created)


@pytest.mark.parametrize('where', ['network', 'hypervisor'])
def test_a_failed_build_leaves_nothing_and_says_why(cloud: Cloud, where: str) -> None:
    if where == 'network':
        cloud.networks.fail = exception.NoMoreFixedIps(network='narrow')
    else:
        cloud.driver.fail_spawn = exception.HypervisorError(action='start', reason='no narrow bus')
    created = cloud.create()
    wait_until(lambda: is_settled(created))
    instance = db.instance_get(created.uuid)
    assert instance.vm_state == STATE.ERROR
    assert instance.fault is not None
    assert 'narrow' in instance.fault.message
    assert 'Traceback' in instance.fault.details
    assert cloud.is_clean()
    cloud.api.delete(CONTEXT, instance)
    wait_until(lambda: is_gone(created))
    assert db.compute_node_get(HOST).instances == 0


def test_a_defect_of_ours_is_not_told_to_the_tenant(cloud: Cloud) -> None:
    cloud.driver.fail_spawn = KeyError('secret of the operator')
    created = cloud.create()
    wait_until(lambda: is_settled(created))
    fault = db.instance_get(created.uuid).fault
    assert fault is not None
    assert 'secret' not in fault.message
    assert 'secret' in fault.details
    assert cloud.is_clean()


def test_a_delete_during_the_build_wins(cloud: Cloud) -> None:
    started, may_go_on = threading.Event(), threading.Event()

    def pause() -> None:
        started.set()
        assert may_go_on.wait(10)

    cloud.networks.on_allocate = pause
    created = cloud.create()
    assert started.wait(10)
    cloud.api.delete(CONTEXT, created)
    may_go_on.set()
    wait_until(lambda: is_gone(created))
    assert cloud.is_clean()
    assert db.compute_node_get(HOST).instances == 0


def test_a_delete_that_fails_can_be_repeated(cloud: Cloud) -> None:
    created = cloud.create()
    wait_until(lambda: is_settled(created))
    cloud.driver.fail_destroy = exception.HypervisorError(action='destroy', reason='busy')
    cloud.api.delete(CONTEXT, created)
    wait_until(lambda: db.instance_get(created.uuid).vm_state == STATE.ERROR)
    assert created.uuid in cloud.networks.held
    cloud.driver.fail_destroy = None
    cloud.api.delete(CONTEXT, db.instance_get(created.uuid))
    wait_until(lambda: is_gone(created))
    assert cloud.is_clean()


def test_another_project_neither_sees_nor_lists_it(cloud: Cloud) -> None:
    created = cloud.create()
    stranger = nova_context.RequestContext(user_id='x', project_id='q', roles=['member'])
    with pytest.raises(exception.InstanceNotFound):
        cloud.api.get(stranger, created.uuid)
    assert cloud.api.list(stranger) == []
    wait_until(lambda: is_settled(created))


def test_lists_are_filtered(cloud: Cloud) -> None:
    first, second = cloud.create(name='web-1'), cloud.create(name='db-1')
    listed = cloud.api.list
    assert [i.uuid for i in listed(CONTEXT)] == [second.uuid, first.uuid]
    assert [i.uuid for i in listed(CONTEXT, filters={'name': '^web'})] == [first.uuid]
    assert [i.uuid for i in listed(CONTEXT, filters={'uuid': first.uuid})] == [first.uuid]
    assert [i.uuid for i in listed(CONTEXT, marker=second.uuid)] == [first.uuid]
    for wrong in ({'name': '('}, {'colour': 'red'}):
        with pytest.raises(exception.InvalidInput):
            listed(CONTEXT, filters=wrong)
    with pytest.raises(exception.InvalidInput, match='marker'):
        listed(CONTEXT, marker=stores.new_uuid())
    for instance in (first, second):
        wait_until(lambda instance=instance: is_settled(instance))  # type: ignore[misc]


def test_a_restart_finishes_deletes_and_gives_up_builds(cloud: Cloud) -> None:
    flavor = db.flavor_get('id-of-small')
    building, deleting = stores.store_instance(flavor), stores.store_instance(flavor)
    for instance, state in (
        (building, records.TaskState.SPAWNING),
        (deleting, records.TaskState.DELETING),
    ):
        db.instance_update(instance.uuid, host=HOST, task_state=state)
    cloud.compute.init_host()
    assert is_gone(deleting)
    abandoned = db.instance_get(building.uuid)
    assert (abandoned.vm_state, abandoned.task_state) == (STATE.ERROR, None)
    assert abandoned.fault is not None
    assert 'interrupted' in abandoned.fault.message
