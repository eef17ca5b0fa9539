"""The NICs and addresses of a host's instances, while these live."""

from __future__ import annotations

from collections.abc import Collection
import contextlib
import dataclasses

import netaddr
from oslo_concurrency import lockutils
from oslo_log import log

from nova import context as nova_context
from nova import exception
from nova.compute import host
from nova.db import api as db
from nova.db import records
from nova.network import model, security_groups

LOG = log.getLogger(__name__)


class Nics(host.Host):
    """Attaches and detaches, adds and removes; and frees what an instance had."""

    def attach_interface(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        requested_network: records.RequestedNetwork,
    ) -> model.VIF:
        """Give the instance one more NIC, and plug it into its guest. When it raises, the instance
        has what it had.

        :raises InstanceInvalidState: the instance is not there yet, or something is being done.
        :raises QuotaExceeded: it has all NICs that it may have.
        :raises HypervisorError: and what else the driver and the network service raise.
        """
        with lockutils.lock(instance_uuid):
            instance = _check_settled(db.instance_get(instance_uuid), 'attach_interface')
            vif = self._network.attach_interface(
                context,
                instance_uuid=instance_uuid,
                project_id=instance.project_id,
                requested_network=requested_network,
                max_nics=self._max_nics,
            )
            with contextlib.ExitStack() as undo:
                undo.callback(self._give_up, context, instance, vif)
                # before the first frame: the host knows its groups, others let the new NIC in
                self._follow_groups(context, vif)
                self._driver.attach_interface(instance, vif)
                db.vif_set_state(vif.id, model.VifState.ACTIVE)
                undo.pop_all()
            LOG.info('%s has NIC %d', instance_uuid, vif.index)
            return self._vif(instance_uuid, vif.id)

    def detach_interface(
        self, context: nova_context.RequestContext, *, instance_uuid: str, vif_id: str
    ) -> None:
        """Take a NIC out of the guest, and free its addresses once the guest has let go of it. A
        guest that does not in time keeps the NIC, DETACHING, until it does (:meth:`tidy`)."""
        with lockutils.lock(instance_uuid):
            try:
                instance = _check_settled(db.instance_get(instance_uuid), 'detach_interface')
                db.vif_set_state(vif_id, model.VifState.DETACHING)
                vif = self._vif(instance_uuid, vif_id)
                self._release(context, instance, vif, timeout_s=self._detach_timeout_s)
            except (exception.NotFound, exception.InstanceInvalidState) as exc:
                LOG.info('NIC %s is not detached: %s', vif_id, exc.message)
            except exception.NovaException:
                # nobody waits for the answer; tidy() tries again
                LOG.exception('NIC %s of %s could not be detached', vif_id, instance_uuid)

    def _release(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        vif: model.VIF,
        *,
        timeout_s: float,
    ) -> None:
        if self._driver.detach_interface(instance, vif, timeout_s):
            self._network.detach_interface(context, vif_id=vif.id)
            self._leave_bridges()
            self._groups.announce(context, vif.security_groups)

    def _follow_groups(self, context: nova_context.RequestContext, vif: model.VIF) -> None:
        """The rules of a NIC that is new or has other addresses, here and wherever rules name a
        group that it is in."""
        self.refresh_security_groups(context, group_uuids=vif.security_groups)
        self._groups.announce(context, vif.security_groups, but=self._host)

    def _give_up(
        self, context: nova_context.RequestContext, instance: records.Instance, vif: model.VIF
    ) -> None:
        """Undo an attach. What cannot be undone now stays DETACHING, which :meth:`tidy` finishes:
        an address is not freed while a guest may still use it."""
        try:
            db.vif_set_state(vif.id, model.VifState.DETACHING)
            self._release(context, instance, vif, timeout_s=self._detach_timeout_s)
        except exception.NovaException:
            # for the caller, who wants to know what failed first
            LOG.exception('NIC %d of %s could not be taken back', vif.index, instance.uuid)

    def add_fixed_ip(
        self, context: nova_context.RequestContext, *, instance_uuid: str, vif_id: str
    ) -> model.VIF:
        """Give a NIC one more address, and let its guest use it.

        :raises InstanceInvalidState:
        :raises VifNotFound:
        :raises NoMoreFixedIps:
        :raises FirewallSetupFailed: the NIC has the addresses that it had.
        """
        with lockutils.lock(instance_uuid):
            instance = _check_settled(db.instance_get(instance_uuid), 'add_fixed_ip')
            before = self._vif(instance_uuid, vif_id)
            vif = self._network.add_fixed_ip(context, vif_id=vif_id)
            with contextlib.ExitStack() as undo:
                for address in set(vif.addresses) - set(before.addresses):
                    undo.callback(
                        self._network.remove_fixed_ip, context, vif_id=vif_id, address=address
                    )
                self._driver.update_interface(instance, vif)
                self._follow_groups(context, vif)
                undo.pop_all()
            return vif

    def remove_fixed_ip(
        self,
        context: nova_context.RequestContext,
        *,
        instance_uuid: str,
        vif_id: str,
        address: str,
    ) -> model.VIF:
        """Take an address from a NIC: from its guest first, so that nobody else can have got it
        while the guest may use it. The last one of its kind is not taken.

        :raises InstanceInvalidState:
        :raises VifNotFound:
        :raises Conflict: it is the NIC's only address of its IP version.
        :raises FirewallSetupFailed: the NIC has the addresses that it had.
        """
        with lockutils.lock(instance_uuid):
            instance = _check_settled(db.instance_get(instance_uuid), 'remove_fixed_ip')
            vif = self._vif(instance_uuid, vif_id)
            left = tuple(other for other in vif.addresses if other != address)
            _check_left(left, address)
            self._driver.update_interface(instance, dataclasses.replace(vif, addresses=left))
            vif = self._network.remove_fixed_ip(context, vif_id=vif_id, address=address)
            self._follow_groups(context, vif)
            return vif

    def tidy(self) -> None:
        """Finish what guests were asked for and had not done when the call ended: called now and
        then. A NIC whose attaching was cut short is taken out, and one that its guest has let go
        of meanwhile is freed."""
        context = nova_context.service_context()
        for found in db.vifs_unsettled(self._host):
            with lockutils.lock(found.instance_uuid):
                self._tidy_one(context, found)

    def _tidy_one(self, context: nova_context.RequestContext, found: records.Vif) -> None:
        try:
            if db.vif_get(found.uuid).state is model.VifState.ACTIVE:
                return  # it was still being attached when the list was made
            instance = db.instance_get(found.instance_uuid)
            vif = self._vif(instance.uuid, found.uuid)
            self._release(context, instance, vif, timeout_s=0)
        except exception.NotFound:
            return
        except exception.NovaException:
            # protects the other NICs; it is tried again
            LOG.exception('NIC %s of %s could not be freed', found.uuid, found.instance_uuid)

    def _deallocate(self, context: nova_context.RequestContext, instance_uuid: str) -> None:
        """Take the NICs back, and out of the sets of those who let them in."""
        left = security_groups.groups_of_vifs(self._network_info(instance_uuid))
        self._network.deallocate_for_instance(context, instance_uuid=instance_uuid)
        self._leave_bridges()
        self._groups.announce(context, left)

    def _leave_bridges(self) -> None:
        """Remove what was made for NICs of guests, once no instance of this host has one there."""
        try:
            self._driver.keep_bridges(lambda: db.bridges_of_host(self._host))
        except exception.NovaException:
            # protects what follows; the next look at this host tries again
            LOG.exception('bridges that no guest needs are still there')


def _check_settled(instance: records.Instance, method: str) -> records.Instance:
    """:raises InstanceInvalidState: it has no guest, or something is being done to it."""
    settled = instance.vm_state in (records.VmState.ACTIVE, records.VmState.STOPPED)
    if not settled or instance.task_state is not None:
        raise exception.InstanceInvalidState(
            method=method,
            instance_id=instance.uuid,
            state=instance.task_state or instance.vm_state,
        )
    return instance


def _check_left(left: Collection[str], address: str) -> None:
    version = netaddr.IPAddress(address).version
    if not any(netaddr.IPAddress(other).version == version for other in left):
        raise exception.Conflict(
            f'{address} is the only IPv{version} address of its interface; detach that instead.'
        )
