"""Floating IPs: addresses of the outside that lead to a fixed IP of a NIC.

One leads somewhere only while the NIC still has the fixed IP. So whatever frees an address or a NIC
need not know of floating IPs, and none ever leads to an address's next owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oslo_db import exception as db_exc
import sqlalchemy as sa

from nova import exception
from nova.db import models, quotas, records, retry, security_groups, session

_Row, _Fixed, _Vif, _Network = models.FloatingIp, models.FixedIp, models.Vif, models.Network
_Instance = models.Instance
#: Who serves the network to the NIC.
_HOST = sa.case((_Network.multi_host, _Instance.host), else_=_Network.host)


def _query(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns: tuple[Any, ...] = (_Row, _Fixed.address, _Vif.instance_uuid, _Network.uuid, _HOST)
    return (
        sa.select(*columns)
        .outerjoin(_Fixed, (_Fixed.id == _Row.fixed_ip_id) & (_Fixed.vif_id == _Row.vif_id))
        .outerjoin(_Vif, _Vif.id == _Fixed.vif_id)
        .outerjoin(_Network, _Network.id == _Fixed.network_id)
        .outerjoin(_Instance, _Instance.uuid == _Vif.instance_uuid)
        .where(*conditions)
        .order_by(_Row.id)
    )


def _read(found: Any) -> records.FloatingIp:
    row: models.FloatingIp = found[0]
    return records.FloatingIp(
        id=row.id,
        address=row.address,
        pool=row.pool,
        project_id=row.project_id,
        fixed_ip=found[1],
        instance_uuid=found[2],
        network_uuid=found[3],
        host=found[4],
    )


@retry.on_deadlock
def floating_ips_create(pool: str, addresses: Iterable[str]) -> None:
    """Add addresses, all or none.

    :raises FloatingIpExists: one is there already.
    """
    rows = [models.FloatingIp(pool=pool, address=address) for address in addresses]
    try:
        with session.database().writer() as db:
            db.add_all(rows)
            db.flush()
    except db_exc.DBDuplicateEntry as exc:
        raise exception.FloatingIpExists(pool=pool) from exc


@retry.on_deadlock
def floating_ip_delete(address: str) -> None:
    """:raises FloatingIpNotFound: there is none that no project holds."""
    with session.database().writer() as db:
        gone = sa.delete(_Row).where(_Row.address == address, _Row.project_id.is_(None))
        if not session.count(db, gone):
            raise exception.FloatingIpNotFound(floating_ip=address)


def floating_ip_list(project_id: str | None = None) -> tuple[records.FloatingIp, ...]:
    """All, or those that the project holds."""
    mine = () if project_id is None else (_Row.project_id == project_id,)
    with session.database().reader() as db:
        return tuple(_read(found) for found in db.execute(_query(*mine)))


def floating_ips_of_instances(uuids: Iterable[str]) -> dict[str, tuple[records.FloatingIp, ...]]:
    """Those that lead to each instance; every uuid asked for is a key."""
    wanted = list(uuids)
    with session.database().reader() as db:
        found = [_read(row) for row in db.execute(_query(_Vif.instance_uuid.in_(wanted)))]
    return {uuid: tuple(one for one in found if one.instance_uuid == uuid) for uuid in wanted}


def floating_ip_pools() -> tuple[str, ...]:
    """The names of the pools."""
    with session.database().reader() as db:
        return tuple(db.scalars(sa.select(_Row.pool).distinct().order_by(_Row.pool)))


def floating_ip_get(
    project_id: str, *, number: int | None = None, address: str | None = None
) -> records.FloatingIp:
    """By its id or its address.

    :raises FloatingIpNotFound: there is none, or the project does not hold it.
    """
    key = _Row.id == number if address is None else _Row.address == address
    with session.database().reader() as db:
        found = db.execute(_query(key, _Row.project_id == project_id)).first()
        if found is None:
            raise exception.FloatingIpNotFound(floating_ip=address or number)
        return _read(found)


@retry.on_deadlock
def floating_ip_allocate(project_id: str, pool: str, *, limit: int) -> records.FloatingIp:
    """Let the project hold one of the pool.

    :param limit: the most that it may hold; -1 for any number.
    :raises FloatingIpPoolNotFound:
    :raises NoMoreFloatingIps:
    :raises QuotaExceeded:
    """
    if limit >= 0:
        security_groups.security_group_default(project_id)
    with session.database().writer() as db:
        if limit >= 0:
            quotas.lock(db, project_id)
        # locked in one order, so that no two requests take the same one
        rows = list(
            db.scalars(sa.select(_Row).where(_Row.pool == pool).order_by(_Row.id).with_for_update())
        )
        if not rows:
            raise exception.FloatingIpPoolNotFound(pool=pool)
        quotas.check_floating_ips(db, project_id, limit)
        row = next((row for row in rows if row.project_id is None), None)
        if row is None:
            raise exception.NoMoreFloatingIps(pool=pool)
        row.project_id = project_id
        db.flush()
        return _read(db.execute(_query(_Row.id == row.id)).one())


@retry.on_deadlock
def floating_ip_release(project_id: str, number: int) -> None:
    """Give it back; it leads nowhere then.

    :raises FloatingIpNotFound: the project does not hold it.
    """
    _change(project_id, _Row.id == number, number, project_id=None, fixed_ip_id=None, vif_id=None)


@retry.on_deadlock
def floating_ip_associate(project_id: str, address: str, vif_uuid: str, fixed_ip: str) -> None:
    """Let it lead to a fixed IP of a NIC, wherever it led before.

    :raises FloatingIpNotFound: the project does not hold it.
    :raises FixedIpInvalid: the NIC does not have the address, or another one leads there.
    """
    with session.database().reader() as db:
        found = db.execute(
            sa.select(_Fixed.id, _Vif.id)
            .join(_Vif, _Vif.id == _Fixed.vif_id)
            .where(_Vif.uuid == vif_uuid, _Fixed.address == fixed_ip)
        ).first()
    if found is None:
        raise _invalid(fixed_ip, 'the server does not have it')
    try:
        _change(project_id, _Row.address == address, address, fixed_ip_id=found[0], vif_id=found[1])
    except db_exc.DBDuplicateEntry as exc:
        raise _invalid(fixed_ip, 'another floating IP leads to it') from exc


@retry.on_deadlock
def floating_ip_disassociate(project_id: str, address: str) -> None:
    """Let it lead nowhere.

    :raises FloatingIpNotFound: the project does not hold it.
    """
    _change(project_id, _Row.address == address, address, fixed_ip_id=None, vif_id=None)


def _change(
    holder: str, key: sa.ColumnElement[bool], name: str | int, **values: int | str | None
) -> None:
    with session.database().writer() as db:
        change = sa.update(_Row).where(key, _Row.project_id == holder).values(**values)
        if not session.count(db, change):
            raise exception.FloatingIpNotFound(floating_ip=name)


def _invalid(address: str, reason: str) -> exception.FixedIpInvalid:
    return exception.FixedIpInvalid(address=address, network='-', reason=reason)
