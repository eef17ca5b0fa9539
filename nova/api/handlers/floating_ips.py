"""Floating IPs, their pools, and the servers that they lead to."""

from __future__ import annotations

from nova.api.call import Answer, Call
from nova.api.views import floating_ips as views
from nova.network import model


def index(call: Call) -> Answer:
    """``GET /os-floating-ips``"""
    found = call.network.floating_ips.list_floating_ips(call.context)
    return Answer({'floating_ips': [views.render_floating_ip(one) for one in found]})


def show(call: Call, floating_ip_id: str) -> Answer:
    """``GET /os-floating-ips/{floating_ip_id}``"""
    found = call.network.floating_ips.get_floating_ip(call.context, floating_ip_id)
    return Answer({'floating_ip': views.render_floating_ip(found)})


def create(call: Call) -> Answer:
    """``POST /os-floating-ips``"""
    made = call.network.floating_ips.allocate(call.context, call.body.get('pool'))
    return Answer({'floating_ip': views.render_floating_ip(made)})


def delete(call: Call, floating_ip_id: str) -> Answer:
    """``DELETE /os-floating-ips/{floating_ip_id}``"""
    call.network.floating_ips.release(call.context, floating_ip_id)
    return Answer()


def index_pools(call: Call) -> Answer:
    """``GET /os-floating-ip-pools``"""
    found = call.network.floating_ips.list_pools(call.context)
    return Answer({'floating_ip_pools': [{'name': name} for name in found]})


def add_to_server(call: Call, server_id: str) -> Answer:
    """``addFloatingIp``"""
    body = call.body['addFloatingIp']
    instance = call.compute.get(call.context, server_id)
    found = call.network.network_infos([instance.uuid])
    network_info = found.get(instance.uuid, model.NetworkInfo())
    call.network.floating_ips.associate(
        call.context, network_info, body['address'], body.get('fixed_address')
    )
    return Answer()


def remove_from_server(call: Call, server_id: str) -> Answer:
    """``removeFloatingIp``"""
    instance = call.compute.get(call.context, server_id)
    address = call.body['removeFloatingIp']['address']
    call.network.floating_ips.disassociate(call.context, instance.uuid, address)
    return Answer()
