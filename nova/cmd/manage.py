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
from nova.cmd import firewall
from nova.db import api as db
from nova.db import migration, records, session
from nova.network import api as network_api
from nova.network import floating_ips, picture, ranges

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
    conf = service.configure(config, 'nova-manage', is_command=True)
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
        cidr_v6=arguments.range_v6,
        gateway_v6=arguments.gateway_v6,
        ipv6_mode=arguments.ipv6_mode,
        routes=tuple(arguments.route),
        vlan=arguments.vlan,
        kind=arguments.kind,
        gateway=arguments.gateway,
        dhcp_server=arguments.dhcp_server,
        dns=tuple(arguments.dns),
        bridge=arguments.bridge,
        physical_network=arguments.physical_network,
        mtu=arguments.mtu,
        project_id=arguments.project,
        allowed_start=arguments.allowed_start,
        allowed_end=arguments.allowed_end,
        fixed_cidr=arguments.fixed_cidr,
        enable_dhcp=False if arguments.no_dhcp else None,
        multi_host=arguments.multi_host,
    )
    networks = _networks(conf)
    if arguments.num_networks is None:
        _print_values(arguments, dataclasses.asdict(networks.create_network(spec)))
        return
    length = ranges.parse_size(arguments.network_size)
    made = networks.create_networks(spec, arguments.num_networks, length)
    _print_rows(arguments, _COLUMNS, _rows(made))


def network_add(conf: Any, arguments: argparse.Namespace) -> None:
    network = _networks(conf).add_network_to_project(arguments.network, arguments.project)
    _print_values(arguments, dataclasses.asdict(network))


def network_modify(conf: Any, arguments: argparse.Namespace) -> None:
    changes = {
        field: getattr(arguments, field)
        for field in ('label', 'mtu', 'host')
        if getattr(arguments, field) is not None
    }
    if arguments.project is not None:
        changes['project_id'] = arguments.project
    if arguments.disassociate_project:
        changes['project_id'] = None
    if arguments.disassociate_host:
        changes['host'] = None
    for field, values in (('dns', arguments.dns), ('routes', arguments.route)):
        if values is not None:
            changes[field] = tuple(value for value in values if value != _NONE)
    network = _networks(conf).modify_network(arguments.network, **changes)
    _print_values(arguments, dataclasses.asdict(network))


_NONE = 'none'
_COLUMNS = (
    'uuid',
    'label',
    'kind',
    'cidr',
    'gateway',
    'cidr_v6',
    'gateway_v6',
    'vlan',
    'bridge',
    'project_id',
    'host',
)


def _rows(networks: Sequence[records.Network]) -> list[dict[str, Any]]:
    return [{column: getattr(network, column) for column in _COLUMNS} for network in networks]


def network_list(conf: Any, arguments: argparse.Namespace) -> None:
    found = _networks(conf).list_networks(nova_context.service_context())
    _print_rows(arguments, _COLUMNS, _rows(found))


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


# --- interface


def interface_default_route(_conf: Any, arguments: argparse.Namespace) -> None:
    vif = db.vif_set_default_route(arguments.interface)
    print(f'Interface {vif.index} of instance {vif.instance_uuid} has the IPv4 default route.')


# --- floating


def floating_create(_conf: Any, arguments: argparse.Namespace) -> None:
    db.floating_ips_create(*floating_ips.plan_pool(arguments.pool, arguments.range))


def floating_list(_conf: Any, arguments: argparse.Namespace) -> None:
    columns = ('address', 'pool', 'project_id', 'fixed_ip', 'instance_uuid')
    rows = [{column: getattr(one, column) for column in columns} for one in db.floating_ip_list()]
    _print_rows(arguments, columns, rows)


def floating_delete(_conf: Any, arguments: argparse.Namespace) -> None:
    db.floating_ip_delete(arguments.address)


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


def service_enable(_conf: Any, arguments: argparse.Namespace) -> None:
    db.service_set_disabled(arguments.host, arguments.binary, False)


