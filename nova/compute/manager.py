"""The compute service: the life of the instances of one host."""

from __future__ import annotations

import contextlib
import traceback

from oslo_concurrency import lockutils
from oslo_log import log

from nova import context as nova_context
from nova import exception, liveness
from nova.compute import power
from nova.db import api as db
from nova.db import records
from nova.network import security_groups

LOG = log.getLogger(__name__)

_INTERRUPTED = (records.TaskState.NETWORKING, records.TaskState.SPAWNING)
_POWER_TASKS = (
    records.TaskState.POWERING_OFF,
    records.TaskState.POWERING_ON,
    records.TaskState.REBOOTING,
    records.TaskState.REBOOTING_HARD,
)


class ComputeManager(power.Power):
    """What is called by RPC on the topic ``compute``: one host's instances.

    Whatever is done to an instance is done under its lock, so that a delete that comes during a
    build waits for it to end. Every step compares the task state it expects, so that a build finds
    out that its instance is being deleted and undoes itself.
    """

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


def _visible_text(exc: exception.NovaException) -> str:
    """What a tenant may read of an error (OSSA-2019-003): its text if that is meant for them,
    otherwise its kind."""
    # what oslo.messaging adds to the class of an error of another process
    kind = type(exc).__name__.removesuffix('_Remote')
    return exc.message if exc.safe else f'The compute host failed: {kind}.'
