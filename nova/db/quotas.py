"""How much a project may have of what its instances hold."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import models, security_groups


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NicLimits:
    """The most NICs and fixed IPs that the instances of one project may have together; -1 for any
    number."""

    interfaces: int = -1
    fixed_ips: int = -1


NO_LIMITS = NicLimits()


def check_nics(
    db: orm.Session, instance_uuid: str, limits: NicLimits, *, nics: int, fixed_ips: int
) -> None:
    """Refuse what would be too much for the project of an instance; inside the transaction that
    then takes it, and before anything else in it. What is counted stays true until its end: whoever
    counts for a project holds the lock of the project's group ``default``. Where there is no
    limit, nothing is locked.

    :raises QuotaExceeded:
    """
    if limits.interfaces < 0 and limits.fixed_ips < 0:
        return
    vif, instance, fixed_ip = models.Vif, models.Instance, models.FixedIp
    group = models.SecurityGroup
    # one statement, and the first: MariaDB goes on seeing what it saw before it got the lock
    project_id = db.scalar(
        sa.select(instance.project_id)
        .join(group, group.project_id == instance.project_id)
        .where(instance.uuid == instance_uuid, group.name == security_groups.DEFAULT)
        .with_for_update()
    )
    held = (
        sa.select(sa.func.count())
        .select_from(vif)
        .join(instance, instance.uuid == vif.instance_uuid)
        .where(instance.project_id == project_id)
    )
    addresses = held.join(fixed_ip, fixed_ip.vif_id == vif.id)
    _check('interfaces', limits.interfaces, db.scalar(held) or 0, nics)
    _check('fixed_ips', limits.fixed_ips, db.scalar(addresses) or 0, fixed_ips)


def _check(resource: str, limit: int, held: int, more: int) -> None:
    if more and 0 <= limit < held + more:
        raise exception.QuotaExceeded(resource=resource, allowed=limit, requested=held + more)