def service_disable(_conf: Any, arguments: argparse.Namespace) -> None:
    db.service_set_disabled(arguments.host, arguments.binary, True, arguments.reason)


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
    _add_interface(nouns.add_parser('interface', help='interfaces of instances'))
    _add_floating(nouns.add_parser('floating', help='floating IPs'))
    firewall.add_verbs(nouns.add_parser('firewall', help='what NICs may do, and why'))
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
    create.add_argument('--range', metavar='CIDR', help='IPv4 range, 10.0.0.0/24')
    create.add_argument('--range-v6', metavar='CIDR', help='IPv6 range, fd00:1::/64')
    create.add_argument(
        '--kind', help='flat, flat_dhcp or vlan; default: that of [network] network_manager'
    )
    create.add_argument(
        '--gateway',
        metavar='ADDRESS',
        help='of IPv4, or none; default: the first address, or none on a flat network',
    )
    create.add_argument(
        '--dhcp-server',
        metavar='ADDRESS',
        help='default: the gateway, which is then the host that serves the network; with another'
        " address, the gateway is a router of the operator's",
    )
    create.add_argument(
        '--gateway-v6',
        metavar='ADDRESS',
        help='gives every guest of the network its IPv6 default route; default: none',
    )
    create.add_argument(
        '--ipv6-mode',
        metavar='MODE',
        help='slaac, stateless or stateful (DHCPv6); default: slaac; a flat network has none',
    )
    create.add_argument(
        '--dns', action='append', default=[], metavar='ADDRESS', help='may be repeated'
    )
    create.add_argument('--bridge', metavar='NAME', help='default: a name made for the network')
    create.add_argument('--physical-network', metavar='NAME', help='what the bridge leads to')
    create.add_argument('--vlan', type=int, metavar='ID', help='default: the next free one')
    create.add_argument(
        '--route',
        action='append',
        default=[],
        metavar='CIDR,GATEWAY',
        help='a static route of guests; may be repeated',
    )
    create.add_argument(
        '--num-networks', type=int, metavar='N', help='carve so many networks out of the ranges'
    )
    create.add_argument(
        '--network-size', type=int, metavar='N', help='addresses of each network that is carved'
    )
    create.add_argument('--mtu', type=int, metavar='BYTES', help='default: that of the links')
    create.add_argument('--project', metavar='ID', help='the only project that may use it')
    create.add_argument('--allowed-start', metavar='ADDRESS', help='the first address given')
    create.add_argument('--allowed-end', metavar='ADDRESS', help='the last address given')
    create.add_argument(
        '--no-dhcp',
        action='store_true',
        help='guests learn their addresses from the configuration drive',
    )
    create.add_argument('--fixed-cidr', metavar='CIDR', help='the part that is given out')
    create.add_argument(
        '--multi-host',
        action='store_true',
        help='every host is gateway, DHCP and metadata server of its own guests',
    )
    add = _verb(verbs, 'add', network_add, 'give a project a network that no project has')
    add.add_argument('--project', metavar='ID', required=True)
    add.add_argument('network', metavar='UUID', nargs='?', help='default: the oldest free VLAN')
    _verb(verbs, 'list', network_list, 'list all networks')
    show = _verb(verbs, 'show', network_show, 'show a network')
    show.add_argument('network', metavar='UUID')
    topology = _verb(verbs, 'topology', network_topology, 'draw hosts, networks and instances')
    topology.add_argument('--format', choices=('text', 'dot', 'svg'), default='text')
    modify = _verb(verbs, 'modify', network_modify, 'change a network')
    modify.add_argument('network', metavar='UUID')
    modify.add_argument('--label', help='its new name')
    modify.add_argument('--mtu', type=int, metavar='BYTES')
    modify.add_argument(
        '--dns', action='append', metavar='ADDRESS', help='all of them anew; may be repeated; none'
    )
    modify.add_argument(
        '--route',
        action='append',
        metavar='CIDR,GATEWAY',
        help='all of them anew; may be repeated; none',
    )
    project = modify.add_mutually_exclusive_group()
    project.add_argument('--project', metavar='ID', help='the only project that may use it')
    project.add_argument('--disassociate-project', action='store_true')
    host = modify.add_mutually_exclusive_group()
    host.add_argument('--host', metavar='NAME', help='the host that is to serve it')
    host.add_argument('--disassociate-host', action='store_true')
    delete = _verb(verbs, 'delete', network_delete, 'delete a network that nothing is on')
    delete.add_argument('network', metavar='UUID')


def _add_interface(noun: argparse.ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar='VERB')
    text = 'give an interface the IPv4 default route; the guest hears of it when it asks DHCP again'
    route = _verb(verbs, 'default-route', interface_default_route, text)
    route.add_argument('interface', metavar='PORT_ID', help='port_id of os-interface')


def _add_floating(noun: argparse.ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar='VERB')
    create = _verb(verbs, 'create', floating_create, 'add addresses to a pool')
    create.add_argument('--pool', default='nova', help='default: nova')
    create.add_argument('--range', required=True, metavar='CIDR', help='192.0.2.8/29')
    _verb(verbs, 'list', floating_list, 'list all floating IPs')
    delete = _verb(verbs, 'delete', floating_delete, 'remove one that no project holds')
    delete.add_argument('address', metavar='ADDRESS')


def _add_service(noun: argparse.ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar='VERB')
    _verb(verbs, 'list', service_list, 'list the services and whether they are up')
    enable = _verb(verbs, 'enable', service_enable, 'let a service have new work again')
    disable = _verb(verbs, 'disable', service_disable, 'keep new work from a service')
    for verb in (enable, disable):
        verb.add_argument('host', metavar='HOST')
        verb.add_argument('--binary', default='nova-compute', help='default: nova-compute')
    disable.add_argument('--reason', help='for other operators')
