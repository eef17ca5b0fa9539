"""``nova-manage floating``: pools of floating IPs."""

from __future__ import annotations

import argparse
from typing import Any

from nova.db import api as db
from nova.manage import output
from nova.manage.verbs import Verbs
from nova.network import floating_ips


def add_verbs(noun: argparse.ArgumentParser) -> None:
    """Add the verbs of this noun, with their arguments, to the command line."""
    verbs = Verbs(noun)
    create = verbs.add('create', create_addresses, 'add addresses to a pool')
    create.add_argument('--pool', default='nova', help='default: nova')
    create.add_argument('--range', required=True, metavar='CIDR', help='192.0.2.8/29')
    verbs.add('list', list_addresses, 'list all floating IPs')
    delete = verbs.add('delete', delete_address, 'remove one that no project holds')
    delete.add_argument('address', metavar='ADDRESS')


def create_addresses(_conf: Any, arguments: argparse.Namespace) -> None:
    """Add all addresses of a range to a pool.

    :raises InvalidName:
    :raises InvalidCidr:
    :raises FloatingIpExists: then none of them is added.
    """
    db.floating_ips_create(*floating_ips.plan_pool(arguments.pool, arguments.range))


def list_addresses(_conf: Any, arguments: argparse.Namespace) -> None:
    """Print all floating IPs, and who has them."""
    columns = ('address', 'pool', 'project_id', 'fixed_ip', 'instance_uuid')
    rows = [{column: getattr(one, column) for column in columns} for one in db.floating_ip_list()]
    output.print_rows(arguments, columns, rows)


def delete_address(_conf: Any, arguments: argparse.Namespace) -> None:
    """Remove a floating IP that no project holds.

    :raises FloatingIpNotFound: there is none that no project holds.
    """
    db.floating_ip_delete(arguments.address)
