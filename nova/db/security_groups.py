"""Security groups, their rules, and the NICs in them.

Whoever changes something takes the lock of the row that it hangs on first: of the project's group
``default`` to make a group, of the group to change its rules. What one counts is then still true
when one stores. Groups are locked in id order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
import contextlib
from typing import Any
import uuid as uuids

from oslo_db import exception as db_exc
import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import models, records, retry, session

#: Every project has it; a NIC for which none is asked is in it.
DEFAULT = 'default'

_Group, _Rule, _Member = (
    models.SecurityGroup,
    models.SecurityGroupRule,
    models.SecurityGroupMember,
)


def _read(
    db: orm.Session, rows: Sequence[models.SecurityGroup]
) -> tuple[records.SecurityGroup, ...]:
    rules = _rules(db, {row.id: row.uuid for row in rows})
    return tuple(
        records.SecurityGroup(
            uuid=row.uuid,
            project_id=row.project_id,
            name=row.name,
            description=row.description,
            rules=tuple(rules.get(row.id, ())),
            rules_revision=row.rules_revision,
            members_revision=row.members_revision,
        )
        for row in rows
    )


def _rules(
    db: orm.Session, groups: Mapping[int, str]
) -> dict[int, list[records.SecurityGroupRule]]:
    remote = orm.aliased(_Group)
    query = (
        sa.select(_Rule, remote.uuid, remote.name, remote.project_id)
        .outerjoin(remote, remote.id == _Rule.remote_group_id)
        .where(_Rule.group_id.in_(groups))
        .order_by(_Rule.id)
    )
    found: dict[int, list[records.SecurityGroupRule]] = {}
    for row in db.execute(query):
        rule = row.SecurityGroupRule
        found.setdefault(rule.group_id, []).append(
            records.SecurityGroupRule(
                uuid=rule.uuid,
                group_uuid=groups[rule.group_id],
                direction=records.Direction(rule.direction),
                ip_version=rule.ip_version,
                protocol=rule.protocol,
                from_port=rule.from_port,
                to_port=rule.to_port,
                cidr=rule.cidr,
                remote_group_uuid=row.uuid,
                remote_group_name=row.name,
                remote_group_project_id=row.project_id,
            )
        )
    return found


def _row(
    db: orm.Session, uuid: str, project_id: str | None = None, *, lock: bool = False
) -> models.SecurityGroup:
    query = sa.select(_Group).where(_Group.uuid == uuid)
    if project_id is not None:
        query = query.where(_Group.project_id == project_id)
    row = db.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise exception.SecurityGroupNotFound(group_id=uuid)
    return row


# --- groups


def security_group_default(project_id: str) -> records.SecurityGroup:
    """The project's group ``default``, made if it is not there: with all that goes out, and what
    comes in from its own members."""
    found = _find_default(project_id)
    if found is None:
        with contextlib.suppress(db_exc.DBDuplicateEntry):  # somebody else made it
            _create_default(project_id)
        found = _find_default(project_id)
        assert found is not None  # nobody may delete it
    return found


def _find_default(project_id: str) -> records.SecurityGroup | None:
    query = sa.select(_Group).where(_Group.project_id == project_id, _Group.name == DEFAULT)
    with session.database().reader() as db:
        row = next((row for row in db.scalars(query) if row.name == DEFAULT), None)
        return None if row is None else _read(db, [row])[0]


@retry.on_deadlock
def _create_default(project_id: str) -> None:
    row = models.SecurityGroup(
        uuid=str(uuids.uuid4()), project_id=project_id, name=DEFAULT, description='default'
    )
    with session.database().writer() as db:
        db.add(row)
        db.flush()
        own = records.NewRule(remote_group_uuid=row.uuid)
        db.add(_build_rule(own, row.id, row.id))


@retry.on_deadlock
def security_group_create(
    project_id: str, name: str, description: str, *, limit: int
) -> records.SecurityGroup:
    """Make a group without rules.

    :param limit: the most groups that the project may have, ``default`` among them; -1 for any
        number.
    :raises QuotaExceeded:
    :raises SecurityGroupExists: the project has one of this name.
    """
    default = security_group_default(project_id)
    row = models.SecurityGroup(
        uuid=str(uuids.uuid4()), project_id=project_id, name=name, description=description
    )
    try:
        with session.database().writer() as db:
            _row(db, default.uuid, lock=True)
            held = sa.select(sa.func.count()).where(_Group.project_id == project_id)
            _check_quota('security_groups', db.scalar(held) or 0, limit)
            db.add(row)
            db.flush()
            return _read(db, [row])[0]
    except db_exc.DBDuplicateEntry as exc:
        raise exception.SecurityGroupExists(name=name) from exc


def _check_quota(resource: str, held: int, limit: int) -> None:
    if 0 <= limit <= held:
        raise exception.QuotaExceeded(resource=resource, allowed=limit, requested=held + 1)


def security_group_get(uuid: str, project_id: str | None = None) -> records.SecurityGroup:
    """The group; with ``project_id``, only if it is that project's.

    :raises SecurityGroupNotFound:
    """
    with session.database().reader() as db:
        return _read(db, [_row(db, uuid, project_id)])[0]


def security_group_list(project_id: str | None = None) -> tuple[records.SecurityGroup, ...]:
    """A project's groups or, with None, all, in the order in which they were made."""
    query = sa.select(_Group).order_by(_Group.id)
    if project_id is not None:
        query = query.where(_Group.project_id == project_id)
    with session.database().reader() as db:
        return _read(db, db.scalars(query).all())


