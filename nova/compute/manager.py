"""The compute service: the life of the instances of one host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
import contextlib
import dataclasses
import traceback
from typing import Protocol

import netaddr
from oslo_concurrency import lockutils
from oslo_log import log

from nova import context as nova_context
from nova import exception, liveness
from nova.db import api as db
from nova.db import records
from nova.network import model, security_groups
from nova.virt import driver as virt_driver

LOG = log.getLogger(__name__)

_GROUPS_LOCK = 'security-groups'

_INTERRUPTED = (records.TaskState.NETWORKING, records.TaskState.SPAWNING)
_POWER_TASKS = (
    records.TaskState.POWERING_OFF,
    records.TaskState.POWERING_ON,
    records.TaskState.REBOOTING,
    records.TaskState.REBOOTING_HARD,
)


class NetworkRpc(Protocol):
    """What a compute host asks of the network service."""

    def allocate_for_instance(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_networks: tuple[records.RequestedNetwork, ...],
        host: str,
    ) -> model.NetworkInfo: ...

    def deallocate_for_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None: ...

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_network: records.RequestedNetwork,
        max_nics: int,
    ) -> model.VIF: ...

    def detach_interface(self, context: nova_context.RequestContext, *, vif_id: str) -> None: ...

    def add_fixed_ip(self, context: nova_context.RequestContext, *, vif_id: str) -> model.VIF: ...

    def remove_fixed_ip(
        self, context: nova_context.RequestContext, *, vif_id: str, address: str
    ) -> model.VIF: ...


class NetworkReads(Protocol):
    """What is known of NICs without asking the network service."""

    def network_infos(self, instance_uuids: list[str]) -> dict[str, model.NetworkInfo]: ...


class Groups(Protocol):
    """What is known of security groups, and who else has to hear of a change."""

    def announce(
        self,
        context: nova_context.RequestContext,
        group_uuids: Iterable[str],
        *,
        but: str | None = ...,
    ) -> None: ...


class ComputeManager:
    """One host's instances.

    Whatever is done to an instance is done under its lock, so that a delete that comes during a
    build waits for it to end. Every step compares the task state it expects, so that a build finds
    out that its instance is being deleted and undoes itself.

    :param host: this host's name.
    :param console_log_max_bytes: the most of a console log that one call returns.
    :param detach_timeout_s: how long a guest may take to let go of a NIC.
    :param shutdown_timeout_s: how long a guest may take to shut down by itself.
    :param max_nics: the most NICs that an instance may have.
    """

    def __init__(
        self,
        *,
        host: str,
        driver: virt_driver.ComputeDriver,
        network: NetworkRpc,
        network_reads: NetworkReads,
        groups: Groups,
        console_log_max_bytes: int,
        reserved_host_memory_mb: int,
        detach_timeout_s: float,
        shutdown_timeout_s: float,
        max_nics: int,
    ) -> None:
        self._host = host
        self._driver = driver
        self._network = network
        self._network_reads = network_reads
        self._groups = groups
        self._console_log_max_bytes = console_log_max_bytes
        self._reserved_host_memory_mb = reserved_host_memory_mb
        self._detach_timeout_s = detach_timeout_s
        self._shutdown_timeout_s = shutdown_timeout_s
        self._max_nics = max_nics

    # --- the service's life

    def init_host(self) -> None:
        """Called once before any call is taken: finish what a stop of the service cut short."""
        self._driver.init_host(self._host)
        # first of all, so that no other change finds the driver without what is there
        self.refresh_security_groups(nova_context.service_context(), group_uuids=())
        self.report_resources()
        context = nova_context.service_context()
        for instance in db.instance_list(host=self._host):
            if instance.task_state == records.TaskState.DELETING:
                self.terminate_instance(context, instance_uuid=instance.uuid)
            elif instance.task_state in _INTERRUPTED:
                self._abandon(context, instance)
            elif instance.task_state in _POWER_TASKS:
                self._settle(instance.uuid, instance.task_state)
        self.tidy()
        self._leave_bridges()

    def tidy(self) -> None:
        """Finish what guests were asked for and had not done when the call ended: called now and
        then. A NIC whose attaching was cut short is taken out, and one that its guest has let go
        of meanwhile is freed."""
        context = nova_context.service_context()
        for found in db.vifs_unsettled(self._host):
            with lockutils.lock(found.instance_uuid):
                self._tidy_one(context, found)

    def _tidy_one(self, context: nova_context.RequestContext, found: records.Vif) -> None:
        try:
            if db.vif_get(found.uuid).state is model.VifState.ACTIVE:
                return  # it was still being attached when the list was made
            instance = db.instance_get(found.instance_uuid)
            vif = self._vif(instance.uuid, found.uuid)
            self._release(context, instance, vif, timeout_s=0)
        except exception.NotFound:
            return
        except exception.NovaException:
            # protects the other NICs; it is tried again
            LOG.exception('NIC %s of %s could not be freed', found.uuid, found.instance_uuid)

    def reconcile(self) -> None:
        """Called from time to time."""
        self.report_resources()
        self.tidy()
        self._leave_bridges()
        # a message about a group may have been lost, and somebody may have flushed our rules
        self._refresh_firewall(repair=True)

    def report_resources(self) -> None:
        """Store what this host has."""
        resources = self._driver.host_resources()
        db.compute_node_report(
            self._host,
            hypervisor_type=resources.hypervisor_type,
            hypervisor_version=resources.hypervisor_version,
            vcpus=resources.vcpus,
            memory_mb=max(resources.memory_mb - self._reserved_host_memory_mb, 0),
            disk_gb=resources.disk_gb,
        )

    def _abandon(self, context: nova_context.RequestContext, instance: records.Instance) -> None:
        """Clean up after a build that the last stop of this service interrupted."""
        LOG.warning('the build of %s was interrupted', instance.uuid)
        try:
            self._driver.destroy(instance, self._network_info(instance.uuid))
            self._deallocate(context, instance.uuid)
        except exception.NovaException:
            # protects the other instances' recovery; a delete of this one tries again
            LOG.exception('%s could not be cleaned up', instance.uuid)
        db.instance_set_fault(
            instance.uuid,
            code=500,
            message='The build was interrupted by a restart of the compute service.',
            details='',
        )

    # --- calls

    def build_instance(self, context: nova_context.RequestContext, *, instance_uuid: str) -> None:
        """Give the instance its NICs and start its guest.

        On failure nothing of it is left on the host or in the networks, and the instance is in
        ERROR with the reason as its fault.
        """
        with lockutils.lock(instance_uuid):
            try:
                self._build(context, instance_uuid)
            except (exception.InstanceNotFound, exception.InstanceInvalidState) as exc:
                LOG.info('the build of %s was given up: %s', instance_uuid, exc.message)
            except exception.NovaException as exc:
                self._fail(instance_uuid, exc.code, _visible_text(exc))
            except Exception:
                # protects the tenant, who would otherwise wait for a BUILD that has ended
                self._fail(instance_uuid, 500, 'The build failed on the compute host.')

    def _build(self, context: nova_context.RequestContext, instance_uuid: str) -> None:
        state = records.TaskState
        instance = db.instance_update(
            instance_uuid, expected_task_state=state.SCHEDULING, task_state=state.NETWORKING
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self._deallocate, context, instance_uuid)
            network_info = self._network.allocate_for_instance(
                context,
                instance_uuid=instance.uuid,
                project_id=instance.project_id,
                requested_networks=instance.requested_networks,
                host=self._host,
            )
            instance = db.instance_update(
                instance_uuid, expected_task_state=state.NETWORKING, task_state=state.SPAWNING
            )
            undo.callback(self._driver.destroy, instance, network_info)
            joined = security_groups.groups_of_vifs(network_info)
            # before the first frame: the host knows these groups, others let the new NICs in
            self.refresh_security_groups(context, group_uuids=joined)
            self._groups.announce(context, joined, but=self._host)
            self._driver.spawn(instance, network_info)
            db.instance_update(
                instance_uuid,
                expected_task_state=state.SPAWNING,
                task_state=None,
                vm_state=records.VmState.ACTIVE,
                power_state=self._driver.power_state(instance),
                launched_at=liveness.now(),
            )
            undo.pop_all()
        LOG.info('%s runs with %d NIC(s)', instance_uuid, len(network_info))

    def _fail(self, instance_uuid: str, code: int, message: str) -> None:
        LOG.exception('%s could not be built', instance_uuid)
        try:
            if db.instance_get(instance_uuid).task_state == records.TaskState.DELETING:
                return  # the delete that waits for our lock will take it from here
        except exception.InstanceNotFound:
            return
        db.instance_set_fault(
            instance_uuid, code=code, message=message, details=traceback.format_exc()
        )

    def terminate_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None:
        """Remove the instance and everything made for it; one that is gone is no error."""
        with lockutils.lock(instance_uuid):
            try:
                instance = db.instance_get(instance_uuid)
                self._driver.destroy(instance, self._network_info(instance_uuid))
                self._deallocate(context, instance_uuid)
                db.instance_destroy(instance_uuid)
            except exception.InstanceNotFound:
                LOG.info('%s is gone already', instance_uuid)
            except exception.NovaException as exc:
                self._fail_delete(instance_uuid, exc)

    def _fail_delete(self, instance_uuid: str, exc: exception.NovaException) -> None:
        """A delete that failed leaves an instance in ERROR, which can be deleted again."""
        LOG.exception('%s could not be deleted', instance_uuid)
        db.instance_set_fault(
            instance_uuid,
            code=exc.code,
            message=_visible_text(exc),
            details=traceback.format_exc(),
        )

    def refresh_security_groups(
        self, context: nova_context.RequestContext, *, group_uuids: tuple[str, ...]
    ) -> None:
        """Have this host's NICs follow their groups as they are in the database now, and store what
        is in force on each. The database is read, not the message: one that comes late or twice
        does no harm."""
        applied = self._refresh_firewall()
        LOG.debug('security groups %s: %d NIC(s) follow', group_uuids, applied)

    def _refresh_firewall(self, *, repair: bool = False) -> int:
        with lockutils.lock(_GROUPS_LOCK):
            names = {i.uuid: i.name for i in db.instance_list(host=self._host)}
            infos = self._network_reads.network_infos(list(names))
            vifs = [vif for info in infos.values() for vif in info]
            state = db.security_groups_state(security_groups.groups_of_vifs(vifs))
            guests = {names[uuid]: info for uuid, info in infos.items() if len(info)}
            ruleset = security_groups.build_ruleset(state)
            applied = self._driver.apply_security_groups(guests, ruleset, repair=repair)
            db.vifs_set_firewall_revision(
                {v.id: state.revision_of(v.security_groups) for v in vifs if v.id in applied}
            )
        return len(applied)

    # --- NICs

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        requested_network: records.RequestedNetwork,
    ) -> model.VIF:
        """Give the instance one more NIC, and plug it into its guest. When it raises, the instance
        has what it had.

        :raises InstanceInvalidState: the instance is not there yet, or something is being done.
        :raises QuotaExceeded: it has all NICs that it may have.
        :raises HypervisorError: and what else the driver and the network service raise.
        """
        with lockutils.lock(instance_uuid):
            instance = _check_settled(db.instance_get(instance_uuid), 'attach_interface')
            vif = self._network.attach_interface(
                context,
                instance_uuid=instance_uuid,
                project_id=instance.project_id,
                requested_network=requested_network,
                max_nics=self._max_nics,
            )
            with contextlib.ExitStack() as undo:
                undo.callback(self._give_up, context, instance, vif)
                # before the first frame: the host knows its groups, others let the new NIC in
                self._follow_groups(context, vif)
                self._driver.attach_interface(instance, vif)
                db.vif_set_state(vif.id, model.VifState.ACTIVE)
                undo.pop_all()
            LOG.info('%s has NIC %d', instance_uuid, vif.index)
            return self._vif(instance_uuid, vif.id)

    def detach_interface(
        self, context: nova_context.RequestContext, *, instance_uuid: str, vif_id: str
    ) -> None:
        """Take a NIC out of the guest, and free its addresses once the guest has let go of it. A
        guest that does not in time keeps the NIC, DETACHING, until it does (:meth:`tidy`)."""
        with lockutils.lock(instance_uuid):
            try:
                instance = _check_settled(db.instance_get(instance_uuid), 'detach_interface')
                db.vif_set_state(vif_id, model.VifState.DETACHING)
                vif = self._vif(instance_uuid, vif_id)
                self._release(context, instance, vif, timeout_s=self._detach_timeout_s)
            except (exception.NotFound, exception.InstanceInvalidState) as exc:
                LOG.info('NIC %s is not detached: %s', vif_id, exc.message)
            except exception.NovaException:
                # nobody waits for the answer; tidy() tries again
                LOG.exception('NIC %s of %s could not be detached', vif_id, instance_uuid)

    def _release(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        vif: model.VIF,
        *,
        timeout_s: float,
    ) -> None:
        if self._driver.detach_interface(instance, vif, timeout_s):
            self._network.detach_interface(context, vif_id=vif.id)
            self._leave_bridges()
            self._groups.announce(context, vif.security_groups)

    def _follow_groups(self, context: nova_context.RequestContext, vif: model.VIF) -> None:
        """The rules of a NIC that is new or has other addresses, here and wherever rules name a
        group that it is in."""
        self.refresh_security_groups(context, group_uuids=vif.security_groups)
        self._groups.announce(context, vif.security_groups, but=self._host)

    def _give_up(
        self, context: nova_context.RequestContext, instance: records.Instance, vif: model.VIF
    ) -> None:
        """Undo an attach. What cannot be undone now stays DETACHING, which :meth:`tidy` finishes:
        an address is not freed while a guest may still use it."""
        try:
            db.vif_set_state(vif.id, model.VifState.DETACHING)
            self._release(context, instance, vif, timeout_s=self._detach_timeout_s)
        except exception.NovaException:
            # for the caller, who wants to know what failed first
            LOG.exception('NIC %d of %s could not be taken back', vif.index, instance.uuid)

    def add_fixed_ip(
        self, context: nova_context.RequestContext, *, instance_uuid: str, vif_id: str
    ) -> model.VIF:
        """Give a NIC one more address, and let its guest use it.

        :raises InstanceInvalidState:
        :raises VifNotFound:
        :raises NoMoreFixedIps:
        :raises FirewallSetupFailed: the NIC has the addresses that it had.
        """
        with lockutils.lock(instance_uuid):
            instance = _check_settled(db.instance_get(instance_uuid), 'add_fixed_ip')
            before = self._vif(instance_uuid, vif_id)
            vif = self._network.add_fixed_ip(context, vif_id=vif_id)
            with contextlib.ExitStack() as undo:
                for address in set(vif.addresses) - set(before.addresses):
                    undo.callback(
                        self._network.remove_fixed_ip, context, vif_id=vif_id, address=address
                    )
                self._driver.update_interface(instance, vif)
                self._follow_groups(context, vif)
                undo.pop_all()
            return vif

    def remove_fixed_ip(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        vif_id: str,
        address: str,
    ) -> model.VIF:
        """Take an address from a NIC: from its guest first, so that nobody else can have got it
        while the guest may use it. The last one of its kind is not taken.

        :raises InstanceInvalidState:
        :raises VifNotFound:
        :raises Conflict: it is the NIC's only address of its IP version.
        :raises FirewallSetupFailed: the NIC has the addresses that it had.
        """
        with lockutils.lock(instance_uuid):
            instance = _check_settled(db.instance_get(instance_uuid), 'remove_fixed_ip')
            vif = self._vif(instance_uuid, vif_id)
            left = tuple(other for other in vif.addresses if other != address)
            _check_left(left, address)
            self._driver.update_interface(instance, dataclasses.replace(vif, addresses=left))
            vif = self._network.remove_fixed_ip(context, vif_id=vif_id, address=address)
            self._follow_groups(context, vif)
            return vif

    def _vif(self, instance_uuid: str, vif_id: str) -> model.VIF:
        """:raises VifNotFound: the instance has no such NIC."""
        for vif in self._network_info(instance_uuid):
            if vif.id == vif_id:
                return vif
        raise exception.VifNotFound(vif_id=vif_id)

    # --- power

    def stop_instance(self, context: nova_context.RequestContext, *, instance_uuid: str) -> None:
        """Stop the guest, which may take its time to shut down."""
        with self._power_change(instance_uuid, records.TaskState.POWERING_OFF) as instance:
            self._driver.power_off(instance, self._shutdown_timeout_s)

    def start_instance(self, context: nova_context.RequestContext, *, instance_uuid: str) -> None:
        """Start the guest again, with the NICs and addresses that the instance has."""
        with self._power_change(instance_uuid, records.TaskState.POWERING_ON) as instance:
            self._power_on(context, instance)

    def reboot_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str, hard: bool
    ) -> None:
        """Stop the guest and start it again.

        :param hard: do not ask it to shut down.
        """
        state = records.TaskState.REBOOTING_HARD if hard else records.TaskState.REBOOTING
        with self._power_change(instance_uuid, state) as instance:
            self._driver.power_off(instance, 0 if hard else self._shutdown_timeout_s)
            self._power_on(context, instance)

    def _power_on(self, context: nova_context.RequestContext, instance: records.Instance) -> None:
        # A guest that does not run holds no NIC back, so that only those come up that are wanted.
        for vif in self._network_info(instance.uuid):
            if vif.state is not model.VifState.ACTIVE:
                self._release(context, instance, vif, timeout_s=0)
        network_info = self._network_info(instance.uuid)
        self._driver.power_on(instance, network_info)
        joined = security_groups.groups_of_vifs(network_info)
        self.refresh_security_groups(context, group_uuids=joined)

    @contextlib.contextmanager
    def _power_change(
        self, instance_uuid: str, task: records.TaskState
    ) -> Iterator[records.Instance]:
        """The instance, locked, whose power is being changed as it was asked for; afterwards its
        state is what the hypervisor says."""
        with lockutils.lock(instance_uuid):
            try:
                yield db.instance_update(instance_uuid, expected_task_state=task, task_state=task)
            except (exception.InstanceNotFound, exception.InstanceInvalidState) as exc:
                LOG.info('%s of %s was given up: %s', task, instance_uuid, exc.message)
            except exception.NovaException:
                # nobody waits for the answer; what the guest's state is then can be seen
                LOG.exception('%s of %s failed', task, instance_uuid)
            self._settle(instance_uuid, task)

    def _settle(self, instance_uuid: str, task: records.TaskState) -> None:
        """Let the instance's state be what the hypervisor says of its guest, if nothing else was
        asked for meanwhile."""
        try:
            power = self._driver.power_state(db.instance_get(instance_uuid))
            runs = power not in (records.PowerState.SHUTDOWN, records.PowerState.NOSTATE)
            db.instance_update(
                instance_uuid,
                expected_task_state=task,
                task_state=None,
                vm_state=records.VmState.ACTIVE if runs else records.VmState.STOPPED,
                power_state=power,
            )
        except (exception.InstanceNotFound, exception.InstanceInvalidState) as exc:
            LOG.info('%s of %s was overtaken: %s', task, instance_uuid, exc.message)

    def get_console_output(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> str:
        """The end of the guest's console log, with whatever is not UTF-8 replaced.

        :raises InstanceNotFound:
        :raises ConsoleNotAvailable:
        """
        instance = db.instance_get(instance_uuid)
        output = self._driver.console_output(instance, self._console_log_max_bytes)
        return output.decode('utf-8', 'replace')

    def _deallocate(self, context: nova_context.RequestContext, instance_uuid: str) -> None:
        """Take the NICs back, and out of the sets of those who let them in."""
        left = security_groups.groups_of_vifs(self._network_info(instance_uuid))
        self._network.deallocate_for_instance(context, instance_uuid=instance_uuid)
        self._leave_bridges()
        self._groups.announce(context, left)

    def _leave_bridges(self) -> None:
        """Remove what was made for NICs of guests, once no instance of this host has one there."""
        try:
            self._driver.keep_bridges(lambda: db.bridges_of_host(self._host))
        except exception.NovaException:
            # protects what follows; the next look at this host tries again
            LOG.exception('bridges that no guest needs are still there')

    def _network_info(self, instance_uuid: str) -> model.NetworkInfo:
        return self._network_reads.network_infos([instance_uuid])[instance_uuid]


def _visible_text(exc: exception.NovaException) -> str:
    """What a tenant may read of an error (OSSA-2019-003): its text if that is meant for them,
    otherwise its kind."""
    # what oslo.messaging adds to the class of an error of another process
    kind = type(exc).__name__.removesuffix('_Remote')
    return exc.message if exc.safe else f'The compute host failed: {kind}.'


def _check_settled(instance: records.Instance, method: str) -> records.Instance:
    """:raises InstanceInvalidState: it has no guest, or something is being done to it."""
    settled = instance.vm_state in (records.VmState.ACTIVE, records.VmState.STOPPED)
    if not settled or instance.task_state is not None:
        raise exception.InstanceInvalidState(
            method=method,
            instance_id=instance.uuid,
            state=instance.task_state or instance.vm_state,
        )
    return instance


def _check_left(left: Collection[str], address: str) -> None:
    version = netaddr.IPAddress(address).version
    if not any(netaddr.IPAddress(other).version == version for other in left):
        raise exception.Conflict(
            f'{address} is the only IPv{version} address of its interface; detach that instead.'
        )
