"""What the HTTP API, the compute service and ``nova-manage`` ask about networks. It reads the
database and calls no service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any
import uuid as uuids

from nova import context as nova_context
from nova import exception, quota
from nova.db import api as db
from nova.db import records
from nova.network import (
    addressing,
    floating_ips,
    info,
    model,
    names,
    network_spec,
    picture,
    ranges,
    security_groups,
)
from nova.network.network_spec import NetworkSpec

__all__ = ['API', 'NetworkSpec']


class API:
    """Networks and NICs.

    :param max_nics_per_server: the most NICs that one instance may have.
    :param default_kind: that of new networks whose kind is not given.
    :param vlan_start: the first VLAN that is taken without being asked for.
    :param vlan_physical_network: that of vlan networks for which none is named.
    :param project_ranges: what projects may make networks of their own in.
    :param floating: the floating IPs, for the HTTP API.
    :param quotas: how many networks a project may make.
    """

    def __init__(
        self,
        max_nics_per_server: int,
        *,
        default_kind: model.NetworkKind = model.NetworkKind.FLAT_DHCP,
        vlan_start: int = 100,
        vlan_physical_network: str | None = None,
        project_ranges: Sequence[str] = (),
        floating: floating_ips.API | None = None,
        quotas: quota.Quotas | None = None,
    ) -> None:
        self._max_nics = max_nics_per_server
        self._default_kind = default_kind
        self._vlan_start = vlan_start
        self._vlan_physical_network = vlan_physical_network
        self._project_ranges = tuple(
            ranges.parse_range(text, 'project_ranges') for text in project_ranges
        )
        self._floating = floating
        self._quotas = quotas or quota.Quotas()

    @property
    def floating_ips(self) -> floating_ips.API:
        """Floating IPs."""
        if self._floating is None:
            raise RuntimeError('this part of the service has no floating IPs')
        return self._floating

    # --- networks

    def list_networks(self, context: nova_context.RequestContext) -> tuple[records.Network, ...]:
        """The networks that the caller may use, in the order in which they were made; an
        administrator's are all."""
        return db.network_list(None if context.is_admin else context.project_id)

    def get_network(self, context: nova_context.RequestContext, uuid: str) -> records.Network:
        """:raises NetworkNotFound: there is none, or it is another project's."""
        network = db.network_get(uuid)
        if not context.is_admin and network.project_id not in (None, context.project_id):
            raise exception.NetworkNotFound(network_id=uuid)
        return network

    def create_network(self, spec: NetworkSpec, limit: int = quota.UNLIMITED) -> records.Network:
        """Make a network. Its host makes it true when the first NIC is on it.

        :param limit: the most networks that its project may have.
        :raises InvalidInput: and what derives from it; the text names the field.
        :raises NetworkOverlap: another network is in the way.
        """
        spec = self._with_defaults(spec)
        if spec.kind != model.NetworkKind.VLAN or spec.vlan is not None:
            return _create(spec, limit)
        while True:
            try:
                return _create(self._with_vlan(spec), limit)
            except exception.VlanInUse:
                continue  # somebody was faster; there is one less each time

    def create_networks(
        self,
        spec: NetworkSpec,
        count: int | None,
        prefix_length: int | None,
        limit: int = quota.UNLIMITED,
    ) -> tuple[records.Network, ...]:
        """Carve ``count`` networks out of the ranges of ``spec``: all, or none. Ranges that
        other networks have are passed over. Labels get ``_0``, ``_1``; VLANs are counted on.

        :param count: None makes one of the ranges as they are.
        :param prefix_length: of each IPv4 range; None divides the range evenly.
        :raises InvalidInput: the ranges are too small, or cannot be carved.
        :raises NetworkOverlap: another network is in the way.
        """
        if count is None:
            return (self.create_network(spec, limit),)
        parts = network_spec.carve(spec, count, prefix_length, db.network_list())
        made: list[records.Network] = []
        try:
            for part in parts:
                made.append(self.create_network(part, limit))
        except exception.NovaException:
            for network in made:
                db.network_delete(network.uuid)
            raise
        return tuple(made)

    def modify_network(self, uuid: str, /, **changes: Any) -> records.Network:
        """Change what guests and hosts can follow: ``label``, ``project_id``, ``dns``, ``mtu``,
        ``routes``, ``gateway`` and ``host``. What is not named stays as it is. The services of the
        hosts see it (:meth:`nova.network.manager.NetworkService.watch`).

        :raises NetworkNotFound:
        :raises HostNotFound: no network service runs there.
        :raises InvalidInput: and what derives from it.
        :raises NetworkInUse: NICs are on a network that is to get another host or project, or a
            gateway that they cannot follow.
        :raises FixedIpInUse: a NIC has the address that is to be the gateway's.
        """
        network = db.network_get(uuid)
        values: dict[str, Any] = {}
        unused = False
        for field, value in changes.items():
            match field:
                case 'label':
                    values[field] = names.parse_label(value)
                case 'dns':
                    values[field] = network_spec.parse_dns(value)
                case 'mtu':
                    values[field] = network_spec.parse_mtu(value, v6=network.cidr_v6 is not None)
                case 'routes':
                    values[field] = network_spec.parse_routes(value)
                case 'gateway':
                    values[field] = network_spec.parse_new_gateway(value, network)
                    unused = network_spec.is_gateway_fixed(network, values[field])
                case 'project_id':
                    values[field] = network_spec.parse_project(value)
                case 'host':
                    values[field] = _check_host(network, value)
                case _:
                    raise exception.InvalidInput(field=field, reason='it cannot be changed')
        return db.network_update(uuid, unused=unused, **values)

    def _with_defaults(self, spec: NetworkSpec) -> NetworkSpec:
        kind = network_spec.parse_kind(spec.kind or self._default_kind)
        physical_network = spec.physical_network
        if physical_network is None and kind is model.NetworkKind.VLAN:
            physical_network = self._vlan_physical_network
        return dataclasses.replace(spec, kind=kind, physical_network=physical_network)

    def _with_vlan(self, spec: NetworkSpec) -> NetworkSpec:
        if spec.physical_network is None:
            return spec
        start = spec.vlan_start or self._vlan_start
        vlan = network_spec.choose_vlan(spec.physical_network, db.network_list(), start)
        return dataclasses.replace(spec, vlan=vlan)

    def add_network_to_project(self, uuid: str | None, project_id: str) -> records.Network:
        """Give the project a network that no project has: the one named, or the oldest free one
        on a VLAN.

        :raises NetworkNotFound: there is none, or it is another project's.
        """
        project_id = str(network_spec.parse_project(project_id))
        if uuid is None:
            taken = db.network_take_free(project_id, model.NetworkKind.VLAN)
        else:
            taken = db.network_take(uuid, project_id)
        if taken is None:
            raise exception.NetworkNotFound(network_id=uuid or 'without a project')
        return taken

    def delete_network(self, uuid: str) -> None:
        """Remove a network that no NIC is on.

        :raises NetworkNotFound:
        :raises NetworkInUse:
        """
        db.network_delete(uuid)

    # --- networks that projects make

    def create_project_networks(
        self,
        context: nova_context.RequestContext,
        spec: NetworkSpec,
        count: int | None,
        prefix_length: int | None,
    ) -> tuple[records.Network, ...]:
        """Like :meth:`create_networks`, for the caller's project. A host has but one table of
        routes, so that others than administrators find room only where the operator left it.

        :raises NotAuthorized: a range is not left to projects.
        :raises QuotaExceeded:
        :raises NetworkOverlap: and what :meth:`create_networks` raises.
        """
        spec = dataclasses.replace(spec, project_id=str(context.project_id))
        limit = self._quotas.limit(str(context.project_id), 'networks')
        if context.is_admin:
            return self.create_networks(spec, count, prefix_length, limit)
        self._check_ranges(spec)
        try:
            return self.create_networks(spec, count, prefix_length, limit)
        except exception.NetworkOverlap as exc:
            raise self._without_names(context, exc) from exc

    def _check_ranges(self, spec: NetworkSpec) -> None:
        for field in ('cidr', 'cidr_v6'):
            value = getattr(spec, field)
            if not ranges.is_within(value, self._project_ranges):
                left = ', '.join(str(one) for one in self._project_ranges) or 'none'
                raise exception.NotAuthorized(
                    f'{field} {value} is not in a range that is left to projects: {left}'
                )

    def _without_names(
        self, context: nova_context.RequestContext, error: exception.NetworkOverlap
    ) -> exception.NetworkOverlap:
        """The same; what is in the way is named only if the caller may see it."""
        if error.kwargs['network_id'] in {n.uuid for n in self.list_networks(context)}:
            return error
        return type(error)(
            f'{error.kwargs["field"]} {error.kwargs["value"]} is in use by others', **error.kwargs
        )

    def delete_project_network(self, context: nova_context.RequestContext, uuid: str) -> None:
        """Like :meth:`delete_network`, for a network of the caller's project.

        :raises NotAuthorized: it is no project's.
        """
        network = self.get_network(context, uuid)
        if not context.is_admin and network.project_id is None:
            raise exception.NotAuthorized(f'Network {uuid} is not of your project.')
        db.network_delete(uuid)

    # --- what there is

    def topology(self, servers: Mapping[str, tuple[str, str | None]]) -> picture.Picture:
        """All networks, and these instances on them.

        :param servers: name and host of each instance, by its uuid.
        """
        infos = self.network_infos(list(servers))
        return picture.build_picture(
            [info.build_network(network) for network in db.network_list()],
            [
                picture.Server(name=name, host=host, network_info=infos[uuid])
                for uuid, (name, host) in servers.items()
            ],
        )

    # --- NICs

    def validate_requested(
        self,
        context: nova_context.RequestContext,
        requested: Sequence[records.RequestedNetwork],
        security_groups_asked: Sequence[str] = (),
    ) -> tuple[records.RequestedNetwork, ...]:
        """The networks of a new instance, in NIC order and with canonical addresses. Who asks for
        none gets the project's own networks or, when it has none, those of no project, in the
        order in which they were made.

        :param requested: their ``security_groups`` may be names, and come back as uuids.
        :param security_groups_asked: the names of the groups of each NIC for which none are named;
            none of these either, ``default``.
        :raises InvalidInput: there are too many, or it is not clear which has the default route.
        :raises NetworkNotFound: one does not exist, or is another project's.
        :raises FixedIpInvalid: an address asked for cannot be given.
        :raises SecurityGroupNotFound: the project has none of this name.
        """
        project_id = context.project_id
        usable = {network.uuid: network for network in db.network_list(project_id or '')}
        if not requested:
            chosen = self._default_networks(project_id, tuple(usable.values()))
            usable |= {network.uuid: network for network in chosen}
            requested = [records.RequestedNetwork(network_uuid=n.uuid) for n in chosen]
        if len(requested) > self._max_nics:
            reason = f'a server can have {self._max_nics} network interfaces, not {len(requested)}'
            raise exception.InvalidInput(field='networks', reason=reason)
        groups = security_groups.resolve_names(project_id or '', security_groups_asked)
        checked = [_checked(request, usable) for request in requested]
        addressing.check_default_routes(
            [usable[request.network_uuid] for request in checked],
            [request.tag for request in checked],
        )
        return tuple(
            dataclasses.replace(
                request,
                security_groups=security_groups.resolve_names(
                    project_id or '', request.security_groups
                )
                if request.security_groups
                else groups,
            )
            for request in checked
        )

    def choose_network(
        self,
        project_id: str,
        network: str | None,
        fixed_ip: str | None,
        security_groups_asked: Sequence[str] = (),
    ) -> records.RequestedNetwork:
        """What a NIC that is attached to a project's instance asks for.

        :param network: its uuid, or its label; None: the only network that the project gets when
            it asks for none.
        :param security_groups_asked: names or uuids; none: ``default``.
        :raises SecurityGroupNotFound: the project has none of this name.
        :raises NetworkNotFound: there is none, or it is another project's.
        :raises InvalidInput: there are several.
        :raises FixedIpInvalid: the address asked for cannot be given.
        """
        usable = db.network_list(project_id)
        if network is None:
            own = [n for n in usable if n.project_id == project_id]
            found = own or list(usable)
        else:
            found = [n for n in usable if n.uuid == network.lower()]
            found = found or [n for n in usable if n.label == network]
        if len(found) > 1:
            reason = f'{len(found)} networks fit; name one by its uuid'
            raise exception.InvalidInput(field='net_id', reason=reason)
        if not found:
            raise exception.NetworkNotFound(network_id=network or 'of the project')
        request = records.RequestedNetwork(
            network_uuid=found[0].uuid,
            fixed_ip=fixed_ip,
            security_groups=security_groups.resolve_names(project_id, security_groups_asked),
        )
        return _checked(request, {found[0].uuid: found[0]})

    def network_infos(self, instance_uuids: Sequence[str]) -> dict[str, model.NetworkInfo]:
        """The NICs of each instance; every uuid asked for is a key."""
        vifs = db.vifs_of_instances(instance_uuids)
        networks = {network.uuid: network for network in db.network_list()}
        return {uuid: info.build_network_info(vifs[uuid], networks) for uuid in instance_uuids}

    def _default_networks(
        self, project_id: str | None, usable: Sequence[records.Network]
    ) -> list[records.Network]:
        """What a server is on that asks for nothing. Where networks are VLANs, a project that has
        none gets a free one for itself."""
        own = [network for network in usable if project_id and network.project_id == project_id]
        if own:
            return own
        if self._default_kind is model.NetworkKind.VLAN and project_id:
            taken = db.network_take_free(project_id, model.NetworkKind.VLAN)
            if taken is not None:
                return [taken]
        vlan = model.NetworkKind.VLAN
        return [n for n in usable if n.project_id is None and n.kind is not vlan]


def _create(spec: NetworkSpec, limit: int) -> records.Network:
    plan = network_spec.plan_network(spec, str(uuids.uuid4()))
    return db.network_create(
        plan.network,
        plan.addresses,
        lambda others: network_spec.check_conflict(plan.network, others),
        limit,
    )


def _check_host(network: records.Network, host: str | None) -> str | None:
    """The host, if it can serve the network; None always can."""
    if host is None:
        return None
    if network.kind is model.NetworkKind.FLAT:
        raise exception.InvalidInput(field='host', reason='nobody serves a flat network')
    if network.multi_host:
        raise exception.InvalidInput(field='host', reason='every host serves this network')
    if host not in {s.host for s in db.service_list() if s.binary == 'nova-network'}:
        raise exception.HostNotFound(host=host)
    return host


def _checked(
    request: records.RequestedNetwork, usable: dict[str, records.Network]
) -> records.RequestedNetwork:
    network = usable.get(request.network_uuid)
    if network is None:
        raise exception.NetworkNotFound(network_id=request.network_uuid)
    fixed_ip = request.fixed_ip
    if fixed_ip is not None:
        fixed_ip = addressing.parse_fixed_ip(fixed_ip, network)
    return dataclasses.replace(request, fixed_ip=fixed_ip)
