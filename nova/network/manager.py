"""The network service: NICs and addresses for instances, and on the host that serves a network its
bridge, gateway and DHCP server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import dataclasses
import datetime
import random
from typing import Any

from oslo_log import log

from nova import context as nova_context
from nova import exception, liveness, quota
from nova.db import api as db
from nova.db import records
from nova.network import addressing, answers, info, model, reach, rpcapi, served, topology
from nova.network.linux import host as linux_host
from nova.network.linux import metadata, nat

LOG = log.getLogger(__name__)


class NetworkService:
    """What is called by RPC on the topic ``network``.

    :param apply: makes this host's networks true.
    :param apply_reach: makes its forwarding between them true.
    :param reach_options: what the operator allows.
    :param apply_metadata: makes its metadata servers what they should be.
    :param mac_attempts: how often MAC addresses are drawn for one instance.
    :param quarantine_s: seconds that a freed address is kept from others.
    :param service_down_time_s: without a sign of life, after which a host's service is lost.
    :param random_source: where MAC addresses and the uuids of NICs come from.
    :param project_quotas: how much each project may have.
    """

    def __init__(
        self,
        *,
        options: topology.HostOptions,
        apply: served.Apply,
        apply_reach: served.ApplyReach,
        reach_options: reach.Options,
        apply_metadata: served.ApplyMetadata,
        mac_attempts: int,
        quarantine_s: int,
        service_down_time_s: int,
        random_source: random.Random | None = None,
        project_quotas: quota.Quotas | None = None,
    ) -> None:
        self._options = options
        self._mac_attempts = mac_attempts
        self._quarantine_s = quarantine_s
        self._service_down_time_s = service_down_time_s
        self._quotas = project_quotas or quota.Quotas()
        self._random = random_source or random.SystemRandom()
        self._other_hosts = rpcapi.NetworkAPI()
        self._served = served.Served(
            options=options,
            apply=apply,
            apply_reach=apply_reach,
            reach_options=reach_options,
            apply_metadata=apply_metadata,
        )
        self._seen: Mapping[str, datetime.datetime] = {}

    def init_host(self) -> None:
        """Make this host's networks what the database says, without disturbing what is right."""
        self._seen = db.networks_changed(self._options.host)
        for uuid, error in self._served.apply_all().items():
            LOG.error('network %s is not served: %s', uuid, error.message)

    def reconcile(self) -> None:
        """Called from time to time: mend what ended or was changed behind our back, such as a DHCP
        server that was killed."""
        self.init_host()

    def watch(self) -> None:
        """Called every moment: follow what was changed of this host's networks since the last time,
        by whatever way, and those that came to this host or went from it."""
        seen = db.networks_changed(self._options.host)
        changed = {u for u in seen.keys() | self._seen.keys() if seen.get(u) != self._seen.get(u)}
        if changed:
            for uuid, error in self._served.apply(changed).items():
                LOG.error('network %s is not served: %s', uuid, error.message)
        self._seen = seen

    # --- called by RPC

    def allocate_for_instance(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_networks: Sequence[records.RequestedNetwork],
        instance_host: str,
    ) -> model.NetworkInfo:
        """A NIC for each network asked for, in order, and all that they need on the hosts of their
        networks. When it raises, nothing is held. An instance that has its NICs keeps them.

        :param instance_host: where the instance is to run.
        :raises NetworkNotFound: a network does not exist, or is another project's.
        :raises NoMoreFixedIps:
        :raises FixedIpInUse:
        :raises FixedIpInvalid:
        :raises MacInUse: no free MAC address was drawn.
        :raises SecurityGroupNotFound: a group asked for has been deleted since.
        :raises NetworkSetupFailed: a network could not be made on its host.
        :raises ServiceUnavailable: the host of a network does not answer.
        """
        with contextlib.ExitStack() as undo:
            if not db.vifs_of_instances([instance_uuid])[instance_uuid]:
                self._allocate(instance_uuid, project_id, requested_networks)
                undo.callback(self.deallocate_for_instance, context, instance_uuid=instance_uuid)
            vifs = db.vifs_of_instances([instance_uuid])[instance_uuid]
            networks = self._claimed(vifs)
            self._setup(context, _on_hosts(vifs, networks))
            undo.pop_all()
        LOG.info(
            'instance %s gets %d NIC(s) on %s',
            instance_uuid,
            len(vifs),
            instance_host,
        )
        return info.build_network_info(vifs, networks)

    def deallocate_for_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None:
        """Take the instance's NICs back, with what nobody else needs on the hosts of their
        networks. A host that cannot be reached makes good when its service starts."""
        freed = db.vifs_deallocate(instance_uuid)
        self._setup_after(context, freed)

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_network: records.RequestedNetwork,
        max_nics: int,
    ) -> model.VIF:
        """One more NIC for an instance, ATTACHING, and all that it needs on the host of its
        network. When it raises, nothing is held.

        :raises QuotaExceeded: the instance has ``max_nics`` already, or its project all that it may
            have.
        :raises InstanceNotFound: and what :meth:`allocate_for_instance` raises.
        """
        vif = self._attach(instance_uuid, project_id, requested_network, max_nics)
        with contextlib.ExitStack() as undo:
            undo.callback(self.detach_interface, context, vif_id=vif.uuid)
            networks = self._claimed([vif])
            self._setup(context, _on_hosts([vif], networks))
            undo.pop_all()
        LOG.info('instance %s gets NIC %d', instance_uuid, vif.index)
        return info.build_network_info([vif], networks)[0]

    def detach_interface(self, context: nova_context.RequestContext, *, vif_id: str) -> None:
        """Take one NIC back, with what nobody else needs on the host of its network. One that is
        gone is no error."""
        vif = db.vif_free(vif_id)
        if vif is not None:
            self._setup_after(context, [vif])

    def add_fixed_ip(self, context: nova_context.RequestContext, *, vif_id: str) -> model.VIF:
        """One more address of its network for a NIC, after those that it has.

        :returns: the NIC as it is then.
        :raises VifNotFound:
        :raises NoMoreFixedIps:
        """
        project_id = db.instance_get(db.vif_get(vif_id).instance_uuid).project_id
        limits = self._quotas.nic_limits(project_id)
        return _build_vif(db.vif_add_address(vif_id, self._quarantine_s, limits))

    def remove_fixed_ip(
        self, context: nova_context.RequestContext, *, vif_id: str, address: str
    ) -> model.VIF:
        """Take an address from a NIC. DHCP gives the first of those that are left.

        :returns: the NIC as it is then.
        :raises VifNotFound:
        """
        vif = db.vif_remove_address(vif_id, address)
        self._setup_after(context, [vif])
        return _build_vif(vif)

    def setup_networks_on_host(
        self, context: nova_context.RequestContext, *, network_uuids: Sequence[str]
    ) -> None:
        """Bring what this host has of these networks in line with the database.

        :raises NetworkSetupFailed: the first that could not be.
        """
        for error in self._served.apply(network_uuids).values():
            raise error

    # --- steps

    def _allocate(
        self,
        instance_uuid: str,
        project_id: str,
        requested: Sequence[records.RequestedNetwork],
    ) -> None:
        usable = {network.uuid: network for network in db.network_list(project_id)}
        limits = self._quotas.nic_limits(project_id)
        default = (db.security_group_default(project_id).uuid,)
        grouped = [
            dataclasses.replace(request, security_groups=request.security_groups or default)
            for request in requested
        ]
        for attempt in range(1, self._mac_attempts + 1):
            wanted = addressing.plan_nics(grouped, usable, self._random)
            try:
                db.vifs_allocate(instance_uuid, wanted, self._quarantine_s, limits)
                return
            except exception.MacInUse:
                if attempt == self._mac_attempts:
                    raise

    def _attach(
        self,
        instance_uuid: str,
        project_id: str,
        requested: records.RequestedNetwork,
        max_nics: int,
    ) -> records.Vif:
        usable = {network.uuid: network for network in db.network_list(project_id)}
        limits = self._quotas.nic_limits(project_id)
        of_server = self._quotas.limit(project_id, 'interfaces_per_server')
        max_nics = max_nics if of_server < 0 else min(max_nics, of_server)
        for attempt in range(1, self._mac_attempts + 1):
            (nic,) = addressing.plan_nics([requested], usable, self._random)
            try:
                return db.vif_attach(
                    instance_uuid,
                    nic,
                    self._quarantine_s,
                    max_nics=max_nics,
                    limits=limits,
                )
            except exception.MacInUse:
                if attempt == self._mac_attempts:
                    raise
        raise AssertionError('there is at least one attempt')

    def _claimed(self, vifs: Iterable[records.Vif]) -> dict[str, records.Network]:
        """The NICs' networks, each served by some host: by this one if by none before, or by that
        of the NIC's instance where every host serves its own."""
        networks = {}
        for uuid, host in sorted({(vif.network_uuid, vif.host or '') for vif in vifs}):
            networks[uuid] = self._claim(db.network_get(uuid), host)
        return networks

    def _claim(self, network: records.Network, instance_host: str) -> records.Network:
        if network.multi_host:
            return db.network_host_claim(network.uuid, instance_host, self._quarantine_s)
        if network.host is not None or network.kind is model.NetworkKind.FLAT:
            return network
        return db.network_claim_host(network.uuid, self._options.host)

    def _setup(
        self,
        context: nova_context.RequestContext,
        networks: Iterable[records.Network],
        *,
        wait: bool = True,
    ) -> None:
        """:param networks: as they are on the hosts that are meant.
        :param wait: for other hosts, and raise what went wrong there.
        """
        by_host: dict[str, list[str]] = {}
        for network in networks:
            if network.host is not None:
                by_host.setdefault(network.host, []).append(network.uuid)
        for host, uuids in sorted(by_host.items()):
            if host == self._options.host:
                self.setup_networks_on_host(context, network_uuids=uuids)
            elif wait:
                self._check_up(host)
                self._other_hosts.setup_networks_on_host(context, host=host, network_uuids=uuids)
            else:
                self._other_hosts.refresh_networks_on_host(context, host=host, network_uuids=uuids)

    def _check_up(self, host: str) -> None:
        """A call to a service that is known to be lost would only end with its time limit.

        :raises ServiceUnavailable:
        """
        lost = (
            service
            for service in db.service_list()
            if (service.binary, service.host) == ('nova-network', host)
            and not liveness.is_up(service, liveness.now(), self._service_down_time_s)
        )
        if next(lost, None) is not None:
            raise exception.ServiceUnavailable(topic=rpcapi.TOPIC, host=host)

    def _setup_after(
        self, context: nova_context.RequestContext, vifs: Iterable[records.Vif]
    ) -> None:
        """Bring networks up to date that NICs, or addresses of theirs, were taken from. Nobody
        waits for another host: what is free is free, whatever becomes of that host."""
        for uuid, host in dict.fromkeys((vif.network_uuid, vif.host) for vif in vifs):
            try:
                self._setup(context, [info.on_host(db.network_get(uuid), host)], wait=False)
            except exception.NetworkNotFound:
                self._served.apply([uuid])
            except exception.NovaException as exc:
                # the addresses are free whatever becomes of the host
                LOG.warning('network %s was not brought up to date: %s', uuid, exc.message)


