"""Stopping, starting and rebooting a host's instances."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from oslo_concurrency import lockutils
from oslo_log import log

from nova import context as nova_context
from nova import exception
from nova.compute import nics
from nova.db import api as db
from nova.db import records
from nova.network import model, security_groups

LOG = log.getLogger(__name__)


class Power(nics.Nics):
    """What is asked for is the instance's task state meanwhile; what its state is afterwards, the
    hypervisor says."""

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
