"""What the parts of the compute service share: one host, its hypervisor, and whom it asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from oslo_concurrency import lockutils
from oslo_log import log

from nova import context as nova_context
from nova import exception
from nova.db import api as db
from nova.db import records
from nova.network import model, security_groups
from nova.virt import driver as virt_driver

LOG = log.getLogger(__name__)

_GROUPS_LOCK = 'security-groups'


class NetworkRpc(Protocol):
    """What a compute host asks of the network service."""

    def allocate_for_instance(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_networks: tuple[records.RequestedNetwork, ...],
        host: str,
    ) -> model.NetworkInfo: ...

    def deallocate_for_instance(
        self, context: nova_context.RequestContext, *, instance_uuid: str
    ) -> None: ...

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        project_id: str,
        requested_network: records.RequestedNetwork,
        max_nics: int,
    ) -> model.VIF: ...

    def detach_interface(self, context: nova_context.RequestContext, *, vif_id: str) -> None: ...

    def add_fixed_ip(self, context: nova_context.RequestContext, *, vif_id: str) -> model.VIF: ...

    def remove_fixed_ip(
        self, context: nova_context.RequestContext, *, vif_id: str, address: str
    ) -> model.VIF: ...


class NetworkReads(Protocol):
    """What is known of NICs without asking the network service."""

    def network_infos(self, instance_uuids: list[str]) -> dict[str, model.NetworkInfo]: ...


class Groups(Protocol):
    """What is known of security groups, and who else has to hear of a change."""

    def announce(
        self,
        context: nova_context.RequestContext,
        group_uuids: Iterable[str],
        *,
        but: str | None = ...,
    ) -> None: ...


class Host:
    """One host's instances, as far as all parts need them.

    :param host: this host's name.
    :param console_log_max_bytes: the most of a console log that one call returns.
    :param detach_timeout_s: how long a guest may take to let go of a NIC.
    :param shutdown_timeout_s: how long a guest may take to shut down by itself.
    :param max_nics: the most NICs that an instance may have.
    """

    def __init__(
        self,
        *,
        host: str,
        driver: virt_driver.ComputeDriver,
        network: NetworkRpc,
        network_reads: NetworkReads,
        groups: Groups,
        console_log_max_bytes: int,
        reserved_host_memory_mb: int,
        detach_timeout_s: float,
        shutdown_timeout_s: float,
        max_nics: int,
    ) -> None:
        self._host = host
        self._driver = driver
        self._network = network
        self._network_reads = network_reads
        self._groups = groups
        self._console_log_max_bytes = console_log_max_bytes
        self._reserved_host_memory_mb = reserved_host_memory_mb
        self._detach_timeout_s = detach_timeout_s
        self._shutdown_timeout_s = shutdown_timeout_s
        self._max_nics = max_nics

    def refresh_security_groups(
        self, context: nova_context.RequestContext, *, group_uuids: tuple[str, ...]
    ) -> None:
        """Have this host's NICs follow their groups as they are in the database now, and store what
        is in force on each. The database is read, not the message: one that comes late or twice
        does no harm."""
        applied = self._refresh_firewall()
        LOG.debug('security groups %s: %d NIC(s) follow', group_uuids, applied)

    def _refresh_firewall(self, *, repair: bool = False) -> int:
        with lockutils.lock(_GROUPS_LOCK):
            names = {i.uuid: i.name for i in db.instance_list(host=self._host)}
            infos = self._network_reads.network_infos(list(names))
            vifs = [vif for info in infos.values() for vif in info]
            state = db.security_groups_state(security_groups.groups_of_vifs(vifs))
            guests = {names[uuid]: info for uuid, info in infos.items() if len(info)}
            ruleset = security_groups.build_ruleset(state)
            applied = self._driver.apply_security_groups(guests, ruleset, repair=repair)
            db.vifs_set_firewall_revision(
                {v.id: state.revision_of(v.security_groups) for v in vifs if v.id in applied}
            )
        return len(applied)

    def _network_info(self, instance_uuid: str) -> model.NetworkInfo:
        return self._network_reads.network_infos([instance_uuid])[instance_uuid]

    def _vif(self, instance_uuid: str, vif_id: str) -> model.VIF:
        """:raises VifNotFound: the instance has no such NIC."""
        for vif in self._network_info(instance_uuid):
            if vif.id == vif_id:
                return vif
        raise exception.VifNotFound(vif_id=vif_id)