@retry.on_deadlock
def security_group_update(uuid: str, *, name: str, description: str) -> records.SecurityGroup:
    """Give the group another name and description.

    :raises SecurityGroupNotFound:
    :raises SecurityGroupExists: the project has another one of this name.
    """
    try:
        with session.database().writer() as db:
            row = _row(db, uuid, lock=True)
            row.name, row.description = name, description
            db.flush()
            return _read(db, [row])[0]
    except db_exc.DBDuplicateEntry as exc:
        raise exception.SecurityGroupExists(name=name) from exc


@retry.on_deadlock
def security_group_delete(uuid: str) -> tuple[str, ...]:
    """Remove the group with its rules, and the rules of other groups that name it; these let
    nobody in, since nobody is in it.

    :returns: the groups whose rules are fewer now.
    :raises SecurityGroupNotFound:
    :raises SecurityGroupInUse: NICs are in it.
    """
    with session.database().writer() as db:
        row = _row(db, uuid, lock=True)
        held = db.scalar(sa.select(sa.func.count()).where(_Member.group_id == row.id)) or 0
        if held:
            raise exception.SecurityGroupInUse(name=row.name, count=held)
        naming = sa.select(_Rule.group_id).where(_Rule.remote_group_id == row.id)
        others = set(db.scalars(naming)) - {row.id}
        touched = _touch(db, others, _Group.rules_revision)
        try:
            db.execute(sa.delete(_Group).where(_Group.id == row.id))
        except db_exc.DBReferenceError as exc:  # a NIC came between
            raise exception.SecurityGroupInUse(name=row.name, count=1) from exc
        return touched


# --- rules


def _build_rule(rule: records.NewRule, group_id: int, remote_id: int | None) -> Any:
    return models.SecurityGroupRule(
        uuid=str(uuids.uuid4()),
        group_id=group_id,
        direction=rule.direction,
        ip_version=rule.ip_version,
        protocol=rule.protocol,
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidr=rule.cidr,
        remote_group_id=remote_id,
        key=rule.key,
    )


@retry.on_deadlock
def security_group_rule_create(
    group_uuid: str, rule: records.NewRule, *, limit: int
) -> records.SecurityGroupRule:
    """Add a rule to the group.

    :param limit: the most rules of a group; -1 for any number.
    :raises SecurityGroupNotFound: the group, or the one that the rule names, does not exist.
    :raises SecurityGroupRuleExists: the group has a rule that says the same.
    :raises QuotaExceeded:
    """
    try:
        with session.database().writer() as db:
            group = _row(db, group_uuid, lock=True)
            remote = rule.remote_group_uuid
            remote_id = None if remote is None else _row(db, remote).id
            held = sa.select(sa.func.count()).where(_Rule.group_id == group.id)
            _check_quota('security_group_rules', db.scalar(held) or 0, limit)
            row = _build_rule(rule, group.id, remote_id)
            db.add(row)
            db.flush()
            _touch(db, [group.id], _Group.rules_revision)
            stored = _rules(db, {group.id: group.uuid})[group.id]
            return next(found for found in stored if found.uuid == row.uuid)
    except db_exc.DBDuplicateEntry as exc:
        raise exception.SecurityGroupRuleExists(group_id=group_uuid) from exc
    except db_exc.DBReferenceError as exc:  # the group that it names has just gone
        raise exception.SecurityGroupNotFound(group_id=str(rule.remote_group_uuid)) from exc


