"""Security groups and their rules, as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nova.db import records
from nova.network import model

_ANYBODY = {4: '0.0.0.0/0', 6: '::/0'}


def render_group(group: records.SecurityGroup) -> dict[str, Any]:
    return {
        'id': group.uuid,
        'name': group.name,
        'description': group.description,
        'tenant_id': group.project_id,
        'rules': [render_rule(rule) for rule in group.rules],
    }


def render_rule(rule: records.SecurityGroupRule) -> dict[str, Any]:
    """-1 is any port, type or code of a protocol; without a protocol there is none to be named.
    ``direction`` is shown only where it is egress, which the API of old did not have."""
    nothing = None if rule.protocol is None else -1
    view: dict[str, Any] = {
        'id': rule.uuid,
        'parent_group_id': rule.group_uuid,
        'ip_protocol': rule.protocol,
        'from_port': nothing if rule.from_port is None else rule.from_port,
        'to_port': nothing if rule.to_port is None else rule.to_port,
        'ip_range': {},
        'group': {},
    }
    if rule.remote_group_uuid is not None:
        view['group'] = {
            'name': rule.remote_group_name,
            'tenant_id': rule.remote_group_project_id,
        }
    else:
        view['ip_range'] = {'cidr': rule.cidr or _ANYBODY[rule.ip_version or 4]}
    if rule.direction is records.Direction.EGRESS:
        view['direction'] = rule.direction.value
    return view


def uuids_of(instance: records.Instance, network_info: model.NetworkInfo) -> tuple[str, ...]:
    """The groups that one of the server's NICs is in, each once, in NIC order; before it has NICs,
    those that it asked for."""
    nics: Iterable[model.VIF | records.RequestedNetwork] = (
        network_info if len(network_info) else instance.requested_networks
    )
    return tuple(dict.fromkeys(uuid for nic in nics for uuid in nic.security_groups))


def render_names(
    uuids: Iterable[str], groups: Mapping[str, records.SecurityGroup]
) -> list[dict[str, str]]:
    """``security_groups`` of a server."""
    return [{'name': groups[uuid].name} for uuid in uuids if uuid in groups]
