"""Actions on servers; :data:`nova.api.routes.SERVER_ACTIONS` names them."""

from __future__ import annotations

from nova.api.call import Answer, Call


def get_console_output(call: Call, server_id: str) -> Answer:
    """``os-getConsoleOutput``"""
    length = call.body['os-getConsoleOutput'].get('length')
    instance = call.compute.get(call.context, server_id)
    lines = int(length) if length is not None else None
    # -1 has meant "all" since the API's first version.
    output = call.compute.get_console_output(call.context, instance, None if lines == -1 else lines)
    return Answer({'output': output})
