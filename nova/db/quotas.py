"""How much a project may have, and how much it has.

What is counted stays true until the end of a transaction: whoever counts for a project holds the
lock of the project's group ``default``. It is taken before anything is read, for MariaDB goes on
seeing what it saw before it got a lock. So limits are read before, in a transaction of their own;
and where there is no limit, nothing is locked.

A server that is being built counts with the NICs and addresses that it is going to have. So who is
told that a server is accepted is not told later that it was one too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception, primitive
from nova.db import models, records, retry, security_groups, session

_Instance, _Vif, _FixedIp, _Network = (
    models.Instance,
    models.Vif,
    models.FixedIp,
    models.Network,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NicLimits:
    """The most NICs and fixed IPs that the instances of one project may have together; -1 for any
    number."""

    interfaces: int = -1
    fixed_ips: int = -1


NO_LIMITS = NicLimits()


# --- the limits that differ from the configured ones


def quota_defaults() -> dict[str, int]:
    """Those of all projects, by resource."""
    with session.database().reader() as db:
        return _defaults(db)


def _defaults(db: orm.Session) -> dict[str, int]:
    rows = db.scalars(sa.select(models.QuotaDefault))
    return {row.resource: row.hard_limit for row in rows}


@retry.on_deadlock
def quota_set_defaults(limits: Mapping[str, int]) -> None:
    """Let these hold for all projects that have none of their own; others stay as they are."""
    default = models.QuotaDefault
    with session.database().writer() as db:
        db.execute(sa.delete(default).where(default.resource.in_(limits)))
        db.add_all(
            default(resource=resource, hard_limit=limit) for resource, limit in limits.items()
        )


def quota_get(project_id: str) -> dict[str, int]:
    """Those that hold for the project, by resource."""
    query = sa.select(models.Quota).where(models.Quota.project_id == project_id)
    with session.database().reader() as db:
        own = {row.resource: row.hard_limit for row in db.scalars(query)}
        return _defaults(db) | own


@retry.on_deadlock
def quota_set(project_id: str, limits: Mapping[str, int]) -> None:
    """Give the project these limits; it keeps its others."""
    quota = models.Quota
    with session.database().writer() as db:
        db.execute(
            sa.delete(quota).where(quota.project_id == project_id, quota.resource.in_(limits))
        )
        db.add_all(
            quota(project_id=project_id, resource=resource, hard_limit=limit)
            for resource, limit in limits.items()
        )


@retry.on_deadlock
def quota_reset(project_id: str) -> None:
    """Let the limits of all projects hold for the project again."""
    with session.database().writer() as db:
        db.execute(sa.delete(models.Quota).where(models.Quota.project_id == project_id))


# --- what there is


def quota_usage(project_id: str) -> dict[str, int]:
    """How much the project has of each resource that is counted by project."""
    group, floating_ip = models.SecurityGroup, models.FloatingIp
    with session.database().reader() as db:
        return {
            **_servers(db, project_id),
            **_nics(db, project_id, pending=True),
            'networks': _count(db, _Network.project_id == project_id),
            'floating_ips': _count(db, floating_ip.project_id == project_id),
            'security_groups': _count(db, group.project_id == project_id),
        }


def _count(db: orm.Session, condition: sa.ColumnElement[bool]) -> int:
    return db.scalar(sa.select(sa.func.count()).where(condition)) or 0


def _servers(db: orm.Session, project_id: str) -> dict[str, int]:
    flavor = _Instance.flavor[primitive.DATA]
    query = sa.select(
        sa.func.count(),
        sa.func.sum(flavor['vcpus'].as_integer()),
        sa.func.sum(flavor['memory_mb'].as_integer()),
    ).where(_Instance.project_id == project_id)
    instances, cores, ram = db.execute(query).one()
    return {'instances': instances, 'cores': int(cores or 0), 'ram': int(ram or 0)}


def _nics(db: orm.Session, project_id: str, *, pending: bool) -> dict[str, int]:
    """:param pending: count those, too, that servers are going to have."""
    held = (
        sa.select(sa.func.count())
        .select_from(_Vif)
        .join(_Instance, _Instance.uuid == _Vif.instance_uuid)
        .where(_Instance.project_id == project_id)
    )
    addresses = held.join(_FixedIp, _FixedIp.vif_id == _Vif.id)
    found = {'interfaces': db.scalar(held) or 0, 'fixed_ips': db.scalar(addresses) or 0}
    if pending:
        wanted = [nic.network_uuid for nics in _pending(db, project_id) for nic in nics]
        found['interfaces'] += len(wanted)
        found['fixed_ips'] += count_addresses(db, wanted)
    return found


def _pending(db: orm.Session, project_id: str) -> list[Sequence[records.RequestedNetwork]]:
    """What the servers of the project have asked for that have no NICs yet."""
    query = sa.select(_Instance.requested_networks).where(
        _Instance.project_id == project_id,
        _Instance.vm_state == records.VmState.BUILDING,
        _Instance.next_nic_index == 0,
    )
    return [primitive.from_primitive(requested) for requested in db.scalars(query)]


def count_addresses(db: orm.Session, network_uuids: Iterable[str]) -> int:
    """How many addresses NICs on these networks have: one of each family of its network."""
    wanted = list(network_uuids)
    query = sa.select(_Network.uuid, _Network.cidr, _Network.cidr_v6).where(
        _Network.uuid.in_(set(wanted))
    )
    families = {
        row.uuid: (row.cidr is not None) + (row.cidr_v6 is not None) for row in db.execute(query)
    }
    return sum(families.get(uuid, 0) for uuid in wanted)


# --- inside the transactions that take something


def is_unlimited(limits: Iterable[int]) -> bool:
    return all(limit < 0 for limit in limits)


def lock(db: orm.Session, project_id: str) -> None:
    """Let no other transaction count for the project until this one ends; the first statement of
    the transaction. The project's group ``default`` has to be there."""
    group = models.SecurityGroup
    db.execute(
        sa.select(group.id)
        .where(group.project_id == project_id, group.name == security_groups.DEFAULT)
        .with_for_update()
    )


