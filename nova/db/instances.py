"""Instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception, primitive
from nova.db import models, quotas, records, retry, security_groups, session


class _Any:
    """The type of :data:`ANY`."""


#: Says that a compare-and-swap does not mind the present task state.
ANY: Final = _Any()


def _read(row: models.Instance) -> records.Instance:
    fault = None
    if row.fault_at is not None:
        fault = records.Fault(
            code=row.fault_code or 500,
            message=row.fault_message or '',
            details=row.fault_details or '',
            created_at=row.fault_at,
        )
    requested = primitive.from_primitive(row.requested_networks)
    return records.Instance(
        id=row.id,
        uuid=row.uuid,
        project_id=row.project_id,
        user_id=row.user_id,
        display_name=row.display_name,
        hostname=row.hostname,
        image_ref=row.image_ref,
        flavor=primitive.from_primitive(row.flavor),
        vm_state=records.VmState(row.vm_state),
        task_state=records.TaskState(row.task_state) if row.task_state else None,
        power_state=records.PowerState(row.power_state),
        host=row.host,
        key_name=row.key_name,
        user_data=row.user_data,
        config_drive=row.config_drive,
        locked=row.locked,
        availability_zone=row.availability_zone,
        metadata=dict(row.user_metadata),
        requested_networks=tuple(requested),
        reservation_id=row.reservation_id,
        launch_index=row.launch_index,
        created_at=row.created_at,
        updated_at=row.updated_at,
        launched_at=row.launched_at,
        fault=fault,
    )


def instance_create(**values: Any) -> records.Instance:
    """Store one new instance, which waits for the scheduler.

    :param values: of :class:`nova.db.records.NewInstance`.
    """
    return instances_create([records.NewInstance(**values)])[0]


def instances_create(
    new: Sequence[records.NewInstance],
    *,
    at_least: int | None = None,
    limits: Mapping[str, int] | None = None,
) -> tuple[records.Instance, ...]:
    """Store new instances of one request, as many as ``limits`` allow.

    :param new: one at least; they differ in their names only.
    :param at_least: with fewer than so many, none is stored; None: with fewer than all.
    :param limits: the most of each resource for their project; one that is missing has none.
    :raises QuotaExceeded:
    """
    limits = {name: limit for name, limit in (limits or {}).items() if limit >= 0}
    if limits:
        security_groups.security_group_default(new[0].project_id)
    return _create(new, len(new) if at_least is None else at_least, limits)


@retry.on_deadlock
def _create(
    new: Sequence[records.NewInstance], at_least: int, limits: Mapping[str, int]
) -> tuple[records.Instance, ...]:
    with session.database().writer() as db:
        count = len(new)
        if limits:
            quotas.lock(db, new[0].project_id)
            count = quotas.choose_count(db, new, at_least, limits)
        rows = [_build(instance) for instance in new[:count]]
        db.add_all(rows)
        db.flush()
        return tuple(_read(row) for row in rows)


def _build(new: records.NewInstance) -> models.Instance:
    return models.Instance(
        uuid=new.uuid,
        project_id=new.project_id,
        user_id=new.user_id,
        display_name=new.display_name,
        hostname=new.hostname,
        image_ref=new.image_ref,
        flavor=primitive.to_primitive(new.flavor),
        vm_state=records.VmState.BUILDING,
        task_state=records.TaskState.SCHEDULING,
        power_state=records.PowerState.NOSTATE,
        key_name=new.key_name,
        user_data=new.user_data,
        config_drive=new.config_drive,
        availability_zone=new.availability_zone,
        user_metadata=dict(new.metadata),
        requested_networks=primitive.to_primitive(new.requested_networks),
        reservation_id=new.reservation_id,
        launch_index=new.launch_index,
    )


def instance_get(uuid: str, project_id: str | None = None) -> records.Instance:
    """The instance; with ``project_id``, only if it is that project's.

    :raises InstanceNotFound:
    """
    with session.database().reader() as db:
        return _read(_row(db, uuid, project_id))


def _row(db: orm.Session, uuid: str, project_id: str | None = None) -> models.Instance:
    query = sa.select(models.Instance).where(models.Instance.uuid == uuid)
    if project_id is not None:
        query = query.where(models.Instance.project_id == project_id)
    row = db.scalar(query)
    if row is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    return row


def instance_list(
    *,
    project_id: str | None = None,
    host: str | None = None,
    vm_states: Sequence[records.VmState] = (),
    flavorid: str | None = None,
    image_ref: str | None = None,
    reservation_id: str | None = None,
    marker: str | None = None,
    limit: int | None = None,
) -> tuple[records.Instance, ...]:
    """The instances that fit every argument given, the newest first, from after ``marker``.

    :raises InstanceNotFound: there is no instance ``marker``, or it is another project's.
    """
    instance = models.Instance
    query = sa.select(instance).order_by(instance.id.desc())
    equal = {
        instance.project_id: project_id,
        instance.host: host,
        instance.image_ref: image_ref,
        instance.reservation_id: reservation_id,
    }
    query = query.where(*(column == value for column, value in equal.items() if value is not None))
    if vm_states:
        query = query.where(instance.vm_state.in_(vm_states))
    with session.database().reader() as db:
        if marker is not None:
            query = query.where(instance.id < _row(db, marker, project_id).id)
        if flavorid is not None:
            field = instance.flavor[primitive.DATA]['flavorid'].as_string()
            query = query.where(field == flavorid)
        if limit is not None:
            query = query.limit(limit)
        return tuple(_read(row) for row in db.scalars(query))


@retry.on_deadlock
def instance_update(
    uuid: str, *, expected_task_state: records.TaskState | _Any | None = ANY, **values: Any
) -> records.Instance:
    """Set columns of the instance, if its task state is still ``expected_task_state``.

    :param values: columns of :class:`models.Instance`.
    :raises InstanceNotFound:
    :raises InstanceInvalidState: the task state is another one; nothing is changed.
    """
    with session.database().writer() as db:
        matching = sa.update(models.Instance).where(models.Instance.uuid == uuid)
        if not isinstance(expected_task_state, _Any):
            matching = matching.where(models.Instance.task_state == expected_task_state)
        changed = session.count(db, matching.values(**values))
        row = _row(db, uuid)
        if changed == 0:
            raise exception.InstanceInvalidState(
                method='update', instance_id=uuid, state=row.task_state or row.vm_state
            )
        return _read(row)


@retry.on_deadlock
def instance_set_fault(uuid: str, *, code: int, message: str, details: str) -> None:
    """Put the instance into ERROR with the reason; an instance that is gone is no error."""
    with session.database().writer() as db:
        db.execute(
            sa.update(models.Instance)
            .where(models.Instance.uuid == uuid)
            .values(
                vm_state=records.VmState.ERROR,
                task_state=None,
                fault_code=code,
                fault_message=message,
                fault_details=details,
                fault_at=models.utcnow(),
            )
        )


@retry.on_deadlock
def instance_destroy(uuid: str, *, only_without_host: bool = False) -> bool:
    """Remove the instance and give back what it claimed of its host. It must have no NICs.

    :param only_without_host: leave it alone when a scheduler has placed it.
    :returns: whether it was removed by this call.
    """
    with session.database().writer() as db:
        query = sa.select(models.Instance).where(models.Instance.uuid == uuid).with_for_update()
        row = db.scalar(query)
        if row is None or (only_without_host and row.host is not None):
            return False
        if row.host is not None:
            _unclaim(db, row.host, primitive.from_primitive(row.flavor))
        db.delete(row)
    return True


def _unclaim(db: orm.Session, host: str, flavor: records.Flavor) -> None:
    node = models.ComputeNode
    db.execute(
        sa.update(node)
        .where(node.host == host)
        .values(
            vcpus_used=node.vcpus_used - flavor.vcpus,
            memory_mb_used=node.memory_mb_used - flavor.memory_mb,
            disk_gb_used=node.disk_gb_used - flavor.root_gb,
            instances=node.instances - 1,
        )
    )
