"""What :class:`nova.compute.api.API` asks of the other parts of the service; tests may hand in
others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from nova import context as nova_context
from nova.db import records
from nova.network import model


class Images(Protocol):
    """Glance, as far as a create request needs it."""

    def show(self, context: nova_context.RequestContext, image_id: str) -> Any: ...


class Networks(Protocol):
    """The networks, as far as requests need them."""

    def validate_requested(
        self,
        context: nova_context.RequestContext,
        requested: tuple[records.RequestedNetwork, ...],
        security_groups_asked: tuple[str, ...],
    ) -> tuple[records.RequestedNetwork, ...]: ...

    def choose_network(
        self,
        project_id: str,
        network: str | None,
        fixed_ip: str | None,
        security_groups_asked: tuple[str, ...] = ...,
    ) -> records.RequestedNetwork: ...

    def network_infos(self, instance_uuids: Sequence[str]) -> dict[str, model.NetworkInfo]: ...


class NetworkRpc(Protocol):
    def deallocate_for_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None: ...


class ComputeRpc(Protocol):
    def terminate_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None: ...

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        host: str,
        instance_uuid: str,
        requested_network: records.RequestedNetwork,
    ) -> model.VIF: ...

    def detach_interface(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str, vif_id: str
    ) -> None: ...

    def add_fixed_ip(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str, vif_id: str
    ) -> model.VIF: ...

    def remove_fixed_ip(
        self,
        context: nova_context.RequestContext,
        *,
        host: str,
        instance_uuid: str,
        vif_id: str,
        address: str,
    ) -> model.VIF: ...

    def stop_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None: ...

    def start_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> None: ...

    def reboot_instance(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str, hard: bool
    ) -> None: ...

    def get_console_output(
        self, context: nova_context.RequestContext, *, host: str, instance_uuid: str
    ) -> str: ...


class SchedulerRpc(Protocol):
    def schedule_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None: ...
