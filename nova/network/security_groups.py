"""Security groups for the HTTP API and the hosts: whose they are, what their rules say, which NICs
are in them, and who has to hear of a change. It reads and writes the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from oslo_log import log

from nova import context as nova_context
from nova import exception, quota
from nova.db import api as db
from nova.db import records
from nova.network import model
from nova.network.firewall import rules

LOG = log.getLogger(__name__)

DEFAULT = db.DEFAULT_SECURITY_GROUP

#: What the API calls the parameters of :func:`rules.parse_rule`.
_FIELDS = {
    'protocol': 'ip_protocol',
    'port_min': 'from_port',
    'port_max': 'to_port',
    'remote_cidr': 'cidr',
    'remote_group_id': 'group_id',
}
_PROTOCOL_NAMES = {number: name for name, number in reversed(list(rules.PROTOCOLS.items()))}


class Refresh(Protocol):
    """Tells a host that the groups of NICs of its are others now; returns at once."""

    def __call__(
        self, context: nova_context.RequestContext, *, host: str, group_uuids: tuple[str, ...]
    ) -> None: ...


class API:
    """A project's security groups.

    :param quotas: how many groups a project may have, and how many rules a group.
    :param refresh: reaches the service that has the NICs of a host.
    """

    def __init__(self, *, quotas: quota.Quotas, refresh: Refresh) -> None:
        self._quotas = quotas
        self._refresh = refresh

    # --- groups

    def list_groups(
        self, context: nova_context.RequestContext, *, all_projects: bool = False
    ) -> tuple[records.SecurityGroup, ...]:
        """The project's groups, ``default`` first."""
        if all_projects:
            return db.security_group_list()
        db.security_group_default(str(context.project_id))
        return db.security_group_list(str(context.project_id))

    def get_group(self, context: nova_context.RequestContext, uuid: str) -> records.SecurityGroup:
        """:raises SecurityGroupNotFound: there is none, or it is another project's."""
        return db.security_group_get(uuid, _project(context))

    def create_group(
        self, context: nova_context.RequestContext, *, name: str, description: str
    ) -> records.SecurityGroup:
        """Make a group, which lets everything out and nothing in.

        :raises QuotaExceeded:
        :raises SecurityGroupExists:
        """
        project_id = str(context.project_id)
        limit = self._quotas.limit(project_id, 'security_groups')
        return db.security_group_create(project_id, name, description, limit=limit)

    def update_group(
        self, context: nova_context.RequestContext, uuid: str, *, name: str, description: str
    ) -> records.SecurityGroup:
        """:raises SecurityGroupNotFound:
        :raises SecurityGroupExists:
        :raises InvalidInput: ``default`` keeps its name.
        """
        group = self.get_group(context, uuid)
        if group.name == DEFAULT and name != DEFAULT:
            raise exception.InvalidInput(field='name', reason=f'{DEFAULT} cannot be renamed')
        return db.security_group_update(uuid, name=name, description=description)

    def delete_group(self, context: nova_context.RequestContext, uuid: str) -> None:
        """:raises SecurityGroupNotFound:
        :raises SecurityGroupInUse:
        :raises InvalidInput: ``default`` stays.
        """
        if self.get_group(context, uuid).name == DEFAULT:
            reason = f'{DEFAULT} cannot be deleted'
            raise exception.InvalidInput(field='security_group_id', reason=reason)
        self.announce(context, db.security_group_delete(uuid))

    # --- rules

    def create_rule(
        self,
        context: nova_context.RequestContext,
        group_uuid: str,
        *,
        direction: str = 'ingress',
        protocol: str | int | None = None,
        from_port: int | None = None,
        to_port: int | None = None,
        cidr: str | None = None,
        remote_group_uuid: str | None = None,
    ) -> records.SecurityGroupRule:
        """Add a rule to a group. With no one named at the other end it is about all of IPv4.

        :raises InvalidInput: with the field as the API calls it.
        :raises SecurityGroupNotFound: the group, or the one at the other end (in
            ``kwargs['field']``: ``parent_group_id`` or ``group_id``).
        :raises SecurityGroupRuleExists:
        :raises QuotaExceeded:
        """
        project_id = _project(context)
        group = _find(group_uuid, project_id, 'parent_group_id')
        if remote_group_uuid is not None:
            _find(remote_group_uuid, group.project_id, 'group_id')
        rule = parse_rule(
            direction=direction,
            protocol=protocol,
            from_port=from_port,
            to_port=to_port,
            cidr=cidr,
            remote_group_uuid=remote_group_uuid,
        )
        limit = self._quotas.limit(group.project_id, 'security_group_rules')
        stored = db.security_group_rule_create(group.uuid, rule, limit=limit)
        self.announce(context, [group.uuid])
        return stored

    def delete_rule(self, context: nova_context.RequestContext, uuid: str) -> None:
        """:raises SecurityGroupRuleNotFound:"""
        group = db.security_group_of_rule(uuid, _project(context))
        db.security_group_rule_delete(uuid)
        self.announce(context, [group.uuid])

    # --- NICs

    def add_to_server(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        vif_uuids: Sequence[str],
        name: str,
    ) -> None:
        """Put these NICs of the instance into the group of its project that has this name or
        uuid.

        :raises SecurityGroupNotFound:
        :raises InvalidInput: all of them are in it.
        """
        group = resolve_names(instance.project_id, [name])[0]
        if not db.security_group_join(group, vif_uuids):
            raise exception.InvalidInput(field='name', reason=f'{name!r} is applied already')
        self.announce(context, [group])

    def remove_from_server(
        self,
        context: nova_context.RequestContext,
        instance: records.Instance,
        vif_uuids: Sequence[str],
        name: str,
    ) -> None:
        """Take these NICs of the instance out of the group.

        :raises SecurityGroupNotFound:
        :raises InvalidInput: none of them is in it.
        """
        group = resolve_names(instance.project_id, [name])[0]
        # those that have just left it are told as well
        hosts = db.security_group_hosts([group])
        if not db.security_group_leave(group, vif_uuids):
            raise exception.InvalidInput(field='name', reason=f'{name!r} is not applied')
        self._tell(context, hosts, (group,))

    def groups_of(self, uuids: Iterable[str]) -> dict[str, records.SecurityGroup]:
        """The groups of these uuids, by uuid, as far as they exist."""
        wanted = set(uuids)
        found = db.security_groups_state(wanted).groups if wanted else {}
        return {uuid: group for uuid, group in found.items() if uuid in wanted}

    # --- hosts

    def announce(
        self,
        context: nova_context.RequestContext,
        group_uuids: Iterable[str],
        *,
        but: str | None = None,
    ) -> None:
        """Tell every host with a NIC that a change of these groups concerns.

        :param but: a host that knows.
        """
        changed = tuple(sorted(set(group_uuids)))
        if changed:
            hosts = [host for host in db.security_group_hosts(changed) if host != but]
            self._tell(context, hosts, changed)

    def _tell(
        self,
        context: nova_context.RequestContext,
        hosts: Iterable[str],
        group_uuids: tuple[str, ...],
    ) -> None:
        for host in hosts:
            try:
                self._refresh(context, host=host, group_uuids=group_uuids)
            except exception.NovaException as exc:
                # protects the other hosts; this one finds the difference when it looks next
                LOG.warning('host %s was not told of %s: %s', host, group_uuids, exc.message)


