"""Networks, NICs and fixed IPs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import datetime
from typing import Any, cast

from oslo_db import exception as db_exc
import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import models, quotas, records, retry, security_groups, session
from nova.network import model

#: Rows of one INSERT; well below the 32,766 variables of an SQLite statement.
_BATCH = 2000


def _read(row: models.Network) -> records.Network:
    return records.Network(
        id=row.id,
        uuid=row.uuid,
        label=row.label,
        kind=model.NetworkKind(row.kind),
        project_id=row.project_id,
        cidr=row.cidr,
        gateway=row.gateway,
        dhcp_server=row.dhcp_server,
        dhcp_start=row.dhcp_start,
        dhcp_end=row.dhcp_end,
        dns=tuple(row.dns),
        bridge=row.bridge,
        physical_network=row.physical_network,
        vlan=row.vlan,
        mtu=row.mtu,
        multi_host=row.multi_host,
        host=row.host,
        created_at=row.created_at,
        updated_at=row.updated_at,
        cidr_v6=row.cidr_v6,
        gateway_v6=row.gateway_v6,
        ipv6_mode=None if row.ipv6_mode is None else model.Ipv6Mode(row.ipv6_mode),
        routes=tuple(model.Route(**route) for route in row.routes),
        hosts={entry.host: entry.address for entry in row.hosts} if row.multi_host else {},
    )


@retry.on_deadlock
def network_create(
    new: records.NewNetwork,
    addresses: Sequence[tuple[str, bool]],
    guard: Callable[[Sequence[records.Network]], None],
    limit: int = -1,
) -> records.Network:
    """Store a network with all its addresses.

    :param addresses: ``(address, reserved)`` in the order in which they are to be given out.
    :param guard: called with every network in the same transaction; raises to refuse the new one.
    :param limit: the most networks that its project may have; -1 for any number.
    :raises QuotaExceeded:
    """
    row = models.Network(
        uuid=new.uuid,
        label=new.label,
        kind=new.kind,
        project_id=new.project_id,
        cidr=new.cidr,
        gateway=new.gateway,
        dhcp_server=new.dhcp_server,
        dhcp_start=new.dhcp_start,
        dhcp_end=new.dhcp_end,
        dns=list(new.dns),
        bridge=new.bridge,
        physical_network=new.physical_network,
        vlan=new.vlan,
        mtu=new.mtu,
        multi_host=new.multi_host,
        cidr_v6=new.cidr_v6,
        gateway_v6=new.gateway_v6,
        ipv6_mode=new.ipv6_mode,
        routes=[dataclasses.asdict(route) for route in new.routes],
    )
    limited = limit >= 0 and new.project_id is not None
    if limited:
        security_groups.security_group_default(str(new.project_id))
    with session.database().writer() as db:
        if limited:
            quotas.lock(db, str(new.project_id))
            quotas.check_networks(db, str(new.project_id), limit)
        _lock_networks(db)
        guard(tuple(_read(other) for other in db.scalars(sa.select(models.Network))))
        db.add(row)
        try:
            db.flush()
        except db_exc.DBDuplicateEntry as exc:
            # MariaDB's lock does not keep others from adding rows
            raise exception.VlanInUse(
                field='Physical network',
                value=f'{new.physical_network} VLAN {new.vlan}',
                label='of another request',
                network_id=new.uuid,
            ) from exc
        for start in range(0, len(addresses), _BATCH):
            batch = addresses[start : start + _BATCH]
            values = [
                {'network_id': row.id, 'address': address, 'reserved': reserved}
                for address, reserved in batch
            ]
            db.execute(sa.insert(models.FixedIp), values)
        return _read(row)


def _lock_networks(db: orm.Session) -> None:
    """Keep other writers from making a network until this transaction ends: what the guard saw
    must stay true. SQLite has but one writer anyway."""
    dialect = db.get_bind().dialect.name
    if dialect == 'postgresql':
        db.execute(sa.text('LOCK TABLE networks IN SHARE ROW EXCLUSIVE MODE'))
    elif dialect in ('mysql', 'mariadb'):
        db.execute(sa.select(models.Network.id).with_for_update())


def network_get(uuid: str) -> records.Network:
    """:raises NetworkNotFound:"""
    with session.database().reader() as db:
        return _read(_row(db, uuid))


def _row(db: orm.Session, uuid: str) -> models.Network:
    row = db.scalar(sa.select(models.Network).where(models.Network.uuid == uuid))
    if row is None:
        raise exception.NetworkNotFound(network_id=uuid)
    return row


def network_list(project_id: str | None = None) -> tuple[records.Network, ...]:
    """All networks in id order; with ``project_id``, that project's and those of no project."""
    query = (
        sa.select(models.Network)
        .options(orm.selectinload(models.Network.hosts))
        .order_by(models.Network.id)
    )
    if project_id is not None:
        mine = models.Network.project_id == project_id
        query = query.where(mine | models.Network.project_id.is_(None))
    with session.database().reader() as db:
        return tuple(_read(row) for row in db.scalars(query))


