"""Networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import datetime
from typing import Any

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
    row = _build_row(new)
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
        _add_addresses(db, row.id, addresses)
        return _read(row)


def _build_row(new: records.NewNetwork) -> models.Network:
    return models.Network(
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


def _add_addresses(db: orm.Session, network_id: int, addresses: Sequence[tuple[str, bool]]) -> None:
    for start in range(0, len(addresses), _BATCH):
        batch = addresses[start : start + _BATCH]
        values = [
            {'network_id': network_id, 'address': address, 'reserved': reserved}
            for address, reserved in batch
        ]
        db.execute(sa.insert(models.FixedIp), values)


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
    """When each of the networks that the host serves, alone or among others, was last changed, by
    uuid."""
    network = models.Network
    query = sa.select(network.uuid, network.updated_at).where(
        (network.host == host) | network.hosts.any(models.NetworkHost.host == host)
    )
    with session.database().reader() as db:
        return {row.uuid: row.updated_at for row in db.execute(query)}


@retry.on_deadlock
def network_update(uuid: str, *, unused: bool = False, **values: Any) -> records.Network:
    """Change a network.

    :param unused: only while no NIC is on it.
    :param values: of ``label``, ``project_id``, ``dns``, ``mtu``, ``routes``, ``gateway``,
        ``host``. An address that was the gateway's stays reserved, as guests may go on using it.
    :raises NetworkNotFound:
    :raises NetworkInUse: NICs are on it, and it is to be unused, or another host or project is
        wanted.
    :raises FixedIpInUse: a NIC has the address that is to be the gateway's.
    """
    with session.database().writer() as db:
        row = _row(db, uuid)
        moves = {
            field
            for field in ('host', 'project_id')
            if field in values and values[field] != getattr(row, field) is not None
        }
        if moves or unused:
            _check_unused(db, row)
        for field, value in values.items():
            stored = value
            if field == 'dns':
                stored = list(value)
            elif field == 'routes':
                stored = [dataclasses.asdict(route) for route in value]
            elif field == 'gateway' and value is not None:
                _reserve(db, row, value)
            setattr(row, field, stored)
        db.flush()
        return _read(row)


def _check_unused(db: orm.Session, row: models.Network) -> None:
    count = db.scalar(sa.select(sa.func.count()).where(models.Vif.network_id == row.id))
    if count:
        raise exception.NetworkInUse(network_id=row.uuid, count=count)


def _reserve(db: orm.Session, row: models.Network, address: str) -> None:
    """Let no NIC get an IPv4 address of the range."""
    fixed_ip = models.FixedIp
    here = (fixed_ip.network_id == row.id, fixed_ip.address == address)
    free = sa.update(fixed_ip).where(*here, fixed_ip.vif_id.is_(None)).values(reserved=True)
    if not session.count(db, free):
        raise exception.FixedIpInUse(address=address, network=row.label)


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
        fixed_ip = models.FixedIp
        _check_unused(db, row)
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


def read_networks(
    db: orm.Session, uuids: set[str], *, alone: bool = False
) -> dict[str, models.Network]:
    """:param alone: wait until no other transaction makes NICs on them, and let none begin."""
    query = sa.select(models.Network).where(models.Network.uuid.in_(uuids))
    if alone:
        query = query.order_by(models.Network.id).with_for_update()
    found = {row.uuid: row for row in db.scalars(query)}
    for uuid in uuids - found.keys():
        raise exception.NetworkNotFound(network_id=uuid)
    return found


def families(network: models.Network) -> int:
    """How many addresses a NIC on the network gets."""
    return (network.cidr is not None) + (network.cidr_v6 is not None)
