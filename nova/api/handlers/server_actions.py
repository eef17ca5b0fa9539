"""Actions on servers; :data:`nova.api.routes.SERVER_ACTIONS` names them."""

from __future__ import annotations

import netaddr

from nova import exception
from nova.api.call import Answer, Call


def get_console_output(call: Call, server_id: str) -> Answer:
    """``os-getConsoleOutput``"""
    length = call.body['os-getConsoleOutput'].get('length')
    instance = call.compute.get(call.context, server_id)
    lines = int(length) if length is not None else None
    # -1 has meant "all" since the API's first version.
    output = call.compute.get_console_output(call.context, instance, None if lines == -1 else lines)
    return Answer({'output': output})


def add_fixed_ip(call: Call, server_id: str) -> Answer:
    """``addFixedIp``"""
    network = str(call.body['addFixedIp']['networkId'])
    instance = call.compute.get(call.context, server_id)
    try:
        call.compute.add_fixed_ip(call.context, instance, network)
    except exception.NetworkNotFound as exc:
        raise exception.InvalidInput(field='networkId', reason=exc.message) from exc
    return Answer()


def remove_fixed_ip(call: Call, server_id: str) -> Answer:
    """``removeFixedIp``"""
    address = str(netaddr.IPAddress(call.body['removeFixedIp']['address']))
    instance = call.compute.get(call.context, server_id)
    call.compute.remove_fixed_ip(call.context, instance, address)
    return Answer()


def start(call: Call, server_id: str) -> Answer:
    """``os-start``"""
    call.compute.start(call.context, call.compute.get(call.context, server_id))
    return Answer()


def stop(call: Call, server_id: str) -> Answer:
    """``os-stop``"""
    call.compute.stop(call.context, call.compute.get(call.context, server_id))
    return Answer()


def reboot(call: Call, server_id: str) -> Answer:
    """``reboot``"""
    hard = call.body['reboot']['type'].upper() == 'HARD'
    call.compute.reboot(call.context, call.compute.get(call.context, server_id), hard=hard)
    return Answer()
