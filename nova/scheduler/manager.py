"""The scheduler service: claims a host for each new instance and sends it there."""

from __future__ import annotations

from typing import Protocol

from oslo_log import log

from nova import context as nova_context
from nova import exception, liveness
from nova.db import api as db
from nova.db import records
from nova.scheduler import placing

LOG = log.getLogger(__name__)


class ComputeRpc(Protocol):
    """What the scheduler asks of a compute host."""

    def build_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None: ...


class SchedulerManager:
    """Stateless but for its options: everything it decides on is read when it is needed.

    :param max_attempts: hosts tried in turn when claims are lost to another scheduler.
    """

    def __init__(
        self,
        *,
        compute: ComputeRpc,
        ratios: placing.Ratios,
        service_down_time_s: int,
        max_attempts: int,
    ) -> None:
        self._compute = compute
        self._ratios = ratios
        self._service_down_time_s = service_down_time_s
        self._max_attempts = max_attempts

    def init_host(self) -> None:
        """Nothing is kept, so there is nothing to restore."""

    def reconcile(self) -> None:
        """Nothing of a host is the scheduler's."""

    def schedule_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None:
        """Claim a host for the instance and start its build there. When none has room, the
        instance goes to ERROR with the reason."""
        try:
            instance = db.instance_get(instance_uuid)
            host = self._claim(instance)
        except exception.InstanceNotFound:
            LOG.info('instance %s was deleted before it was placed', instance_uuid)
            return
        except exception.NoValidHost as exc:
            LOG.warning('%s: %s', instance_uuid, exc.message)
            db.instance_set_fault(
                instance_uuid, code=500, message='No valid host was found.', details=exc.message
            )
            return
        self._compute.build_instance(context, host=host, instance_uuid=instance_uuid)

    def _claim(self, instance: records.Instance) -> str:
        flavor = instance.flavor
        states = self._host_states()
        for state in placing.choose_hosts(states, flavor)[: self._max_attempts]:
            if db.instance_claim(
                instance.uuid,
                state.host,
                vcpus=flavor.vcpus,
                memory_mb=flavor.memory_mb,
                disk_gb=flavor.root_gb,
                vcpus_limit=state.limits.vcpus,
                memory_mb_limit=state.limits.memory_mb,
                disk_gb_limit=state.limits.disk_gb,
            ):
                return state.host
        raise exception.NoValidHost(reason=placing.explain_refusal(states, flavor))

    def _host_states(self) -> list[placing.HostState]:
        services = {s.host: s for s in db.service_list() if s.binary == 'nova-compute'}
        now = liveness.now()
        return [
            placing.build_host_state(
                node,
                self._ratios,
                up=liveness.is_up(services[node.host], now, self._service_down_time_s),
                enabled=not services[node.host].disabled,
            )
            for node in db.compute_node_list()
            if node.host in services
        ]
