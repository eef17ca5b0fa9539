"""Security groups, their rules, and the servers in them."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from nova import exception
from nova.api.call import Answer, Call
from nova.api.policies import security_groups as policies
from nova.api.schemas import types
from nova.api.views import security_groups as views
from nova.db import records
from nova.network import model


def index(call: Call) -> Answer:
    """``GET /os-security-groups``"""
    everybody = types.is_true(call.query.get('all_tenants', 'false') or 'true')
    if everybody and not call.can(policies.ALL_TENANTS):
        raise exception.NotAuthorized(
            f"Policy doesn't allow {policies.ALL_TENANTS} to be performed."
        )
    found = list(call.groups.list_groups(call.context, all_projects=everybody))
    start = int(call.query.get('offset', 0))
    shown = found[start : start + call.limit]
    return Answer({'security_groups': [views.render_group(group) for group in shown]})


def show(call: Call, security_group_id: str) -> Answer:
    """``GET /os-security-groups/{security_group_id}``: by UUID only. Clients ask by name first,
    and look into the list when they are told 404."""
    group = call.groups.get_group(call.context, security_group_id)
    return Answer({'security_group': views.render_group(group)})


def create(call: Call) -> Answer:
    """``POST /os-security-groups``"""
    body = call.body['security_group']
    with _naming_fields():
        group = call.groups.create_group(
            call.context, name=body['name'], description=body.get('description') or ''
        )
    return Answer({'security_group': views.render_group(group)})


def update(call: Call, security_group_id: str) -> Answer:
    """``PUT /os-security-groups/{security_group_id}``"""
    body = call.body['security_group']
    with _naming_fields():
        group = call.groups.update_group(
            call.context,
            security_group_id,
            name=body['name'],
            description=body.get('description') or '',
        )
    return Answer({'security_group': views.render_group(group)})


def delete(call: Call, security_group_id: str) -> Answer:
    """``DELETE /os-security-groups/{security_group_id}``"""
    with _naming_fields():
        call.groups.delete_group(call.context, security_group_id)
    return Answer()


def create_rule(call: Call) -> Answer:
    """``POST /os-security-group-rules``"""
    body = call.body['security_group_rule']
    with _naming_fields():
        rule = call.groups.create_rule(
            call.context,
            body['parent_group_id'],
            direction=body.get('direction', 'ingress'),
            protocol=body.get('ip_protocol'),
            from_port=_parse_port(body.get('from_port')),
            to_port=_parse_port(body.get('to_port')),
            # some clients send an empty text for what was not given
            cidr=body.get('cidr') or None,
            remote_group_uuid=body.get('group_id') or None,
        )
    return Answer({'security_group_rule': views.render_rule(rule)})


def _parse_port(value: int | str | None) -> int | None:
    return None if value is None else int(value)


def delete_rule(call: Call, rule_id: str) -> Answer:
    """``DELETE /os-security-group-rules/{rule_id}``"""
    call.groups.delete_rule(call.context, rule_id)
    return Answer()


def index_of_server(call: Call, server_id: str) -> Answer:
    """``GET /servers/{server_id}/os-security-groups``"""
    instance, network_info = _get(call, server_id)
    uuids = views.uuids_of(instance, network_info)
    groups = call.groups.groups_of(uuids)
    found = [views.render_group(groups[uuid]) for uuid in uuids if uuid in groups]
    return Answer({'security_groups': found})


def add_to_server(call: Call, server_id: str) -> Answer:
    """``addSecurityGroup``"""
    instance, network_info = _get(call, server_id)
    name = call.body['addSecurityGroup']['name']
    call.groups.add_to_server(call.context, instance, [vif.id for vif in network_info], name)
    return Answer()


def remove_from_server(call: Call, server_id: str) -> Answer:
    """``removeSecurityGroup``"""
    instance, network_info = _get(call, server_id)
    name = call.body['removeSecurityGroup']['name']
    call.groups.remove_from_server(call.context, instance, [vif.id for vif in network_info], name)
    return Answer()


def _get(call: Call, server_id: str) -> tuple[records.Instance, model.NetworkInfo]:
    instance = call.compute.get(call.context, server_id)
    infos = call.network.network_infos([instance.uuid])
    return instance, infos.get(instance.uuid, model.NetworkInfo())


@contextlib.contextmanager
def _naming_fields() -> Iterator[None]:
    """Errors of what the body names say by which field. A name that is taken and a group that is in
    use are 400 in this API, not 409."""
    try:
        yield
    except exception.SecurityGroupExists as exc:
        raise exception.InvalidInput(field='name', reason=exc.message) from exc
    except exception.SecurityGroupInUse as exc:
        raise exception.InvalidInput(field='security_group_id', reason=exc.message) from exc
    except exception.SecurityGroupRuleExists as exc:
        raise exception.InvalidInput(field='security_group_rule', reason=exc.message) from exc
    except exception.SecurityGroupNotFound as exc:
        if exc.kwargs.get('field') == 'group_id':
            raise exception.InvalidInput(field='group_id', reason=exc.message) from exc
        raise
