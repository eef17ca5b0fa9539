"""What the HTTP layer calls: the objects that :func:`nova.api.app.build_application` is given.

``nova.compute.api.API``, ``nova.network.api.API`` and ``nova.network.security_groups.API`` are
these; tests may hand in others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from nova import context as nova_context
from nova.db import records
from nova.network import model
from nova.network.network_spec import NetworkSpec

Context = nova_context.RequestContext


class QuotaApi(Protocol):
    @property
    def configured(self) -> Mapping[str, int]: ...

    @property
    def defaults(self) -> Mapping[str, int]: ...

    def limits(self, project_id: str, /) -> Mapping[str, int]: ...

    def usage(self, project_id: str, /) -> Mapping[str, int]: ...

    def change(self, project_id: str, limits: Mapping[str, int], /, *, force: bool) -> None: ...

    def reset(self, project_id: str, /) -> None: ...

    def change_defaults(self, limits: Mapping[str, int], /) -> None: ...


class ComputeApi(Protocol):
    @property
    def quotas(self) -> QuotaApi: ...

    def create(
        self,
        context: Context,
        *,
        name: str,
        image_ref: str,
        flavor_ref: str,
        requested_networks: tuple[records.RequestedNetwork, ...],
        min_count: int = ...,
        max_count: int = ...,
        metadata: Mapping[str, str] | None = ...,
        user_data: str | None = ...,
        config_drive: bool = ...,
        availability_zone: str | None = ...,
        security_groups: tuple[str, ...] = ...,
    ) -> list[records.Instance]: ...

    def get(self, context: Context, instance_uuid: str, /) -> records.Instance: ...

    def list(
        self,
        context: Context,
        *,
        filters: Mapping[str, Any],
        limit: int | None,
        marker: str | None,
        all_projects: bool,
    ) -> list[records.Instance]: ...

    def update(
        self, context: Context, instance: records.Instance, /, *, display_name: str
    ) -> records.Instance: ...

    def delete(self, context: Context, instance: records.Instance, /) -> None: ...

    def attach_interface(
        self,
        context: Context,
        instance: records.Instance,
        /,
        *,
        network: str | None,
        fixed_ip: str | None,
        security_groups: tuple[str, ...],
    ) -> model.VIF: ...

    def detach_interface(
        self, context: Context, instance: records.Instance, vif_id: str, /
    ) -> None: ...

    def add_fixed_ip(
        self, context: Context, instance: records.Instance, network: str, /
    ) -> model.VIF: ...

    def remove_fixed_ip(
        self, context: Context, instance: records.Instance, address: str, /
    ) -> model.VIF: ...

    def stop(self, context: Context, instance: records.Instance, /) -> None: ...

    def start(self, context: Context, instance: records.Instance, /) -> None: ...

    def reboot(self, context: Context, instance: records.Instance, /, *, hard: bool) -> None: ...

    def get_console_output(
        self, context: Context, instance: records.Instance, length: int | None, /
    ) -> str: ...

    def flavor_list(self, context: Context) -> Sequence[records.Flavor]: ...

    def flavor_get(self, context: Context, flavorid: str, /) -> records.Flavor: ...

    def flavor_create(
        self,
        context: Context,
        *,
        flavorid: str | None,
        name: str,
        memory_mb: int,
        vcpus: int,
        root_gb: int,
        ephemeral_gb: int = ...,
        swap_mb: int = ...,
        is_public: bool = ...,
    ) -> records.Flavor: ...

    def flavor_delete(self, context: Context, flavorid: str, /) -> None: ...

    def service_list(self, context: Context) -> Sequence[records.Service]: ...

    def is_up(self, service: records.Service, /) -> bool: ...

    def compute_node_list(self, context: Context) -> Sequence[records.ComputeNode]: ...


class FloatingIpApi(Protocol):
    def list_pools(self, context: Context) -> Sequence[str]: ...

    def list_floating_ips(self, context: Context) -> Sequence[records.FloatingIp]: ...

    def of_servers(self, uuids: Sequence[str], /) -> Mapping[str, Sequence[records.FloatingIp]]: ...

    def get_floating_ip(self, context: Context, number: str, /) -> records.FloatingIp: ...

    def allocate(self, context: Context, pool: str | None, /) -> records.FloatingIp: ...

    def release(self, context: Context, number: str, /) -> None: ...

    def associate(
        self,
        context: Context,
        network_info: model.NetworkInfo,
        address: str,
        fixed_address: str | None,
        /,
    ) -> None: ...

    def disassociate(self, context: Context, instance_uuid: str, address: str, /) -> None: ...


class NetworkApi(Protocol):
    @property
    def floating_ips(self) -> FloatingIpApi: ...

    def list_networks(self, context: Context) -> Sequence[records.Network]: ...

    def get_network(self, context: Context, network_uuid: str, /) -> records.Network: ...

    def create_networks(
        self, spec: NetworkSpec, count: int | None, prefix_length: int | None, /
    ) -> Sequence[records.Network]: ...

    def delete_network(self, network_uuid: str, /) -> None: ...

    def modify_network(self, network_uuid: str, /, **changes: Any) -> records.Network: ...

    def add_network_to_project(
        self, network_uuid: str | None, project_id: str, /
    ) -> records.Network: ...

    def create_project_networks(
        self, context: Context, spec: NetworkSpec, count: int | None, prefix_length: int | None, /
    ) -> Sequence[records.Network]: ...

    def delete_project_network(self, context: Context, network_uuid: str, /) -> None: ...

    def network_infos(self, instance_uuids: Sequence[str], /) -> dict[str, model.NetworkInfo]: ...


class SecurityGroupApi(Protocol):
    def list_groups(
        self, context: Context, *, all_projects: bool = ...
    ) -> Sequence[records.SecurityGroup]: ...

    def get_group(self, context: Context, uuid: str, /) -> records.SecurityGroup: ...

    def create_group(
        self, context: Context, *, name: str, description: str
    ) -> records.SecurityGroup: ...

    def update_group(
        self, context: Context, uuid: str, /, *, name: str, description: str
    ) -> records.SecurityGroup: ...

    def delete_group(self, context: Context, uuid: str, /) -> None: ...

    def create_rule(
        self,
        context: Context,
        group_uuid: str,
        /,
        *,
        direction: str,
        protocol: str | int | None,
        from_port: int | None,
        to_port: int | None,
        cidr: str | None,
        remote_group_uuid: str | None,
    ) -> records.SecurityGroupRule: ...

    def delete_rule(self, context: Context, uuid: str, /) -> None: ...

    def add_to_server(
        self, context: Context, instance: records.Instance, vif_uuids: Sequence[str], name: str, /
    ) -> None: ...

    def remove_from_server(
        self, context: Context, instance: records.Instance, vif_uuids: Sequence[str], name: str, /
    ) -> None: ...

    def groups_of(self, uuids: Iterable[str], /) -> Mapping[str, records.SecurityGroup]: ...