def networks_changed(host: str) -> dict[str, datetime.datetime]:
    """When each of the networks that the host serves was last changed, by uuid."""
    network = models.Network
    query = sa.select(network.uuid, network.updated_at).where(network.host == host)
    with session.database().reader() as db:
        return {row.uuid: row.updated_at for row in db.execute(query)}


@retry.on_deadlock
def network_update(uuid: str, **values: Any) -> records.Network:
    """Change a network.

    :param values: of ``label``, ``project_id``, ``dns``, ``mtu``, ``routes``, ``host``.
    :raises NetworkNotFound:
    :raises NetworkInUse: another host or project is wanted, and NICs are on it.
    """
    with session.database().writer() as db:
        row = _row(db, uuid)
        moves = {
            field
            for field in ('host', 'project_id')
            if field in values and values[field] != getattr(row, field) is not None
        }
        if moves:
            count = db.scalar(sa.select(sa.func.count()).where(models.Vif.network_id == row.id))
            if count:
                raise exception.NetworkInUse(network_id=uuid, count=count)
        for field, value in values.items():
            stored = value
            if field == 'dns':
                stored = list(value)
            elif field == 'routes':
                stored = [dataclasses.asdict(route) for route in value]
            setattr(row, field, stored)
        db.flush()
        return _read(row)


@retry.on_deadlock
def network_take(uuid: str, project_id: str) -> records.Network | None:
    """Give the network to the project, if no other project has it.

    :returns: the network, or None if there is none for the project.
    """
    network = models.Network
    with session.database().writer() as db:
        session.count(
            db,
            sa.update(network)
            .where(network.uuid == uuid, network.project_id.is_(None))
            .values(project_id=project_id),
        )
        mine = network.project_id == project_id
        row = db.scalar(sa.select(network).where(network.uuid == uuid, mine))
        return None if row is None else _read(row)


def network_take_free(project_id: str, kind: model.NetworkKind) -> records.Network | None:
    """Give the project the oldest network of ``kind`` that no project has.

    :returns: the network, or None if all have a project.
    """
    network = models.Network
    query = (
        sa.select(network.uuid)
        .where(network.kind == kind, network.project_id.is_(None))
        .order_by(network.id)
    )
    with session.database().reader() as db:
        candidates = list(db.scalars(query))
    for uuid in candidates:
        taken = network_take_if_free(uuid, project_id)
        if taken is not None:
            return taken
    return None


@retry.on_deadlock
def network_take_if_free(uuid: str, project_id: str) -> records.Network | None:
    """Give the network to the project, if no project has it, be it the same one.

    :returns: the network, or None.
    """
    network = models.Network
    with session.database().writer() as db:
        taken = session.count(
            db,
            sa.update(network)
            .where(network.uuid == uuid, network.project_id.is_(None))
            .values(project_id=project_id),
        )
        return _read(_row(db, uuid)) if taken else None


@retry.on_deadlock
def network_delete(uuid: str) -> None:
    """Remove a network and its addresses.

    :raises NetworkNotFound:
    :raises NetworkInUse: NICs are on it.
    """
    with session.database().writer() as db:
        row = _row(db, uuid)
        vif, fixed_ip = models.Vif, models.FixedIp
        count = db.scalar(sa.select(sa.func.count()).where(vif.network_id == row.id)) or 0
        if count:
            raise exception.NetworkInUse(network_id=uuid, count=count)
        try:
            db.execute(sa.delete(fixed_ip).where(fixed_ip.network_id == row.id))
            db.delete(row)
            db.flush()
        except db_exc.DBReferenceError as exc:  # a NIC came between
            raise exception.NetworkInUse(network_id=uuid, count=1) from exc


