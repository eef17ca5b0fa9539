"""Calls to the compute service of a host."""

from __future__ import annotations

from nova import context as nova_context
from nova import rpc
from nova.db import records
from nova.network import model

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

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        host: str,
        instance_uuid: str,
        requested_network: records.RequestedNetwork,
    ) -> model.VIF:
        """Give the instance one more NIC."""
        vif: model.VIF = self._client.call(
            context,
            'attach_interface',
            host=host,
            instance_uuid=instance_uuid,
            requested_network=requested_network,
        )
        return vif

    def detach_interface(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str, vif_id: str
    ) -> None:
        """Take a NIC out of the instance; returns at once."""
        self._client.cast(
            context, 'detach_interface', host=host, instance_uuid=instance_uuid, vif_id=vif_id
        )

    def add_fixed_ip(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str, vif_id: str
    ) -> model.VIF:
        """Give a NIC one more address."""
        vif: model.VIF = self._client.call(
            context, 'add_fixed_ip', host=host, instance_uuid=instance_uuid, vif_id=vif_id
        )
        return vif

    def remove_fixed_ip(
        self,
        context: nova_context.RequestContext,
        *,
        host: str,
        instance_uuid: str,
        vif_id: str,
        address: str,
    ) -> model.VIF:
        """Take an address from a NIC."""
        vif: model.VIF = self._client.call(
            context,
            'remove_fixed_ip',
            host=host,
            instance_uuid=instance_uuid,
            vif_id=vif_id,
            address=address,
        )
        return vif

    def stop_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None:
        """Stop the guest; returns at once."""
        self._client.cast(context, 'stop_instance', host=host, instance_uuid=instance_uuid)

    def start_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None:
        """Start the guest again; returns at once."""
        self._client.cast(context, 'start_instance', host=host, instance_uuid=instance_uuid)

    def reboot_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str, hard: bool
    ) -> None:
        """Stop the guest and start it again; returns at once."""
        self._client.cast(
            context, 'reboot_instance', host=host, instance_uuid=instance_uuid, hard=hard
        )

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
