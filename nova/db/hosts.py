"""Services and compute nodes: who is there, what they have, and claims on it."""

from __future__ import annotations

from collections.abc import Sequence
import datetime
import uuid

from oslo_db import exception as db_exc
import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import models, network_hosts, records, retry, session


def _read_service(row: models.Service) -> records.Service:
    return records.Service(
        id=row.id,
        host=row.host,
        binary=row.binary,
        disabled=row.disabled,
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
    )


def _read_node(row: models.ComputeNode) -> records.ComputeNode:
    return records.ComputeNode(
        id=row.id,
        uuid=row.uuid,
        host=row.host,
        hypervisor_type=row.hypervisor_type,
        hypervisor_version=row.hypervisor_version,
        vcpus=row.vcpus,
        memory_mb=row.memory_mb,
        disk_gb=row.disk_gb,
        vcpus_used=row.vcpus_used,
        memory_mb_used=row.memory_mb_used,
        disk_gb_used=row.disk_gb_used,
        instances=row.instances,
    )


@retry.on_deadlock
def service_report(host: str, binary: str) -> None:
    """Note that the service is alive now; the first report makes its row."""
    now = models.utcnow()
    mine = (models.Service.host == host, models.Service.binary == binary)
    with session.database().writer() as db:
        if session.count(db, sa.update(models.Service).where(*mine).values(last_seen_at=now)):
            return
    try:
        with session.database().writer() as db:
            db.add(models.Service(host=host, binary=binary, last_seen_at=now))
    except db_exc.DBDuplicateEntry:
        pass  # another process of the same name reported first, which says the same


def service_list() -> tuple[records.Service, ...]:
    """All services that ever reported, by host and name."""
    order = (models.Service.host, models.Service.binary)
    with session.database().reader() as db:
        rows = db.scalars(sa.select(models.Service).order_by(*order))
        return tuple(_read_service(row) for row in rows)


@retry.on_deadlock
def service_set_disabled(
    host: str, binary: str, disabled: bool, reason: str | None = None
) -> records.Service:
    """Whether the service gets new work.

    :param reason: for other operators; forgotten when it is enabled.
    :raises ServiceNotFound: no such service ever reported.
    """
    service = models.Service
    with session.database().writer() as db:
        row = db.scalar(sa.select(service).where(service.host == host, service.binary == binary))
        if row is None:
            raise exception.ServiceNotFound(binary=binary, host=host)
        row.disabled, row.disabled_reason = disabled, reason if disabled else None
        db.flush()
        return _read_service(row)


@retry.on_deadlock
def host_forget(host: str, down_since: datetime.datetime) -> None:
    """Remove all that is stored of a host that is lost for good: its services, what it has, and its
    addresses on networks that every host serves.

    :param down_since: a service that reported later is not lost.
    :raises HostNotFound: no service of it ever reported.
    :raises HostInUse: it is not lost, or instances are on it.
    """
    service, node = models.Service, models.ComputeNode
    with session.database().writer() as db:
        seen = {row.binary: row.last_seen_at for row in _services_of(db, host)}
        if not seen:
            raise exception.HostNotFound(host=host)
        up = sorted(binary for binary, last in seen.items() if last > down_since)
        if up:
            raise exception.HostInUse(host=host, reason=f'{", ".join(up)} is up')
        mine = models.Instance.host == host
        count = db.scalar(sa.select(sa.func.count()).where(mine))
        if count:
            raise exception.HostInUse(host=host, reason=f'{count} instance(s) are on it')
        network_hosts.release_all(db, host)
        db.execute(sa.delete(node).where(node.host == host))
        db.execute(sa.delete(service).where(service.host == host))


def _services_of(db: orm.Session, host: str) -> Sequence[models.Service]:
    return db.scalars(sa.select(models.Service).where(models.Service.host == host)).all()


@retry.on_deadlock
def compute_node_report(
    host: str,
    *,
    hypervisor_type: str,
    hypervisor_version: int,
    vcpus: int,
    memory_mb: int,
    disk_gb: int,
) -> records.ComputeNode:
    """Store what ``host`` has; what is claimed of it stays."""
    values = {
        'hypervisor_type': hypervisor_type,
        'hypervisor_version': hypervisor_version,
        'vcpus': vcpus,
        'memory_mb': memory_mb,
        'disk_gb': disk_gb,
    }
    with session.database().writer() as db:
        row = db.scalar(sa.select(models.ComputeNode).where(models.ComputeNode.host == host))
        if row is None:
            row = models.ComputeNode(uuid=str(uuid.uuid4()), host=host, **values)
            db.add(row)
        else:
            for name, value in values.items():
                setattr(row, name, value)
        db.flush()
        return _read_node(row)


def compute_node_get(host: str) -> records.ComputeNode:
    """:raises HostNotFound:"""
    with session.database().reader() as db:
        row = db.scalar(sa.select(models.ComputeNode).where(models.ComputeNode.host == host))
        if row is None:
            raise exception.HostNotFound(host=host)
        return _read_node(row)


def compute_node_list() -> tuple[records.ComputeNode, ...]:
    """All compute nodes, by host."""
    with session.database().reader() as db:
        rows = db.scalars(sa.select(models.ComputeNode).order_by(models.ComputeNode.host))
        return tuple(_read_node(row) for row in rows)


@retry.on_deadlock
def instance_claim(
    instance_uuid: str,
    host: str,
    *,
    vcpus: int,
    memory_mb: int,
    disk_gb: int,
    vcpus_limit: int,
    memory_mb_limit: int,
    disk_gb_limit: int,
) -> bool:
    """Give the instance, which has no host yet, to ``host`` if its claims stay within the limits.

    The comparison and the claim are one statement, so that two schedulers cannot both take the
    last room.

    :returns: False when the room is gone; nothing is changed then.
    :raises InstanceNotFound: it was deleted meanwhile, or has a host.
    """
    node, instance = models.ComputeNode, models.Instance
    claim = (
        sa.update(node)
        .where(
            node.host == host,
            node.vcpus_used + vcpus <= vcpus_limit,
            node.memory_mb_used + memory_mb <= memory_mb_limit,
            node.disk_gb_used + disk_gb <= disk_gb_limit,
        )
        .values(
            vcpus_used=node.vcpus_used + vcpus,
            memory_mb_used=node.memory_mb_used + memory_mb,
            disk_gb_used=node.disk_gb_used + disk_gb,
            instances=node.instances + 1,
        )
    )
    place = (
        sa.update(instance)
        .where(
            instance.uuid == instance_uuid,
            instance.host.is_(None),
            instance.task_state == records.TaskState.SCHEDULING,
        )
        .values(host=host)
    )
    with session.database().writer() as db:
        if session.count(db, claim) == 0:
            return False
        if session.count(db, place) == 0:
            raise exception.InstanceNotFound(instance_id=instance_uuid)
    return True
