"""``nova-manage network``: networks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import dataclasses
from typing import Any

from nova import context as nova_context
from nova import wiring
from nova.db import api as db
from nova.db import records
from nova.manage import output
from nova.manage.verbs import Verbs
from nova.network import api as network_api
from nova.network import picture, ranges

#: Takes away all values of an option that may be repeated.
_NONE = 'none'
#: What a list shows of a network.
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


def add_verbs(noun: argparse.ArgumentParser) -> None:
    """Add the verbs of this noun, with their arguments, to the command line."""
    verbs = Verbs(noun)
    _add_create(verbs)
    add = verbs.add('add', add_network, 'give a project a network that no project has')
    add.add_argument('--project', metavar='ID', required=True)
    add.add_argument('network', metavar='UUID', nargs='?', help='default: the oldest free VLAN')
    verbs.add('list', list_networks, 'list all networks')
    show = verbs.add('show', show_network, 'show a network')
    show.add_argument('network', metavar='UUID')
    topology = verbs.add('topology', draw_topology, 'draw hosts, networks and instances')
    topology.add_argument('--format', choices=('text', 'dot', 'svg'), default='text')
    _add_modify(verbs)
    delete = verbs.add('delete', delete_network, 'delete a network that nothing is on')
    delete.add_argument('network', metavar='UUID')


def _add_create(verbs: Verbs) -> None:
    create = verbs.add('create', create_network, 'make a network')
    create.add_argument('--label', required=True, help='its name')
    create.add_argument(
        '--kind', help='flat, flat_dhcp or vlan; default: that of [network] network_manager'
    )
    create.add_argument('--project', metavar='ID', help='the only project that may use it')
    create.add_argument(
        '--multi-host',
        action='store_true',
        help='every host is gateway, DHCP and metadata server of its own guests',
    )
    _add_links(create.add_argument_group('where it leads'))
    _add_ranges(create.add_argument_group('its ranges'))
    _add_offers(create.add_argument_group('what its guests are told'))


def _add_links(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--bridge', metavar='NAME', help='default: a name made for the network')
    group.add_argument('--physical-network', metavar='NAME', help='what the bridge leads to')
    group.add_argument('--vlan', type=int, metavar='ID', help='default: the next free one')
    group.add_argument('--mtu', type=int, metavar='BYTES', help='default: that of the links')


def _add_ranges(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--range', metavar='CIDR', help='IPv4 range, 10.0.0.0/24')
    group.add_argument('--range-v6', metavar='CIDR', help='IPv6 range, fd00:1::/64')
    group.add_argument('--fixed-cidr', metavar='CIDR', help='the part that is given out')
    group.add_argument('--allowed-start', metavar='ADDRESS', help='the first address given')
    group.add_argument('--allowed-end', metavar='ADDRESS', help='the last address given')
    group.add_argument(
        '--num-networks', type=int, metavar='N', help='carve so many networks out of the ranges'
    )
    group.add_argument(
        '--network-size', type=int, metavar='N', help='addresses of each network that is carved'
    )


def _add_offers(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--gateway',
        metavar='ADDRESS',
        help='of IPv4, or none; default: the first address, or none on a flat network',
    )
    group.add_argument(
        '--gateway-v6',
        metavar='ADDRESS',
        help='gives every guest of the network its IPv6 default route; default: none',
    )
    group.add_argument(
        '--dhcp-server',
        metavar='ADDRESS',
        help='default: the gateway, which is then the host that serves the network; with another'
        " address, the gateway is a router of the operator's",
    )
    group.add_argument(
        '--no-dhcp',
        action='store_true',
        help='guests learn their addresses from the configuration drive',
    )
    group.add_argument(
        '--ipv6-mode',
        metavar='MODE',
        help='slaac, stateless or stateful (DHCPv6); default: slaac; a flat network has none',
    )
    group.add_argument(
        '--dns', action='append', default=[], metavar='ADDRESS', help='may be repeated'
    )
    group.add_argument(
        '--route',
        action='append',
        default=[],
        metavar='CIDR,GATEWAY',
        help='a static route of guests; may be repeated',
    )


def _add_modify(verbs: Verbs) -> None:
    modify = verbs.add('modify', modify_network, 'change a network')
    modify.add_argument('network', metavar='UUID')
    modify.add_argument('--label', help='its new name')
    modify.add_argument('--mtu', type=int, metavar='BYTES')
    modify.add_argument(
        '--gateway',
        metavar='ADDRESS',
        help="of IPv4, or none; the DHCP server keeps its address, and another one is a router's",
    )
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


def create_network(conf: Any, arguments: argparse.Namespace) -> None:
    """Make a network, or carve several, and print what was made.

    :raises InvalidCidr: or another error that names the field; then nothing was made.
    """
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
        output.print_values(arguments, dataclasses.asdict(networks.create_network(spec)))
        return
    length = ranges.parse_size(arguments.network_size)
    made = networks.create_networks(spec, arguments.num_networks, length)
    output.print_rows(arguments, _COLUMNS, _rows(made))


def add_network(conf: Any, arguments: argparse.Namespace) -> None:
    """Give a project a network that no project has."""
    network = _networks(conf).add_network_to_project(arguments.network, arguments.project)
    output.print_values(arguments, dataclasses.asdict(network))


def modify_network(conf: Any, arguments: argparse.Namespace) -> None:
    """Change a network, and print it; what is not named stays.

    :raises NetworkNotFound:
    :raises NetworkInUse: NICs would be left behind.
    """
    changes = {
        field: getattr(arguments, field)
        for field in ('label', 'mtu', 'gateway', 'host')
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
    output.print_values(arguments, dataclasses.asdict(network))


def _rows(networks: Sequence[records.Network]) -> list[dict[str, Any]]:
    return [{column: getattr(network, column) for column in _COLUMNS} for network in networks]


def list_networks(conf: Any, arguments: argparse.Namespace) -> None:
    """Print all networks."""
    found = _networks(conf).list_networks(nova_context.service_context())
    output.print_rows(arguments, _COLUMNS, _rows(found))


def show_network(conf: Any, arguments: argparse.Namespace) -> None:
    """Print a network.

    :raises NetworkNotFound:
    """
    networks = _networks(conf)
    network = networks.get_network(nova_context.service_context(), arguments.network)
    output.print_values(arguments, dataclasses.asdict(network))


def delete_network(conf: Any, arguments: argparse.Namespace) -> None:
    """Delete a network.

    :raises NetworkNotFound:
    :raises NetworkInUse: a NIC is on it.
    """
    _networks(conf).delete_network(arguments.network)


def draw_topology(conf: Any, arguments: argparse.Namespace) -> None:
    """Print a picture of hosts, networks and instances."""
    servers = {i.uuid: (i.display_name, i.host) for i in db.instance_list()}
    render = {
        'text': picture.render_text,
        'dot': picture.render_dot,
        'svg': picture.render_svg,
    }[arguments.format]
    print(render(_networks(conf).topology(servers)), end='')


def _networks(conf: Any) -> network_api.API:
    return wiring.build_network_api(conf)