def security_group_of_rule(uuid: str, project_id: str | None = None) -> records.SecurityGroup:
    """The group that has this rule; with ``project_id``, only if it is that project's.

    :raises SecurityGroupRuleNotFound:
    """
    query = sa.select(_Group).join(_Rule, _Rule.group_id == _Group.id).where(_Rule.uuid == uuid)
    if project_id is not None:
        query = query.where(_Group.project_id == project_id)
    with session.database().reader() as db:
        row = db.scalar(query)
        if row is None:
            raise exception.SecurityGroupRuleNotFound(rule_id=uuid)
        return _read(db, [row])[0]


@retry.on_deadlock
def security_group_rule_delete(uuid: str) -> None:
    """:raises SecurityGroupRuleNotFound:"""
    with session.database().writer() as db:
        group_id = db.scalar(sa.select(_Rule.group_id).where(_Rule.uuid == uuid))
        if group_id is not None:
            db.scalar(sa.select(_Group.id).where(_Group.id == group_id).with_for_update())
        if group_id is None or not session.count(db, sa.delete(_Rule).where(_Rule.uuid == uuid)):
            raise exception.SecurityGroupRuleNotFound(rule_id=uuid)
        _touch(db, [group_id], _Group.rules_revision)


def _touch(
    db: orm.Session, ids: Iterable[int], revision: orm.InstrumentedAttribute[int]
) -> tuple[str, ...]:
    """Count a change of these groups.

    :returns: their uuids.
    """
    ordered = sorted(set(ids))
    for group_id in ordered:
        values: dict[Any, Any] = {revision: revision + 1}
        db.execute(
            sa.update(_Group)
            .where(_Group.id == group_id)
            .values(values)
            .execution_options(synchronize_session=False)
        )
    query = sa.select(_Group.uuid).where(_Group.id.in_(ordered)).order_by(_Group.id)
    return tuple(db.scalars(query))


# --- members


def join(db: orm.Session, memberships: Mapping[int, Sequence[str]]) -> None:
    """Put NICs, by id, into groups, by uuid; inside the caller's transaction.

    :raises SecurityGroupNotFound:
    """
    wanted = {uuid for found in memberships.values() for uuid in found}
    if not wanted:
        return
    query = sa.select(_Group).where(_Group.uuid.in_(wanted)).order_by(_Group.id)
    groups = {row.uuid: row.id for row in db.scalars(query.with_for_update())}
    for uuid in sorted(wanted - groups.keys()):
        raise exception.SecurityGroupNotFound(group_id=uuid)
    db.execute(
        sa.insert(_Member),
        [
            {'vif_id': vif_id, 'group_id': groups[uuid]}
            for vif_id, found in memberships.items()
            for uuid in dict.fromkeys(found)
        ],
    )
    _touch(db, groups.values(), _Group.members_revision)


def leave(db: orm.Session, vif_ids: Collection[int]) -> None:
    """Take NICs out of all their groups; inside the caller's transaction."""
    query = sa.select(_Member.group_id).where(_Member.vif_id.in_(vif_ids)).distinct()
    groups = list(db.scalars(query))
    if groups:
        db.execute(sa.delete(_Member).where(_Member.vif_id.in_(vif_ids)))
        _touch(db, groups, _Group.members_revision)


def touch(db: orm.Session, vif_ids: Collection[int]) -> None:
    """Count a change of the addresses of these NICs, inside the caller's transaction: rules of
    others may name the groups that they are in."""
    query = sa.select(_Member.group_id).where(_Member.vif_id.in_(vif_ids)).distinct()
    _touch(db, db.scalars(query), _Group.members_revision)


def groups_of(db: orm.Session, vif_ids: Collection[int]) -> dict[int, list[str]]:
    """The groups' uuids of each NIC that is in one, in the order in which they were made."""
    query = (
        sa.select(_Member.vif_id, _Group.uuid)
        .join(_Group, _Group.id == _Member.group_id)
        .where(_Member.vif_id.in_(vif_ids))
        .order_by(_Group.id)
    )
    found: dict[int, list[str]] = {}
    for vif_id, uuid in db.execute(query):
        found.setdefault(vif_id, []).append(uuid)
    return found


