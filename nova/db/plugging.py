"""NICs that come and go, and addresses of NICs, while their instance lives."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import (
    addresses,
    models,
    networks,
    nics,
    quotas,
    records,
    retry,
    security_groups,
    session,
)
from nova.network import model


def vif_attach(
    instance_uuid: str,
    nic: records.WantedNic,
    quarantine_s: int,
    *,
    max_nics: int,
    limits: quotas.NicLimits = quotas.NO_LIMITS,
) -> records.Vif:
    """Make one more NIC, ATTACHING, and give it an address, or do nothing.

    The NIC gets the instance's next index, which is never given again, and the lowest slot that
    is free. It gets the default route only if no NIC of the instance has it.

    :param nic: whose index does not matter.
    :param max_nics: how many the instance may have then; it has as many slots.
    :raises QuotaExceeded: it has that many already, or its project all that ``limits`` allows.
    :raises InstanceNotFound: and what :func:`nova.db.nics.vifs_allocate` raises.
    """
    return retry.alone_at_last(
        lambda alone: _attach(instance_uuid, nic, quarantine_s, max_nics, limits, alone)
    )


@retry.on_deadlock
def _attach(
    instance_uuid: str,
    nic: records.WantedNic,
    quarantine_s: int,
    max_nics: int,
    limits: quotas.NicLimits,
    alone: bool,
) -> records.Vif:
    with session.database().writer() as db:
        project_id = quotas.lock_project_of(db, instance_uuid, limits)
        instance = _lock_instance(db, instance_uuid)
        network = networks.read_networks(db, {nic.network_uuid}, alone=alone)[nic.network_uuid]
        quotas.check_nics(db, project_id, limits, nics=1, fixed_ips=networks.families(network))
        present = nics.read_vifs(db, models.Vif.instance_uuid == instance_uuid)
        taken = {vif.slot for vif in present}
        slot = next((slot for slot in range(max_nics) if slot not in taken), None)
        if slot is None or len(present) >= max_nics:
            raise exception.QuotaExceeded(
                resource='network interfaces of a server',
                allowed=max_nics,
                requested=len(present) + 1,
            )
        wanted = dataclasses.replace(
            nic,
            index=instance.next_nic_index,
            default_route=nic.default_route and not any(vif.default_route for vif in present),
        )
        instance.next_nic_index += 1
        ids = nics.insert_vifs(
            db,
            instance_uuid,
            [wanted],
            {nic.network_uuid: network},
            slot=slot,
            state=model.VifState.ATTACHING,
        )
        _check_default_route_v6(db, network, present)
        if nic.fixed_ip is not None or network.cidr is not None:
            _take(db, network, ids[nic.uuid], nic.fixed_ip, quarantine_s)
        if nic.fixed_ip_v6 is not None:
            addresses.take_address_v6(db, network, ids[nic.uuid], nic.fixed_ip_v6)
        security_groups.join(db, {ids[nic.uuid]: nic.security_groups})
        return _read(db, nic.uuid)


def _lock_instance(db: orm.Session, uuid: str) -> models.Instance:
    row = db.scalar(
        sa.select(models.Instance).where(models.Instance.uuid == uuid).with_for_update()
    )
    if row is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    return row


def _check_default_route_v6(
    db: orm.Session, network: models.Network, present: Iterable[records.Vif]
) -> None:
    """Whoever is on a network with an IPv6 gateway has a default route of it."""
    if network.gateway_v6 is None:
        return
    others = networks.read_networks(db, {vif.network_uuid for vif in present})
    for other in others.values():
        if other.gateway_v6 is not None:
            reason = f'the server has its IPv6 default route from {other.label}'
            raise exception.InvalidInput(field='net_id', reason=reason)


def _take(
    db: orm.Session, network: models.Network, vif_id: int, address: str | None, quarantine_s: int
) -> None:
    if address is not None:
        addresses.take_address(db, network, vif_id, address)
    else:
        free_since = models.utcnow() - datetime.timedelta(seconds=quarantine_s)
        addresses.take_any(db, network, vif_id, free_since)


def _read(db: orm.Session, uuid: str) -> records.Vif:
    found = nics.read_vifs(db, models.Vif.uuid == uuid)
    if not found:
        raise exception.VifNotFound(vif_id=uuid)
    return found[0]


def vif_get(uuid: str) -> records.Vif:
    """:raises VifNotFound:"""
    with session.database().reader() as db:
        return _read(db, uuid)


@retry.on_deadlock
def vif_set_state(uuid: str, state: model.VifState) -> None:
    """:raises VifNotFound:"""
    with session.database().writer() as db:
        change = sa.update(models.Vif).where(models.Vif.uuid == uuid).values(state=state)
        if not session.count(db, change):
            raise exception.VifNotFound(vif_id=uuid)


@retry.on_deadlock
def vif_free(uuid: str) -> records.Vif | None:
    """Remove one NIC and free its addresses.

    :returns: what it was; None when it was gone already.
    """
    fixed_ip = models.FixedIp
    with session.database().writer() as db:
        found = nics.read_vifs(db, models.Vif.uuid == uuid)
        if not found:
            return None
        (vif,) = found
        _lock_instance(db, vif.instance_uuid)
        addresses.free_addresses(db, fixed_ip.vif_id == vif.id)
        security_groups.leave(db, [vif.id])
        db.execute(sa.delete(models.Vif).where(models.Vif.id == vif.id))
        return vif


@retry.on_deadlock
def vif_set_default_route(uuid: str) -> records.Vif:
    """Give a NIC the IPv4 default route of its instance, which whoever had it loses.

    :returns: the NIC as it is then.
    :raises VifNotFound:
    :raises InvalidInput: its network has no IPv4 gateway.
    """
    vif = models.Vif
    with session.database().writer() as db:
        _lock_instance(db, _read(db, uuid).instance_uuid)
        before = _read(db, uuid)
        network = networks.read_networks(db, {before.network_uuid})[before.network_uuid]
        if network.gateway is None:
            reason = f'network {network.label} has no IPv4 gateway'
            raise exception.InvalidInput(field='default_route', reason=reason)
        db.execute(
            sa.update(vif)
            .where(vif.instance_uuid == before.instance_uuid)
            .values(default_route=vif.uuid == uuid)
            .execution_options(synchronize_session=False)
        )
        # whoever serves the networks sees to it that the guest hears of it
        theirs = sa.select(vif.network_id).where(vif.instance_uuid == before.instance_uuid)
        db.execute(
            sa.update(models.Network)
            .where(models.Network.id.in_(theirs))
            .values(updated_at=models.utcnow())
            .execution_options(synchronize_session=False)
        )
        db.expire_all()
        return _read(db, uuid)


def vifs_unsettled(host: str) -> tuple[records.Vif, ...]:
    """The NICs of a host's instances that are being attached or detached."""
    moving = models.Vif.state != model.VifState.ACTIVE
    with session.database().reader() as db:
        return nics.read_vifs(db, moving, models.Instance.host == host)