def _on_hosts(
    vifs: Iterable[records.Vif], networks: Mapping[str, records.Network]
) -> list[records.Network]:
    """The NICs' networks, each once, as they are where their instances are."""
    wanted = dict.fromkeys((vif.network_uuid, vif.host) for vif in vifs)
    return [info.on_host(networks[uuid], host) for uuid, host in wanted]


def _build_vif(vif: records.Vif) -> model.VIF:
    network = db.network_get(vif.network_uuid)
    return info.build_network_info([vif], {network.uuid: network})[0]


def from_conf(conf: Any) -> NetworkService:
    """The service that ``conf`` describes."""
    group = conf.network
    options = topology.HostOptions(
        host=conf.host,
        run_path=conf.run_path,
        dhcp_domain=group.dhcp_domain,
        dhcp_lease_time_s=group.dhcp_lease_time_s,
        physical_networks=dict(group.physical_networks),
    )
    return NetworkService(
        options=options,
        apply=linux_host.HostNetworks(conf.run_path).apply,
        apply_reach=nat.Forwarding(conf.run_path, has_table=group.host_table).apply,
        reach_options=reach.Options(
            default_egress=group.egress_interface,
            egress=dict(group.network_egress),
            forward_between=tuple(reach.parse_pair(pair) for pair in group.forward_between),
            floating_interface=group.floating_interface,
        ),
        apply_metadata=metadata.MetadataServers(
            answers.Answers(group.dhcp_domain).find, conf.run_path
        ).apply,
        mac_attempts=group.create_unique_mac_attempts,
        quarantine_s=group.fixed_ip_quarantine_s,
        service_down_time_s=conf.service_down_time_s,
        project_quotas=quota.from_conf(conf),
    )
