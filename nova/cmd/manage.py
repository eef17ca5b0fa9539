"""``nova-manage``: the operator's tool. It works on the database, so that it needs no running
service; what it changes on hosts is done by their services."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import dataclasses
import json
import sys
from typing import Any

from nova import context as nova_context
from nova import exception, liveness, service
from nova.db import api as db
from nova.db import migration, session
from nova.network import api as network_api
from nova.network import picture

#: What a new database holds; sizes are those that users of OpenStack know by these names.
_FLAVORS = (
    ('1', 'm1.tiny', 512, 1, 1),
    ('2', 'm1.small', 2048, 1, 20),
    ('3', 'm1.medium', 4096, 2, 40),
    ('4', 'm1.large', 8192, 4, 80),
    ('5', 'm1.xlarge', 16384, 8, 160),
)


def main() -> None:
    """Exit status: 0 done, 1 refused or failed, 2 the command line is wrong."""
    arguments = _parser().parse_args()
    config = [f'--config-file={path}' for path in arguments.config_file]
    conf = service.configure(config, 'nova-manage')
    try:
        arguments.run(conf, arguments)
    except exception.NovaException as exc:
        sys.exit(f'nova-manage: {exc.message}')


# --- db


def db_sync(_conf: Any, _arguments: argparse.Namespace) -> None:
    database = session.database()
    new = migration.current(database) is None
    migration.sync(database)
    if new:
        for flavorid, name, memory_mb, vcpus, root_gb in _FLAVORS:
            db.flavor_create(
                flavorid=flavorid, name=name, memory_mb=memory_mb, vcpus=vcpus, root_gb=root_gb
            )
    print(f'The database is at revision {migration.current(database)}.')


def db_version(_conf: Any, _arguments: argparse.Namespace) -> None:
    print(migration.current(session.database()) or 'empty')


# --- network


def network_create(conf: Any, arguments: argparse.Namespace) -> None:
    spec = network_api.NetworkSpec(
        label=arguments.label,
        cidr=arguments.range,
        kind=arguments.kind,
        gateway=arguments.gateway,
        dns=tuple(arguments.dns),
        bridge=arguments.bridge,
        physical_network=arguments.physical_network,
        mtu=arguments.mtu,
        project_id=arguments.project,
        allowed_start=arguments.allowed_start,
        allowed_end=arguments.allowed_end,
    )
    network = _networks(conf).create_network(spec)
    _print_values(arguments, dataclasses.asdict(network))


def network_list(conf: Any, arguments: argparse.Namespace) -> None:
    columns = ('uuid', 'label', 'kind', 'cidr', 'gateway', 'bridge', 'project_id', 'host')
    rows = [
        {column: getattr(network, column) for column in columns}
        for network in _networks(conf).list_networks(nova_context.service_context())
    ]
    _print_rows(arguments, columns, rows)


def network_show(conf: Any, arguments: argparse.Namespace) -> None:
    networks = _networks(conf)
    network = networks.get_network(nova_context.service_context(), arguments.network)
    _print_values(arguments, dataclasses.asdict(network))


def network_delete(conf: Any, arguments: argparse.Namespace) -> None:
    _networks(conf).delete_network(arguments.network)


def network_topology(conf: Any, arguments: argparse.Namespace) -> None:
    servers = {i.uuid: (i.display_name, i.host) for i in db.instance_list()}
    render = {
        'text': picture.render_text,
        'dot': picture.render_dot,
        'svg': picture.render_svg,
    }[arguments.format]
    print(render(_networks(conf).topology(servers)), end='')


def _networks(conf: Any) -> network_api.API:
    return service.build_network_api(conf)


# --- service


def service_list(conf: Any, arguments: argparse.Namespace) -> None:
    columns = ('binary', 'host', 'status', 'state', 'last_seen_at')
    now = liveness.now()
    rows = [
        {
            'binary': record.binary,
            'host': record.host,
            'status': 'disabled' if record.disabled else 'enabled',
            'state': ('up' if liveness.is_up(record, now, conf.service_down_time_s) else 'down'),
            'last_seen_at': record.last_seen_at.isoformat(timespec='seconds'),
        }
        for record in db.service_list()
    ]
    _print_rows(arguments, columns, rows)


# --- printing


def render_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """A table for a terminal: a head line, and a line for each row; None is shown as ``-``."""
    cells = [list(columns)] + [
        ['-' if row[column] is None else str(row[column]) for column in columns] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _print_rows(
    arguments: argparse.Namespace, columns: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    if arguments.json:
        print(json.dumps(rows, default=str, indent=2))
    else:
        print(render_table(columns, rows))


def _print_values(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    if arguments.json:
        print(json.dumps(values, default=str, indent=2))
    else:
        width = max(len(name) for name in values)
        for name, value in values.items():
            print(f'{name.ljust(width)}  {"-" if value is None else value}')


# --- the command line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='nova-manage', description='Manage a nova cloud.')
    parser.add_argument(
        '--config-file', action='append', default=[], metavar='PATH', help='may be repeated'
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    nouns = parser.add_subparsers(required=True, metavar='NOUN')
    _add_db(nouns.add_parser('db', help='the database'))
    _add_network(nouns.add_parser('network', help='networks'))
    _add_service(nouns.add_parser('service', help='services'))
    return parser


Run = Callable[[Any, argparse.Namespace], None]


def _verb(verbs: Any, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_db(noun: argparse.ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar='VERB')
    _verb(verbs, 'sync', db_sync, 'bring the schema up to date; a new database gets flavors')
    _verb(verbs, 'version', db_version, 'print the revision of the schema')


def _add_network(noun: argparse.ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar='VERB')
    create = _verb(verbs, 'create', network_create, 'make a network')
    create.add_argument('--label', required=True, help='its name')
    create.add_argument('--range', required=True, metavar='CIDR', help='IPv4 range, 10.0.0.0/24')
    create.add_argument('--kind', help='flat_dhcp; default: that of [network] network_manager')
    create.add_argument('--gateway', metavar='ADDRESS', help='default: the first address')
    create.add_argument(
        '--dns', action='append', default=[], metavar='ADDRESS', help='may be repeated'
    )
    create.add_argument('--bridge', metavar='NAME', help='default: a name made for the network')
    create.add_argument('--physical-network', metavar='NAME', help='what the bridge leads to')
    create.add_argument('--mtu', type=int, metavar='BYTES', help='default: that of the links')
    create.add_argument('--project', metavar='ID', help='the only project that may use it')
    create.add_argument('--allowed-start', metavar='ADDRESS', help='the first address given')
    create.add_argument('--allowed-end', metavar='ADDRESS', help='the last address given')
    _verb(verbs, 'list', network_list, 'list all networks')
    show = _verb(verbs, 'show', network_show, 'show a network')
    show.add_argument('network', metavar='UUID')
    topology = _verb(verbs, 'topology', network_topology, 'draw hosts, networks and instances')
    topology.add_argument('--format', choices=('text', 'dot', 'svg'), default='text')
    delete = _verb(verbs, 'delete', network_delete, 'delete a network that nothing is on')
    delete.add_argument('network', metavar='UUID')


def _add_service(noun: argparse.ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar='VERB')
    _verb(verbs, 'list', service_list, 'list the services and whether they are up')