def vif_add_address(
    uuid: str, quarantine_s: int, limits: quotas.NicLimits = quotas.NO_LIMITS
) -> records.Vif:
    """Give a NIC one more address of its network, after those that it has.

    :raises QuotaExceeded: it would be more than ``limits`` for the instance's project.
    :raises VifNotFound:
    :raises NoMoreFixedIps:
    """
    instance_uuid = vif_get(uuid).instance_uuid
    return retry.alone_at_last(
        lambda alone: _add_address(uuid, instance_uuid, quarantine_s, limits, alone)
    )


@retry.on_deadlock
def _add_address(
    uuid: str, instance_uuid: str, quarantine_s: int, limits: quotas.NicLimits, alone: bool
) -> records.Vif:
    fixed_ip = models.FixedIp
    with session.database().writer() as db:
        project_id = quotas.lock_project_of(db, instance_uuid, limits)
        quotas.check_nics(db, project_id, limits, nics=0, fixed_ips=1)
        _lock_instance(db, instance_uuid)
        before = _read(db, uuid)
        found = networks.read_networks(db, {before.network_uuid}, alone=alone)
        network = found[before.network_uuid]
        last = db.scalar(sa.select(sa.func.max(fixed_ip.place)).where(fixed_ip.vif_id == before.id))
        _take(db, network, before.id, None, quarantine_s)
        db.execute(
            sa.update(fixed_ip)
            .where(fixed_ip.vif_id == before.id, fixed_ip.address.not_in(before.addresses))
            .values(place=(last or 0) + 1)
            .execution_options(synchronize_session=False)
        )
        security_groups.touch(db, [before.id])
        db.expire_all()
        return _read(db, uuid)


@retry.on_deadlock
def vif_remove_address(uuid: str, address: str) -> records.Vif:
    """Take one address from a NIC; that it has it not is no error.

    :returns: the NIC as it is then.
    :raises VifNotFound:
    """
    fixed_ip = models.FixedIp
    with session.database().writer() as db:
        before = _read(db, uuid)
        addresses.free_addresses(db, fixed_ip.vif_id == before.id, fixed_ip.address == address)
        security_groups.touch(db, [before.id])
        db.expire_all()
        return _read(db, uuid)