@retry.on_deadlock
def security_group_join(group_uuid: str, vif_uuids: Sequence[str]) -> bool:
    """Put these NICs into the group; those that are in it stay.

    :returns: whether one was not in it.
    :raises SecurityGroupNotFound:
    """
    with session.database().writer() as db:
        group = _row(db, group_uuid, lock=True)
        wanted = sa.select(models.Vif.id).where(models.Vif.uuid.in_(vif_uuids))
        members = sa.select(_Member.vif_id).where(_Member.group_id == group.id)
        missing = set(db.scalars(wanted)) - set(db.scalars(members))
        join(db, {vif_id: [group_uuid] for vif_id in missing})
        return bool(missing)


@retry.on_deadlock
def security_group_leave(group_uuid: str, vif_uuids: Sequence[str]) -> bool:
    """Take these NICs out of the group.

    :returns: whether one was in it.
    :raises SecurityGroupNotFound:
    """
    with session.database().writer() as db:
        group = _row(db, group_uuid, lock=True)
        wanted = sa.select(models.Vif.id).where(models.Vif.uuid.in_(vif_uuids))
        gone = sa.delete(_Member).where(
            _Member.group_id == group.id, _Member.vif_id.in_(list(db.scalars(wanted)))
        )
        if not session.count(db, gone):
            return False
        _touch(db, [group.id], _Group.members_revision)
        return True


# --- what hosts need


def security_groups_state(uuids: Iterable[str]) -> records.SecurityGroups:
    """All that the rules of NICs in these groups are made of; groups that are gone are left out.

    The revisions are read before what they are the revisions of: whatever the isolation, the state
    is at least as new as they say.
    """
    asked = sa.select(_Group).where(_Group.uuid.in_(list(uuids)))
    with session.database().reader() as db:
        rows = {row.id: row for row in db.scalars(asked)}
        naming = sa.select(_Rule.remote_group_id).where(_Rule.group_id.in_(rows)).distinct()
        named = {remote_id for remote_id in db.scalars(naming) if remote_id is not None}
        further = sa.select(_Group).where(_Group.id.in_(named - rows.keys()))
        rows |= {row.id: row for row in db.scalars(further)}
        groups = _read(db, [rows[key] for key in sorted(rows)])
        members = _members(db, {key: rows[key].uuid for key in sorted(named & rows.keys())})
    return records.SecurityGroups(groups={group.uuid: group for group in groups}, members=members)


def _members(
    db: orm.Session, groups: Mapping[int, str]
) -> dict[str, tuple[records.SecurityGroupMember, ...]]:
    fixed_ip, network = models.FixedIp, models.Network
    query = (
        sa.select(_Member.group_id, network.uuid, fixed_ip.address)
        .join(fixed_ip, fixed_ip.vif_id == _Member.vif_id)
        .join(network, network.id == fixed_ip.network_id)
        .where(_Member.group_id.in_(groups))
        .order_by(fixed_ip.id)
    )
    found: dict[int, list[records.SecurityGroupMember]] = {key: [] for key in groups}
    for group_id, network_uuid, address in db.execute(query):
        member = records.SecurityGroupMember(network_uuid=network_uuid, address=address)
        found[group_id].append(member)
    return {groups[key]: tuple(members) for key, members in found.items()}


def security_group_hosts(uuids: Iterable[str]) -> tuple[str, ...]:
    """The hosts with a NIC that is in one of these groups, or in a group that has a rule which
    names one of them; in alphabetical order."""
    changed = sa.select(_Group.id).where(_Group.uuid.in_(list(uuids)))
    naming = sa.select(_Rule.group_id).where(_Rule.remote_group_id.in_(changed))
    query = (
        sa.select(models.Instance.host)
        .join(models.Vif, models.Vif.instance_uuid == models.Instance.uuid)
        .join(_Member, _Member.vif_id == models.Vif.id)
        .where(
            _Member.group_id.in_(changed) | _Member.group_id.in_(naming),
            models.Instance.host.is_not(None),
        )
        .distinct()
    )
    with session.database().reader() as db:
        return tuple(sorted(str(host) for host in db.scalars(query)))


@retry.on_deadlock
def vifs_set_firewall_revision(revisions: Mapping[str, str | None]) -> None:
    """Store what is in force on these NICs, by uuid; those that are gone are left out."""
    by_revision: dict[str | None, list[str]] = {}
    for uuid, revision in sorted(revisions.items()):
        by_revision.setdefault(revision, []).append(uuid)
    with session.database().writer() as db:
        for revision, vif_uuids in by_revision.items():
            db.execute(
                sa.update(models.Vif)
                .where(models.Vif.uuid.in_(vif_uuids))
                .values(firewall_revision=revision)
            )
