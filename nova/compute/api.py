"""What the HTTP layer asks of compute: checks and stores requests, and passes them on.

Authorization is the HTTP layer's; here a project sees its own instances and an administrator all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
import uuid

from nova import context as nova_context
from nova import exception, liveness, quota
from nova.compute import checks, names, ports
from nova.db import api as db
from nova.db import records
from nova.network import model


class API:
    """Instances, flavors and hosts for the HTTP layer."""

    def __init__(
        self,
        *,
        images: ports.Images,
        networks: ports.Networks,
        network_rpc: ports.NetworkRpc,
        compute_rpc: ports.ComputeRpc,
        scheduler_rpc: ports.SchedulerRpc,
        service_down_time_s: int,
        quotas: quota.Quotas | None = None,
    ) -> None:
        self._images = images
        self._networks = networks
        self._network_rpc = network_rpc
        self._compute_rpc = compute_rpc
        self._scheduler_rpc = scheduler_rpc
        self._service_down_time_s = service_down_time_s
        self.quotas = quotas or quota.Quotas()

    # --- instances

    def create(
        self,
        context: nova_context.RequestContext,
        *,
        name: str,
        image_ref: str,
        flavor_ref: str,
        requested_networks: tuple[records.RequestedNetwork, ...] = (),
        min_count: int = 1,
        max_count: int = 1,
        metadata: Mapping[str, str] | None = None,
        key_name: str | None = None,
        user_data: str | None = None,
        config_drive: bool = False,
        availability_zone: str | None = None,
        security_groups: tuple[str, ...] = (),
    ) -> list[records.Instance]:
        """Store ``max_count`` instances, or as many as the project's quotas allow if these are
        ``min_count`` at least, and send them to the scheduler.

        Everything that can be known to be wrong is refused before the first one is stored.

        :param security_groups: the names of those that each NIC is to be in for which
            ``requested_networks`` names none; none means ``default``.

        :returns: the instances, in BUILD.
        :raises FlavorNotFound:
        :raises ImageNotFound:
        :raises ImageUnacceptable: the image is not active, or needs a larger flavor.
        :raises NetworkNotFound:
        :raises SecurityGroupNotFound: ``kwargs['group_id']`` is the name.
        :raises InvalidInput: with the field that is wrong.
        :raises QuotaExceeded: the project may not have so much.
        """
        limits = self.quotas.limits(str(context.project_id))
        flavor = self.flavor_get(context, flavor_ref)
        checks.check_image(self._images.show(context, image_ref), flavor)
        networks = self._networks.validate_requested(context, requested_networks, security_groups)
        checks.check_counts(min_count, max_count, networks)
        checks.check_of_one_server(limits, metadata or {}, networks)
        reservation_id = f'r-{uuid.uuid4().hex[:8]}'
        new = []
        for index, display_name in enumerate(names.build_display_names(name, max_count)):
            instance_uuid = str(uuid.uuid4())
            new.append(
                records.NewInstance(
                    uuid=instance_uuid,
                    project_id=str(context.project_id),
                    user_id=str(context.user_id),
                    display_name=display_name,
                    hostname=names.build_hostname(display_name, instance_uuid),
                    image_ref=image_ref,
                    flavor=flavor,
                    requested_networks=networks,
                    reservation_id=reservation_id,
                    launch_index=index,
                    key_name=key_name,
                    user_data=user_data,
                    config_drive=config_drive,
                    availability_zone=availability_zone,
                    metadata=metadata or {},
                )
            )
        instances = db.instances_create(new, at_least=min_count, limits=limits)
        for instance in instances:
            self._scheduler_rpc.schedule_instance(context, instance_uuid=instance.uuid)
        return list(instances)

    def get(self, context: nova_context.RequestContext, instance_uuid: str) -> records.Instance:
        """:raises InstanceNotFound: also for another project's instance."""
        project_id = None if context.is_admin else context.project_id
        return db.instance_get(instance_uuid, project_id=project_id)

    def list(
        self,
        context: nova_context.RequestContext,
        *,
        filters: Mapping[str, Any] | None = None,
        limit: int | None = None,
        marker: str | None = None,
        all_projects: bool = False,
    ) -> list[records.Instance]:
        """The instances, the newest first.

        :param filters: any of ``name`` (an RE2 regular expression), ``vm_states`` (a sequence),
            ``host``, ``flavor`` (its id), ``image``, ``reservation_id``, ``project_id`` and
            ``uuid``.
        :param marker: uuid of the instance after which the list goes on.
        :raises InvalidInput: a filter is not known or not a regular expression, or the marker is
            not an instance.
        """
        wanted = dict(filters or {})
        name = checks.compile_pattern(wanted.pop('name', None))
        only_uuid = wanted.pop('uuid', None)
        project_id = wanted.pop('project_id', None)
        query = {
            'host': wanted.pop('host', None),
            'vm_states': wanted.pop('vm_states', ()),
            'flavorid': wanted.pop('flavor', None),
            'image_ref': wanted.pop('image', None),
            'reservation_id': wanted.pop('reservation_id', None),
        }
        if wanted:
            raise exception.InvalidInput(field='filter', reason=f'{sorted(wanted)} is not known')
        in_python = name is not None or only_uuid is not None
        try:
            found = db.instance_list(
                project_id=project_id if all_projects else context.project_id,
                marker=marker,
                limit=None if in_python else limit,
                **query,
            )
        except exception.InstanceNotFound as exc:
            raise exception.InvalidInput(field='marker', reason=f'{marker!r} not found') from exc
        fit = [
            instance
            for instance in found
            if (name is None or name.search(instance.display_name))
            and (only_uuid is None or instance.uuid == only_uuid)
        ]
        return fit[:limit]

    def update(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        *,
        display_name: str,
    ) -> records.Instance:
        """Rename the instance; its host name stays what the guest was told."""
        return db.instance_update(instance.uuid, display_name=display_name)

    def delete(self, context: nova_context.RequestContext, instance: records.Instance) -> None:
        """Start the deletion; deleting what is being deleted asks again.

        :raises InstanceIsLocked: it is locked and the caller is no administrator.
        """
        _check_unlocked(context, instance)
        instance = db.instance_update(instance.uuid, task_state=records.TaskState.DELETING)
        if instance.host is None:
            # it was never placed, and DELETING keeps the scheduler from placing it now
            self._network_rpc.deallocate_for_instance(context, instance_uuid=instance.uuid)
            db.instance_destroy(instance.uuid, only_without_host=True)
            return
        self._compute_rpc.terminate_instance(
            context, host=instance.host, instance_uuid=instance.uuid
        )

    # --- NICs of an instance

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        *,
        network: str | None = None,
        fixed_ip: str | None = None,
        security_groups: tuple[str, ...] = (),
    ) -> model.VIF:
        """Give the instance one more NIC, after all that it ever had.

        :param network: its uuid, or a label that only one of the project's networks has; None: the
            only network that the project may use.
        :param security_groups: names or uuids of those that the NIC is to be in; none: ``default``.
        :raises InstanceIsLocked:
        :raises InstanceInvalidState: it has no guest yet, or something is being done to it.
        :raises NetworkNotFound:
        :raises InvalidInput: it is not clear which network is meant.
        :raises SecurityGroupNotFound:
        :raises QuotaExceeded: and what else an allocation raises.
        """
        host = _check_changeable(context, instance, 'attach_interface')
        requested = self._networks.choose_network(
            instance.project_id, network, fixed_ip, security_groups
        )
        return self._compute_rpc.attach_interface(
            context, host=host, instance_uuid=instance.uuid, requested_network=requested
        )

    def detach_interface(
        self, context: nova_context.RequestContext, instance: records.Instance, vif_id: str
    ) -> None:
        """Start taking a NIC out. It is gone when the guest has let go of it; until then its
        state is DETACHING. Asking again is no error.

        :raises InstanceIsLocked:
        :raises InstanceInvalidState:
        :raises VifNotFound:
        """
        host = _check_changeable(context, instance, 'detach_interface')
        if vif_id not in {vif.id for vif in self._vifs(instance)}:
            raise exception.VifNotFound(vif_id=vif_id)
        self._compute_rpc.detach_interface(
            context, host=host, instance_uuid=instance.uuid, vif_id=vif_id
        )

    def add_fixed_ip(
        self, context: nova_context.RequestContext, instance: records.Instance, network: str
    ) -> model.VIF:
        """Give the first NIC that the instance has on a network one more address.

        :param network: as for :meth:`attach_interface`.
        :raises InvalidInput: no NIC of the instance is on that network.
        :raises InstanceIsLocked:
        :raises InstanceInvalidState:
        :raises NetworkNotFound:
        :raises NoMoreFixedIps:
        """
        host = _check_changeable(context, instance, 'add_fixed_ip')
        uuid = self._networks.choose_network(instance.project_id, network, None).network_uuid
        for vif in self._vifs(instance):
            if vif.network.id == uuid and vif.state is model.VifState.ACTIVE:
                return self._compute_rpc.add_fixed_ip(
                    context, host=host, instance_uuid=instance.uuid, vif_id=vif.id
                )
        raise exception.InvalidInput(
            field='networkId', reason=f'the server has no interface on network {network}'
        )

    def remove_fixed_ip(
        self, context: nova_context.RequestContext, instance: records.Instance, address: str
    ) -> model.VIF:
        """Take an address from the NIC that has it.

        :raises InvalidInput: no NIC of the instance has it.
        :raises Conflict: it is the only address of its NIC.
        :raises InstanceIsLocked:
        :raises InstanceInvalidState:
        """
        host = _check_changeable(context, instance, 'remove_fixed_ip')
        for vif in self._vifs(instance):
            if address in vif.addresses:
                return self._compute_rpc.remove_fixed_ip(
                    context,
                    host=host,
                    instance_uuid=instance.uuid,
                    vif_id=vif.id,
                    address=address,
                )
        raise exception.InvalidInput(
            field='address', reason=f'no interface of the server has {address}'
        )

    def _vifs(self, instance: records.Instance) -> Iterable[model.VIF]:
        return self._networks.network_infos([instance.uuid])[instance.uuid]

    # --- power

    def stop(self, context: nova_context.RequestContext, instance: records.Instance) -> None:
        """Start stopping the guest.

        :raises InstanceIsLocked:
        :raises InstanceInvalidState: it does not run, or something is being done to it.
        """
        host = self._begin(
            context, instance, 'stop', (records.VmState.ACTIVE,), records.TaskState.POWERING_OFF
        )
        self._compute_rpc.stop_instance(context, host=host, instance_uuid=instance.uuid)

    def start(self, context: nova_context.RequestContext, instance: records.Instance) -> None:
        """Start the stopped guest again.

        :raises InstanceIsLocked:
        :raises InstanceInvalidState: it is not stopped, or something is being done to it.
        """
        host = self._begin(
            context, instance, 'start', (records.VmState.STOPPED,), records.TaskState.POWERING_ON
        )
        self._compute_rpc.start_instance(context, host=host, instance_uuid=instance.uuid)

    def reboot(
        self, context: nova_context.RequestContext, instance: records.Instance, *, hard: bool
    ) -> None:
        """Let the guest be stopped and started again.

        :param hard: do not ask the guest to shut down; it may be stopped already.
        :raises InstanceIsLocked:
        :raises InstanceInvalidState:
        """
        task = records.TaskState.REBOOTING_HARD if hard else records.TaskState.REBOOTING
        states = (records.VmState.ACTIVE, records.VmState.STOPPED)[: 2 if hard else 1]
        host = self._begin(context, instance, 'reboot', states, task)
        self._compute_rpc.reboot_instance(
            context, host=host, instance_uuid=instance.uuid, hard=hard
        )

    def _begin(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        method: str,
        states: tuple[records.VmState, ...],
        task: records.TaskState,
    ) -> str:
        """Note what is to be done, if nothing else is; returns the instance's host."""
        host = _check_changeable(context, instance, method)
        if instance.vm_state not in states:
            raise exception.InstanceInvalidState(
                method=method, instance_id=instance.uuid, state=instance.vm_state
            )
        db.instance_update(instance.uuid, expected_task_state=None, task_state=task)
        return host

    def get_console_output(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        length: int | None = None,
    ) -> str:
        """The last ``length`` lines of the console log, or all that is kept.

        :raises ConsoleNotAvailable: the instance has none yet.
        """
        if instance.host is None:
            raise exception.ConsoleNotAvailable(instance_id=instance.uuid)
        output = self._compute_rpc.get_console_output(
            context, host=instance.host, instance_uuid=instance.uuid
        )
        if length is None or length < 0:
            return output
        return ''.join(output.splitlines(keepends=True)[-length:]) if length else ''

    # --- flavors

    def flavor_list(self, context: nova_context.RequestContext) -> tuple[records.Flavor, ...]:
        """All flavors; to others than administrators, the public ones."""
        return tuple(f for f in db.flavor_list() if f.is_public or context.is_admin)

    def flavor_get(self, context: nova_context.RequestContext, flavorid: str) -> records.Flavor:
        """:raises FlavorNotFound:"""
        flavor = db.flavor_get(flavorid)
        if not flavor.is_public and not context.is_admin:
            raise exception.FlavorNotFound(flavor_id=flavorid)
        return flavor

    def flavor_create(
        self,
        context: nova_context.RequestContext,
        *,
        flavorid: str | None,
        name: str,
        memory_mb: int,
        vcpus: int,
        root_gb: int,
        ephemeral_gb: int = 0,
        swap_mb: int = 0,
        is_public: bool = True,
    ) -> records.Flavor:
        """:raises FlavorExists:"""
        return db.flavor_create(
            flavorid=flavorid or str(uuid.uuid4()),
            name=name,
            memory_mb=memory_mb,
            vcpus=vcpus,
            root_gb=root_gb,
            ephemeral_gb=ephemeral_gb,
            swap_mb=swap_mb,
            is_public=is_public,
        )

    def flavor_delete(self, context: nova_context.RequestContext, flavorid: str) -> None:
        """:raises FlavorNotFound:"""
        db.flavor_delete(flavorid)

    # --- hosts

    def service_list(self, context: nova_context.RequestContext) -> tuple[records.Service, ...]:
        return db.service_list()

    def is_up(self, service: records.Service) -> bool:
        return liveness.is_up(service, liveness.now(), self._service_down_time_s)

    def compute_node_list(
        self, context: nova_context.RequestContext
    ) -> tuple[records.ComputeNode, ...]:
        return db.compute_node_list()


def _check_unlocked(context: nova_context.RequestContext, instance: records.Instance) -> None:
    if instance.locked and not context.is_admin:
        raise exception.InstanceIsLocked(instance_id=instance.uuid)


def _check_changeable(
    context: nova_context.RequestContext, instance: records.Instance, method: str
) -> str:
    """The host of an instance that has a guest, to which nothing is being done."""
    _check_unlocked(context, instance)
    settled = instance.vm_state in (records.VmState.ACTIVE, records.VmState.STOPPED)
    if not settled or instance.task_state is not None or instance.host is None:
        raise exception.InstanceInvalidState(
            method=method,
            instance_id=instance.uuid,
            state=instance.task_state or instance.vm_state,
        )
    return instance.host
