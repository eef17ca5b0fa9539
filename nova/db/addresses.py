"""Fixed IPs: which NIC has which address."""

from __future__ import annotations

from collections.abc import Sequence
import datetime
from typing import cast

from oslo_db import exception as db_exc
import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import models, session


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
    """Take the address that has been free longest."""
    fixed_ip, free = models.FixedIp, longest_free(network, free_since)
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


def longest_free(network: models.Network, free_since: datetime.datetime) -> sa.Select[int]:
    """The row that is to be taken next, locked. SKIP LOCKED passes over rows that others are
    taking at this moment instead of queueing for them; SQLite has one writer and no such clause,
    which SQLAlchemy leaves out there."""
    fixed_ip = models.FixedIp
    return (
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


def read_addresses(db: orm.Session, vif_ids: Sequence[int]) -> dict[int, list[str]]:
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
