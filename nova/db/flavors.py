"""Flavors."""

from __future__ import annotations

from oslo_db import exception as db_exc
import sqlalchemy as sa

from nova import exception
from nova.db import models, records, retry, session


def read(row: models.Flavor) -> records.Flavor:
    return records.Flavor(
        id=row.id,
        flavorid=row.flavorid,
        name=row.name,
        memory_mb=row.memory_mb,
        vcpus=row.vcpus,
        root_gb=row.root_gb,
        ephemeral_gb=row.ephemeral_gb,
        swap_mb=row.swap_mb,
        is_public=row.is_public,
        disabled=row.disabled,
        extra_specs=dict(row.extra_specs),
    )


@retry.on_deadlock
def flavor_create(
    *,
    flavorid: str,
    name: str,
    memory_mb: int,
    vcpus: int,
    root_gb: int,
    ephemeral_gb: int = 0,
    swap_mb: int = 0,
    is_public: bool = True,
) -> records.Flavor:
    """:raises FlavorExists: the id or the name is taken."""
    row = models.Flavor(
        flavorid=flavorid,
        name=name,
        memory_mb=memory_mb,
        vcpus=vcpus,
        root_gb=root_gb,
        ephemeral_gb=ephemeral_gb,
        swap_mb=swap_mb,
        is_public=is_public,
        extra_specs={},
    )
    try:
        with session.database().writer() as db:
            db.add(row)
            db.flush()
            return read(row)
    except db_exc.DBDuplicateEntry as exc:
        raise exception.FlavorExists(name=name) from exc


def flavor_get(flavorid: str) -> records.Flavor:
    """:raises FlavorNotFound:"""
    with session.database().reader() as db:
        row = db.scalar(sa.select(models.Flavor).where(models.Flavor.flavorid == flavorid))
        if row is None:
            raise exception.FlavorNotFound(flavor_id=flavorid)
        return read(row)


def flavor_list() -> tuple[records.Flavor, ...]:
    """All flavors, the smallest first."""
    order = (models.Flavor.memory_mb, models.Flavor.vcpus, models.Flavor.root_gb, models.Flavor.id)
    with session.database().reader() as db:
        return tuple(read(row) for row in db.scalars(sa.select(models.Flavor).order_by(*order)))


@retry.on_deadlock
def flavor_delete(flavorid: str) -> None:
    """:raises FlavorNotFound:"""
    with session.database().writer() as db:
        gone = sa.delete(models.Flavor).where(models.Flavor.flavorid == flavorid)
        if session.count(db, gone) == 0:
            raise exception.FlavorNotFound(flavor_id=flavorid)
