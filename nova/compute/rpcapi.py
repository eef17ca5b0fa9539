"""Calls to the compute service of a host."""

from __future__ import annotations

from nova import context as nova_context
from nova import rpc

TOPIC = 'compute'


class ComputeAPI:
    def __init__(self) -> None:
        self._client = rpc.Client(TOPIC)

    def build_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None:
        """Build the instance on ``host``; returns at once."""
        self._client.cast(context, 'build_instance', host=host, instance_uuid=instance_uuid)

    def terminate_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None:
        """Take the instance off ``host`` and remove it; returns at once."""
        self._client.cast(context, 'terminate_instance', host=host, instance_uuid=instance_uuid)

    def refresh_security_groups(
        self,
        context: nova_context.RequestContext,
        *,
        host: str,
        group_uuids: tuple[str, ...],
    ) -> None:
        """Have ``host`` bring the rules of its NICs in line with these groups; returns at once."""
        self._client.cast(context, 'refresh_security_groups', host=host, group_uuids=group_uuids)

    def get_console_output(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> str:
        """The end of the guest's console log.

        :raises ConsoleNotAvailable:
        """
        output: str = self._client.call(
            context, 'get_console_output', host=host, instance_uuid=instance_uuid
        )
        return output
