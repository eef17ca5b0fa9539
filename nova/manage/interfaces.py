"""``nova-manage interface``: NICs of instances."""

from __future__ import annotations

import argparse
from typing import Any

from nova.db import api as db
from nova.manage.verbs import Verbs


def add_verbs(noun: argparse.ArgumentParser) -> None:
    """Add the verbs of this noun, with their arguments, to the command line."""
    verbs = Verbs(noun)
    text = 'give an interface the IPv4 default route; the guest hears of it when it asks DHCP again'
    route = verbs.add('default-route', default_route, text)
    route.add_argument('interface', metavar='PORT_ID', help='port_id of os-interface')


def default_route(_conf: Any, arguments: argparse.Namespace) -> None:
    """Give a NIC the IPv4 default route of its server.

    :raises VifNotFound:
    :raises InvalidInput: its network has no IPv4 gateway.
    """
    vif = db.vif_set_default_route(arguments.interface)
    print(f'Interface {vif.index} of instance {vif.instance_uuid} has the IPv4 default route.')
