"""Networks."""

from __future__ import annotations

from nova.api.call import Answer, Call
from nova.api.policies import networks as rules
from nova.api.views import networks


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


def index_tenant(call: Call) -> Answer:
    """``GET /os-tenant-networks``"""
    found = call.network.list_networks(call.context)
    return Answer({'networks': [networks.render_tenant(network) for network in found]})


def show_tenant(call: Call, network_id: str) -> Answer:
    """``GET /os-tenant-networks/{network_id}``"""
    network = call.network.get_network(call.context, network_id)
    return Answer({'network': networks.render_tenant(network)})
