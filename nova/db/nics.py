"""NICs: made with an instance, and gone with it. Those that come and go between are in
:mod:`nova.db.plugging`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import datetime

from oslo_db import exception as db_exc
import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import addresses, models, networks, quotas, records, retry, security_groups, session
from nova.network import model


def vifs_allocate(
    instance_uuid: str,
    wanted: Sequence[records.WantedNic],
    quarantine_s: int,
    limits: quotas.NicLimits = quotas.NO_LIMITS,
) -> None:
    """Make the NICs and give each an address of its network: all of them or nothing.

    Addresses are taken network by network in id order, whatever the NICs' order, so that two
    instances on the same networks cannot wait for each other.

    :param quarantine_s: an address freed less than this many seconds ago is not given, unless it
        is asked for by name.
    :raises QuotaExceeded: it would be more than ``limits`` for the instance's project.
    :raises InstanceNotFound: the instance is gone.
    :raises NetworkNotFound:
    :raises NoMoreFixedIps:
    :raises FixedIpInvalid: an address asked for is not one that the network gives.
    :raises FixedIpInUse: an address asked for is taken.
    :raises MacInUse: a MAC address is taken; draw others and try again.
    :raises SecurityGroupNotFound:
    """
    retry.alone_at_last(lambda alone: _allocate(instance_uuid, wanted, quarantine_s, limits, alone))


@retry.on_deadlock
def _allocate(
    instance_uuid: str,
    wanted: Sequence[records.WantedNic],
    quarantine_s: int,
    limits: quotas.NicLimits,
    alone: bool,
) -> None:
    now = models.utcnow()
    free_since = now - datetime.timedelta(seconds=quarantine_s)
    with session.database().writer() as db:
        project_id = quotas.lock_project_of(db, instance_uuid, limits)
        on = networks.read_networks(db, {nic.network_uuid for nic in wanted}, alone=alone)
        needed = sum(networks.families(on[nic.network_uuid]) for nic in wanted)
        quotas.check_nics(db, project_id, limits, nics=len(wanted), fixed_ips=needed, pending=False)
        vif_ids = insert_vifs(db, instance_uuid, wanted, on)
        db.execute(
            sa.update(models.Instance)
            .where(models.Instance.uuid == instance_uuid)
            .values(next_nic_index=len(wanted))
        )

        def in_lock_order(nic: records.WantedNic) -> tuple[int, bool, str, str, int]:
            return (
                on[nic.network_uuid].id,
                nic.fixed_ip is None,
                nic.fixed_ip or '',
                nic.fixed_ip_v6 or '',
                nic.index,
            )

        for nic in sorted(wanted, key=in_lock_order):
            network, vif_id = on[nic.network_uuid], vif_ids[nic.uuid]
            if nic.fixed_ip is not None:
                addresses.take_address(db, network, vif_id, nic.fixed_ip)
            elif network.cidr is not None:
                addresses.take_any(db, network, vif_id, free_since)
            if nic.fixed_ip_v6 is not None:
                addresses.take_address_v6(db, network, vif_id, nic.fixed_ip_v6)
        # last, for these rows are those of every NIC in the group
        security_groups.join(db, {vif_ids[nic.uuid]: nic.security_groups for nic in wanted})


def insert_vifs(
    db: orm.Session,
    instance_uuid: str,
    wanted: Sequence[records.WantedNic],
    on: dict[str, models.Network],
    slot: int | None = None,
    state: model.VifState = model.VifState.ACTIVE,
) -> dict[str, int]:
    """The ids of the new rows, by uuid. A row locks that of its network, so that they are made in
    the order in which all locks of networks are taken."""
    rows = [
        models.Vif(
            uuid=nic.uuid,
            instance_uuid=instance_uuid,
            network_id=on[nic.network_uuid].id,
            index=nic.index,
            slot=nic.index if slot is None else slot,
            mac=nic.mac,
            default_route=nic.default_route,
            tag=nic.tag,
            state=state,
        )
        for nic in sorted(wanted, key=lambda nic: (on[nic.network_uuid].id, nic.index))
    ]
    db.add_all(rows)
    try:
        db.flush()
    except db_exc.DBDuplicateEntry as exc:
        macs = ', '.join(nic.mac for nic in wanted)
        raise exception.MacInUse(mac=macs) from exc
    except db_exc.DBReferenceError as exc:
        raise exception.InstanceNotFound(instance_id=instance_uuid) from exc
    return {row.uuid: row.id for row in rows}


@retry.on_deadlock
def vifs_deallocate(instance_uuid: str) -> tuple[records.Vif, ...]:
    """Remove the instance's NICs and free their addresses.

    :returns: what they were; nothing to remove is success.
    """
    vif, fixed_ip = models.Vif, models.FixedIp
    with session.database().writer() as db:
        freed = read_vifs(db, vif.instance_uuid == instance_uuid)
        ids = [record.id for record in freed]
        if ids:
            addresses.free_addresses(db, fixed_ip.vif_id.in_(ids))
            security_groups.leave(db, ids)
            db.execute(sa.delete(vif).where(vif.id.in_(ids)))
        return freed


def vifs_of_instances(uuids: Iterable[str]) -> dict[str, tuple[records.Vif, ...]]:
    """The NICs of each instance in index order; every uuid asked for is a key."""
    wanted = list(uuids)
    with session.database().reader() as db:
        found = read_vifs(db, models.Vif.instance_uuid.in_(wanted))
    return {uuid: tuple(v for v in found if v.instance_uuid == uuid) for uuid in wanted}


def instance_uuid_by_mac(network_uuid: str, mac: str) -> str | None:
    """Whose NIC on the network has this MAC address; None: nobody's."""
    vif, network = models.Vif, models.Network
    query = (
        sa.select(vif.instance_uuid)
        .join(network, network.id == vif.network_id)
        .where(network.uuid == network_uuid, vif.mac == mac)
    )
    with session.database().reader() as db:
        return db.scalar(query)


def vifs_of_networks(uuids: Iterable[str]) -> dict[str, tuple[records.Vif, ...]]:
    """The NICs on each network, by instance and index; every uuid asked for is a key."""
    wanted = list(uuids)
    with session.database().reader() as db:
        found = read_vifs(db, models.Network.uuid.in_(wanted))
    return {uuid: tuple(v for v in found if v.network_uuid == uuid) for uuid in wanted}


def read_vifs(db: orm.Session, *conditions: sa.ColumnElement[bool]) -> tuple[records.Vif, ...]:
    vif, network, instance = models.Vif, models.Network, models.Instance
    query = (
        sa.select(vif, network.uuid, instance.hostname, instance.host)
        .join(network, network.id == vif.network_id)
        .join(instance, instance.uuid == vif.instance_uuid)
        .where(*conditions)
        .order_by(instance.id, vif.index)
    )
    rows = db.execute(query).all()
    ids = [row.Vif.id for row in rows]
    held = addresses.read_addresses(db, ids)
    groups = security_groups.groups_of(db, ids)
    return tuple(
        records.Vif(
            id=row.Vif.id,
            uuid=row.Vif.uuid,
            instance_uuid=row.Vif.instance_uuid,
            network_uuid=row.uuid,
            index=row.Vif.index,
            mac=row.Vif.mac,
            default_route=row.Vif.default_route,
            tag=row.Vif.tag,
            addresses=tuple(held.get(row.Vif.id, ())),
            hostname=row.hostname,
            host=row.host,
            security_groups=tuple(groups.get(row.Vif.id, ())),
            firewall_revision=row.Vif.firewall_revision,
            slot=row.Vif.slot,
            state=model.VifState(row.Vif.state),
        )
        for row in rows
    )