def _project(context: nova_context.RequestContext) -> str | None:
    return None if context.is_admin else str(context.project_id)


def _find(uuid: str, project_id: str | None, field: str) -> records.SecurityGroup:
    try:
        return db.security_group_get(uuid, project_id)
    except exception.SecurityGroupNotFound as exc:
        raise exception.SecurityGroupNotFound(group_id=uuid, field=field) from exc


def resolve_names(project_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """The uuids of the project's groups that have these names or uuids, each once; of none, that
    of ``default``.

    :raises SecurityGroupNotFound: ``kwargs['group_id']`` is the name.
    """
    wanted = list(dict.fromkeys(names)) or [DEFAULT]
    default = db.security_group_default(project_id)
    if wanted == [DEFAULT]:
        return (default.uuid,)
    groups = db.security_group_list(project_id)
    known = {group.uuid: group.uuid for group in groups} | {g.name: g.uuid for g in groups}
    for name in wanted:
        if name not in known:
            raise exception.SecurityGroupNotFound(group_id=name)
    return tuple(dict.fromkeys(known[name] for name in wanted))


def parse_rule(
    *,
    direction: str,
    protocol: str | int | None,
    from_port: int | None,
    to_port: int | None,
    cidr: str | None,
    remote_group_uuid: str | None,
) -> records.NewRule:
    """A rule as users of the API write it, in the one form in which it is stored. One that names a
    group is about both families, unless its protocol is of one only.

    :raises InvalidInput: with the field as the API calls it.
    """
    try:
        parsed = rules.parse_rule(
            rule_id='',
            direction=direction,
            protocol=protocol,
            port_min=from_port,
            port_max=to_port,
            remote_cidr=cidr,
            remote_group_id=remote_group_uuid,
        )
    except exception.InvalidInput as exc:
        field = _FIELDS.get(exc.kwargs['field'], exc.kwargs['field'])
        raise exception.InvalidInput(field=field, reason=exc.kwargs['reason']) from exc
    is_icmp = parsed.protocol in (rules.ICMP, rules.ICMPV6)
    both = remote_group_uuid is not None and parsed.protocol != rules.ICMPV6
    number = parsed.protocol
    return records.NewRule(
        direction=records.Direction(parsed.direction),
        ip_version=None if both else parsed.ethertype.version,
        protocol=None if number is None else _PROTOCOL_NAMES.get(number, str(number)),
        from_port=parsed.icmp_type if is_icmp else parsed.port_min,
        to_port=parsed.icmp_code if is_icmp else parsed.port_max,
        cidr=parsed.remote_cidr,
        remote_group_uuid=remote_group_uuid,
    )


_OUT = tuple(
    rules.SecurityGroupRule(
        id=f'out-{ethertype}', direction=rules.Direction.EGRESS, ethertype=ethertype
    )
    for ethertype in rules.EtherType
)


def build_ruleset(state: records.SecurityGroups) -> rules.Ruleset:
    """What the database knows of groups, as the firewall drivers take it. A group without a rule
    about what goes out lets everything out."""
    return rules.Ruleset(
        groups=tuple(
            rules.SecurityGroup(
                id=uuid,
                rules=_build_rules(group),
                members=tuple(
                    rules.GroupMember(network_id=member.network_uuid, address=member.address)
                    for member in state.members.get(uuid, ())
                ),
            )
            for uuid, group in sorted(state.groups.items())
        )
    )


def _build_rules(group: records.SecurityGroup) -> tuple[rules.SecurityGroupRule, ...]:
    built = tuple(
        rules.parse_rule(
            rule_id=rule.uuid if len(families) == 1 else f'{rule.uuid}-{version}',
            direction=rule.direction,
            ethertype=f'IPv{version}',
            protocol=rule.protocol,
            port_min=rule.from_port,
            port_max=rule.to_port,
            remote_cidr=rule.cidr,
            remote_group_id=rule.remote_group_uuid,
        )
        for rule in group.rules
        for families in [(4, 6) if rule.ip_version is None else (rule.ip_version,)]
        for version in families
    )
    restricted = any(rule.direction is records.Direction.EGRESS for rule in group.rules)
    return built if restricted else (*_OUT, *built)


def groups_of_vifs(vifs: Iterable[model.VIF]) -> tuple[str, ...]:
    """The uuids of all groups that one of these NICs is in, each once, in NIC order."""
    return tuple(dict.fromkeys(uuid for vif in vifs for uuid in vif.security_groups))