@retry.on_deadlock
def network_claim_host(uuid: str, host: str) -> records.Network:
    """Let ``host`` serve the network if nobody does yet.

    :returns: the network as it is then, with whatever host serves it.
    :raises NetworkNotFound:
    """
    with session.database().writer() as db:
        db.execute(
            sa.update(models.Network)
            .where(models.Network.uuid == uuid, models.Network.host.is_(None))
            .values(host=host)
        )
        return _read(_row(db, uuid))


@retry.on_deadlock
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
    now = models.utcnow()
    free_since = now - datetime.timedelta(seconds=quarantine_s)
    with session.database().writer() as db:
        project_id = quotas.lock_project_of(db, instance_uuid, limits)
        networks = read_networks(db, {nic.network_uuid for nic in wanted})
        addresses = sum(families(networks[nic.network_uuid]) for nic in wanted)
        quotas.check_nics(
            db, project_id, limits, nics=len(wanted), fixed_ips=addresses, pending=False
        )
        vif_ids = insert_vifs(db, instance_uuid, wanted, networks)
        db.execute(
            sa.update(models.Instance)
            .where(models.Instance.uuid == instance_uuid)
            .values(next_nic_index=len(wanted))
        )

        def in_lock_order(nic: records.WantedNic) -> tuple[int, bool, str, str, int]:
            return (
                networks[nic.network_uuid].id,
                nic.fixed_ip is None,
                nic.fixed_ip or '',
                nic.fixed_ip_v6 or '',
                nic.index,
            )

        for nic in sorted(wanted, key=in_lock_order):
            network, vif_id = networks[nic.network_uuid], vif_ids[nic.uuid]
            if nic.fixed_ip is not None:
                take_address(db, network, vif_id, nic.fixed_ip)
            elif network.cidr is not None:
                take_any(db, network, vif_id, free_since)
            if nic.fixed_ip_v6 is not None:
                take_address_v6(db, network, vif_id, nic.fixed_ip_v6)
        # last, for these rows are those of every NIC in the group
        security_groups.join(db, {vif_ids[nic.uuid]: nic.security_groups for nic in wanted})


def read_networks(db: orm.Session, uuids: set[str]) -> dict[str, models.Network]:
    rows = db.scalars(sa.select(models.Network).where(models.Network.uuid.in_(uuids)))
    found = {row.uuid: row for row in rows}
    for uuid in uuids - found.keys():
        raise exception.NetworkNotFound(network_id=uuid)
    return found


def families(network: models.Network) -> int:
    """How many addresses a NIC on the network gets."""
    return (network.cidr is not None) + (network.cidr_v6 is not None)


