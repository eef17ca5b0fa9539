"""How other services call the network service."""

from __future__ import annotations

from collections.abc import Sequence

from nova import context as nova_context
from nova import rpc
from nova.db import records
from nova.network import model

TOPIC = 'network'


class NetworkAPI:
    """The callers' side of :class:`nova.network.manager.NetworkService`."""

    def __init__(self) -> None:
        self._client = rpc.Client(TOPIC)

    def allocate_for_instance(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_networks: tuple[records.RequestedNetwork, ...],
        host: str,
    ) -> model.NetworkInfo:
        """Give the instance a NIC for each network asked for, in order, with its addresses, its
        bridges and its DHCP; or nothing at all.

        :param host: the host that the instance is to run on.
        """
        info: model.NetworkInfo = self._client.call(
            context,
            'allocate_for_instance',
            instance_uuid=instance_uuid,
            project_id=project_id,
            requested_networks=requested_networks,
            instance_host=host,
        )
        return info

    def deallocate_for_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None:
        """Take all NICs of the instance back; it is no error that there are none."""
        self._client.call(context, 'deallocate_for_instance', instance_uuid=instance_uuid)

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_network: records.RequestedNetwork,
        max_nics: int,
    ) -> model.VIF:
        """Give the instance one more NIC, or nothing at all."""
        vif: model.VIF = self._client.call(
            context,
            'attach_interface',
            instance_uuid=instance_uuid,
            project_id=project_id,
            requested_network=requested_network,
            max_nics=max_nics,
        )
        return vif

    def detach_interface(self, context: nova_context.RequestContext, *, vif_id: str) -> None:
        """Take a NIC back that is in no guest; it is no error that there is none."""
        self._client.call(context, 'detach_interface', vif_id=vif_id)

    def add_fixed_ip(self, context: nova_context.RequestContext, *, vif_id: str) -> model.VIF:
        """Give a NIC one more address of its network."""
        vif: model.VIF = self._client.call(context, 'add_fixed_ip', vif_id=vif_id)
        return vif

    def remove_fixed_ip(
        self, context: nova_context.RequestContext, *, vif_id: str, address: str
    ) -> model.VIF:
        """Take an address from a NIC."""
        vif: model.VIF = self._client.call(
            context, 'remove_fixed_ip', vif_id=vif_id, address=address
        )
        return vif

    def setup_networks_on_host(
        self, context: nova_context.RequestContext, *, host: str, network_uuids: Sequence[str]
    ) -> None:
        """Let ``host`` bring what it has of these networks in line with the database."""
        self._client.call(
            context, 'setup_networks_on_host', host=host, network_uuids=list(network_uuids)
        )

    def refresh_networks_on_host(
        self, context: nova_context.RequestContext, *, host: str, network_uuids: Sequence[str]
    ) -> None:
        """As :meth:`setup_networks_on_host`; returns at once."""
        self._client.cast(
            context, 'setup_networks_on_host', host=host, network_uuids=list(network_uuids)
        )
