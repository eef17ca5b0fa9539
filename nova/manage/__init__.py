"""``nova-manage``: the operator's tool. It works on the database, so that it needs no running
service; what it changes on hosts is done by their services."""

from __future__ import annotations

import argparse
import sys

from nova import exception, wiring
from nova.manage import database, firewall, floating, interfaces, networks, services


def main() -> None:
    """Exit status: 0 done, 1 refused or failed, 2 the command line is wrong."""
    arguments = _parser().parse_args()
    config = [f'--config-file={path}' for path in arguments.config_file]
    conf = wiring.configure(config, 'nova-manage', is_command=True)
    try:
        arguments.run(conf, arguments)
    except exception.NovaException as exc:
        sys.exit(f'nova-manage: {exc.message}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='nova-manage', description='Manage a nova cloud.')
    parser.add_argument(
        '--config-file', action='append', default=[], metavar='PATH', help='may be repeated'
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    nouns = parser.add_subparsers(required=True, metavar='NOUN')
    database.add_verbs(nouns.add_parser('db', help='the database'))
    networks.add_verbs(nouns.add_parser('network', help='networks'))
    interfaces.add_verbs(nouns.add_parser('interface', help='interfaces of instances'))
    floating.add_verbs(nouns.add_parser('floating', help='floating IPs'))
    firewall.add_verbs(nouns.add_parser('firewall', help='what NICs may do, and why'))
    services.add_verbs(nouns.add_parser('service', help='services'))
    return parser