def lock_project_of(db: orm.Session, instance_uuid: str, limits: NicLimits) -> str | None:
    """:func:`lock` for the project of an instance, where there is a limit.

    :returns: the project; None: it was not locked.
    """
    if is_unlimited((limits.interfaces, limits.fixed_ips)):
        return None
    group = models.SecurityGroup
    return db.scalar(
        sa.select(_Instance.project_id)
        .join(group, group.project_id == _Instance.project_id)
        .where(_Instance.uuid == instance_uuid, group.name == security_groups.DEFAULT)
        .with_for_update()
    )


def check_nics(
    db: orm.Session,
    project_id: str | None,
    limits: NicLimits,
    *,
    nics: int,
    fixed_ips: int,
    pending: bool = True,
) -> None:
    """Refuse what would be too much for the project.

    :param project_id: what :func:`lock_project_of` returned.
    :param pending: False for a server that takes what it was promised.
    :raises QuotaExceeded:
    """
    if project_id is None:
        return
    held = _nics(db, project_id, pending=pending)
    check('interfaces', limits.interfaces, held['interfaces'], nics)
    check('fixed_ips', limits.fixed_ips, held['fixed_ips'], fixed_ips)


def check(resource: str, limit: int, held: int, more: int = 1) -> None:
    """:raises QuotaExceeded: ``more`` of the resource would be too much."""
    if more and 0 <= limit < held + more:
        raise exception.QuotaExceeded(resource=resource, allowed=limit, requested=held + more)


def check_networks(db: orm.Session, project_id: str, limit: int) -> None:
    """Refuse one more network of the project, which is locked.

    :raises QuotaExceeded:
    """
    check('networks', limit, _count(db, _Network.project_id == project_id))


def check_floating_ips(db: orm.Session, project_id: str, limit: int) -> None:
    """Refuse one more floating IP of the project, which is locked.

    :raises QuotaExceeded:
    """
    check('floating_ips', limit, _count(db, models.FloatingIp.project_id == project_id))


def choose_count(
    db: orm.Session, new: Sequence[records.NewInstance], at_least: int, limits: Mapping[str, int]
) -> int:
    """How many of these servers, which are alike, the project may have; it is locked.

    :raises QuotaExceeded: not ``at_least``.
    """
    first = new[0]
    networks = [nic.network_uuid for nic in first.requested_networks]
    needs = {
        'instances': 1,
        'cores': first.flavor.vcpus,
        'ram': first.flavor.memory_mb,
        'interfaces': len(networks),
        'fixed_ips': count_addresses(db, networks),
    }
    held = _servers(db, first.project_id) | _nics(db, first.project_id, pending=True)
    count = len(new)
    for resource, need in needs.items():
        limit = limits.get(resource, -1)
        check(resource, limit, held[resource], need * at_least)
        if need and limit >= 0:
            count = min(count, (limit - held[resource]) // need)
    return count