def insert_vifs(
    db: orm.Session,
    instance_uuid: str,
    wanted: Sequence[records.WantedNic],
    networks: dict[str, models.Network],
    slot: int | None = None,
    state: model.VifState = model.VifState.ACTIVE,
) -> dict[str, int]:
    rows = [
        models.Vif(
            uuid=nic.uuid,
            instance_uuid=instance_uuid,
            network_id=networks[nic.network_uuid].id,
            index=nic.index,
            slot=nic.index if slot is None else slot,
            mac=nic.mac,
            default_route=nic.default_route,
            tag=nic.tag,
            state=state,
        )
        for nic in wanted
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


def take_address(db: orm.Session, network: models.Network, vif_id: int, address: str) -> None:
    fixed_ip = models.FixedIp
    here = (fixed_ip.network_id == network.id, fixed_ip.address == address)
    take = (
        sa.update(fixed_ip)
        .where(*here, fixed_ip.vif_id.is_(None), fixed_ip.reserved.is_(False))
        .values(vif_id=vif_id)
    )
    if session.count(db, take):
        return
    row = db.scalar(sa.select(fixed_ip).where(*here))
    if row is None or row.reserved:
        reason = 'it is reserved' if row is not None else f'it is not in the range {network.cidr}'
        raise exception.FixedIpInvalid(address=address, network=network.label, reason=reason)
    raise exception.FixedIpInUse(address=address, network=network.label)


def take_address_v6(db: orm.Session, network: models.Network, vif_id: int, address: str) -> None:
    """A /64 has too many addresses for a row each, so a row is made of the one that is given, and
    the unique key decides who gets it."""
    label = network.label
    db.add(models.FixedIp(network_id=network.id, address=address, vif_id=vif_id))
    try:
        db.flush()
    except db_exc.DBDuplicateEntry as exc:
        raise exception.FixedIpInUse(address=address, network=label) from exc


def take_any(
    db: orm.Session, network: models.Network, vif_id: int, free_since: datetime.datetime
) -> None:
    """Take the address that has been free longest. SKIP LOCKED passes over rows that others are
    taking at this moment instead of queueing for them; SQLite has one writer and no such clause,
    which SQLAlchemy leaves out there."""
    fixed_ip = models.FixedIp
    free = (
        sa.select(fixed_ip.id)
        .where(
            fixed_ip.network_id == network.id,
            fixed_ip.vif_id.is_(None),
            fixed_ip.reserved.is_(False),
            fixed_ip.released_at <= free_since,
        )
        .order_by(fixed_ip.released_at, fixed_ip.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if db.get_bind().dialect.update_returning:
        take = (
            sa.update(fixed_ip)
            .where(fixed_ip.id == free.scalar_subquery())
            .values(vif_id=vif_id)
            .returning(fixed_ip.id)
            .execution_options(synchronize_session=False)
        )
        taken = db.scalar(take)
    else:  # MariaDB updates without RETURNING
        taken = db.scalar(free)
        if taken is not None:
            db.execute(sa.update(fixed_ip).where(fixed_ip.id == taken).values(vif_id=vif_id))
    if taken is None:
        raise exception.NoMoreFixedIps(network=network.label)


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
            free_addresses(db, fixed_ip.vif_id.in_(ids))
            security_groups.leave(db, ids)
            db.execute(sa.delete(vif).where(vif.id.in_(ids)))
        return freed


def free_addresses(db: orm.Session, *which: sa.ColumnElement[bool]) -> None:
    """Free addresses. The rows of IPv4 wait for their next NIC; those of IPv6 are removed."""
    fixed_ip = models.FixedIp
    db.execute(
        sa.delete(fixed_ip)
        .where(*which, fixed_ip.address.contains(':'))
        .execution_options(synchronize_session=False)
    )
    db.execute(
        sa.update(fixed_ip)
        .where(*which)
        .values(vif_id=None, place=0, released_at=models.utcnow())
        .execution_options(synchronize_session=False)
    )


def vifs_of_instances(uuids: Iterable[str]) -> dict[str, tuple[records.Vif, ...]]:
    """The NICs of each instance in index order; every uuid asked for is a key."""
    wanted = list(uuids)
    with session.database().reader() as db:
        found = read_vifs(db, models.Vif.instance_uuid.in_(wanted))
    return {uuid: tuple(v for v in found if v.instance_uuid == uuid) for uuid in wanted}


def instance_uuid_by_address(network_uuid: str, address: str) -> str | None:
    """Whose NIC on the network has this fixed IP; None: nobody's."""
    vif, fixed_ip, network = models.Vif, models.FixedIp, models.Network
    query = (
        sa.select(vif.instance_uuid)
        .join(fixed_ip, fixed_ip.vif_id == vif.id)
        .join(network, network.id == fixed_ip.network_id)
        .where(network.uuid == network_uuid, fixed_ip.address == address)
    )
    with session.database().reader() as db:
        return db.scalar(query)


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
    addresses = _addresses(db, ids)
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
            addresses=tuple(addresses.get(row.Vif.id, ())),
            hostname=row.hostname,
            host=row.host,
            security_groups=tuple(groups.get(row.Vif.id, ())),
            firewall_revision=row.Vif.firewall_revision,
            slot=row.Vif.slot,
            state=model.VifState(row.Vif.state),
        )
        for row in rows
    )


def _addresses(db: orm.Session, vif_ids: Sequence[int]) -> dict[int, list[str]]:
    fixed_ip = models.FixedIp
    query = (
        sa.select(fixed_ip)
        .where(fixed_ip.vif_id.in_(vif_ids))
        .order_by(fixed_ip.place, fixed_ip.id)
    )
    found: dict[int, list[str]] = {}
    for row in db.scalars(query):
        found.setdefault(cast(int, row.vif_id), []).append(row.address)
    return found
