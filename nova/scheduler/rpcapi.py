"""Calls to the scheduler."""

from __future__ import annotations

from nova import context as nova_context
from nova import rpc

TOPIC = 'scheduler'


class SchedulerAPI:
    """Any scheduler will do."""

    def __init__(self) -> None:
        self._client = rpc.Client(TOPIC)

    def schedule_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None:
        """Place the instance; returns at once."""
        self._client.cast(context, 'schedule_instance', instance_uuid=instance_uuid)
