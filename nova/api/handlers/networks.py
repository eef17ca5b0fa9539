"""Networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova import exception
from nova.api.call import Answer, Call
from nova.api.policies import networks as rules
from nova.api.schemas import types
from nova.api.views import networks
from nova.network import network_spec, ranges

#: Fields that mean to us what they mean to :class:`nova.network.network_spec.NetworkSpec`.
_SAME = (
    'label',
    'cidr',
    'cidr_v6',
    'kind',
    'project_id',
    'gateway',
    'gateway_v6',
    'ipv6_mode',
    'dhcp_server',
    'allowed_start',
    'allowed_end',
    'fixed_cidr',
    'bridge',
)
_NUMBERS = {'vlan': (1, 4094), 'vlan_start': (1, 4094), 'mtu': (68, 65535)}


def index(call: Call) -> Answer:
    """``GET /os-networks``"""
    extended = call.can(rules.EXTENDED)
    found = call.network.list_networks(call.context)
    return Answer({'networks': [networks.render_network(n, extended=extended) for n in found]})


def show(call: Call, network_id: str) -> Answer:
    """``GET /os-networks/{network_id}``: by UUID only. The OpenStack client asks by label first,
    and looks into the list when it is told 404."""
    network = call.network.get_network(call.context, network_id)
    view = networks.render_network(network, extended=call.can(rules.EXTENDED))
    return Answer({'network': view})


def create(call: Call) -> Answer:
    """``POST /os-networks``"""
    body = call.body['network']
    count, length = parse_carving(body)
    made = call.network.create_networks(parse_spec(body), count, length)
    extended = call.can(rules.EXTENDED)
    return _answer_made([networks.render_network(n, extended=extended) for n in made])


def delete(call: Call, network_id: str) -> Answer:
    """``DELETE /os-networks/{network_id}``"""
    call.network.delete_network(network_id)
    return Answer()


def add(call: Call) -> Answer:
    """``POST /os-networks/add``"""
    asked = call.body['id']
    call.network.add_network_to_project(
        None if asked is None else asked.lower(), str(call.context.project_id)
    )
    return Answer()


def associate_host(call: Call, network_id: str) -> Answer:
    """The action ``associate_host``"""
    try:
        call.network.modify_network(network_id, host=call.body['associate_host'])
    except exception.HostNotFound as exc:
        raise exception.InvalidInput(field='associate_host', reason=exc.message) from exc
    return Answer()


def disassociate(call: Call, network_id: str) -> Answer:
    """The action ``disassociate``"""
    call.network.modify_network(network_id, host=None, project_id=None)
    return Answer()


def disassociate_host(call: Call, network_id: str) -> Answer:
    """The action ``disassociate_host``"""
    call.network.modify_network(network_id, host=None)
    return Answer()


def disassociate_project(call: Call, network_id: str) -> Answer:
    """The action ``disassociate_project``"""
    call.network.modify_network(network_id, project_id=None)
    return Answer()


def index_tenant(call: Call) -> Answer:
    """``GET /os-tenant-networks``"""
    found = call.network.list_networks(call.context)
    return Answer({'networks': [networks.render_tenant(network) for network in found]})


def show_tenant(call: Call, network_id: str) -> Answer:
    """``GET /os-tenant-networks/{network_id}``"""
    network = call.network.get_network(call.context, network_id)
    return Answer({'network': networks.render_tenant(network)})


def create_tenant(call: Call) -> Answer:
    """``POST /os-tenant-networks``"""
    body = call.body['network']
    count, length = parse_carving(body)
    made = call.network.create_project_networks(call.context, parse_spec(body), count, length)
    return _answer_made([networks.render_tenant(network) for network in made])


def delete_tenant(call: Call, network_id: str) -> Answer:
    """``DELETE /os-tenant-networks/{network_id}``"""
    call.network.delete_project_network(call.context, network_id)
    return Answer()


def _answer_made(views: Sequence[Mapping[str, Any]]) -> Answer:
    """The first network, as clients expect; of several all of them, too."""
    if len(views) == 1:
        return Answer({'network': views[0]})
    return Answer({'network': views[0], 'networks': views})


def parse_spec(body: Mapping[str, Any]) -> network_spec.NetworkSpec:
    """The network that a body, which matches the schema, asks for.

    :raises InvalidInput: two fields say the same thing, or a number is out of range.
    """
    values: dict[str, Any] = {field: body.get(field) for field in _SAME}
    values |= {
        field: types.integer(body[field], field, minimum=low, maximum=high)
        for field, (low, high) in _NUMBERS.items()
        if body.get(field) is not None
    }
    enable_dhcp = body.get('enable_dhcp')
    return network_spec.NetworkSpec(
        **values,
        dns=_parse_dns(body),
        routes=tuple(body.get('routes') or ()),
        physical_network=_parse_physical_network(body),
        enable_dhcp=None if enable_dhcp is None else types.is_true(enable_dhcp),
        multi_host=types.is_true(body.get('multi_host') or False),
    )


def _parse_dns(body: Mapping[str, Any]) -> tuple[str, ...]:
    both = tuple(body[field] for field in ('dns1', 'dns2') if body.get(field) is not None)
    listed = tuple(body.get('dns') or ())
    if both and listed:
        raise exception.InvalidInput(field='dns', reason='it stands beside dns1 or dns2')
    return both or listed


def _parse_physical_network(body: Mapping[str, Any]) -> str | None:
    """``bridge_interface`` is the Compute API's word. Here it is not a device, which would have
    to have the same name on every host, but what each host maps to one."""
    ours, theirs = body.get('physical_network'), body.get('bridge_interface')
    if ours is not None and theirs is not None and ours != theirs:
        reason = f'it says {theirs!r} and physical_network {ours!r}'
        raise exception.InvalidInput(field='bridge_interface', reason=reason)
    found: str | None = ours if ours is not None else theirs
    return found


def parse_carving(body: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """How many networks are carved out of the ranges (None: the ranges are one network's), and the
    length of the prefix of each.

    :raises InvalidInput: a number is out of range.
    """
    count, size = body.get('num_networks'), body.get('network_size')
    if size is not None:
        size = types.integer(size, 'network_size', minimum=1)
    if count is None and size is None:
        return None, None
    count = types.integer(1 if count is None else count, 'num_networks', minimum=1, maximum=4096)
    return count, ranges.parse_size(size)
