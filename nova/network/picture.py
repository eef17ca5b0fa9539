"""A picture of the cloud: hosts, networks with their bridges and VLANs, instances with their NICs.

Pure: a :class:`Picture` is made of the same snapshots that everything else is rendered from, and
rendered as text, as a graph for Graphviz (https://graphviz.org/doc/info/lang.html) or as SVG 1.1.

The drawing is a table, since lines between fifty guests and their networks would be a tangle: a
row for each instance, grouped by host, a column for each network, and where an instance is on a
network, its NICs' indexes and addresses. The NIC that has the default route is marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from xml.sax import saxutils

from nova.network import model

#: The group of the instances that no host has yet.
NOWHERE = '(no host)'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An instance as the picture shows it."""

    name: str
    host: str | None
    network_info: model.NetworkInfo


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is to be seen: the networks in their order, and the instances of each host."""

    networks: tuple[model.Network, ...]
    hosts: Mapping[str, tuple[Server, ...]]


def build_picture(networks: Iterable[model.Network], servers: Iterable[Server]) -> Picture:
    """Group the servers by host, hosts and servers by name. Hosts that only serve a network are
    shown as well."""
    shown = tuple(networks)
    hosts: dict[str, list[Server]] = {n.host: [] for n in shown if n.host is not None}
    for server in servers:
        hosts.setdefault(server.host or NOWHERE, []).append(server)
    return Picture(
        networks=shown,
        hosts={
            host: tuple(sorted(hosts[host], key=lambda server: server.name))
            for host in sorted(hosts, key=lambda host: (host == NOWHERE, host))
        },
    )


def describe_network(network: model.Network) -> tuple[str, ...]:
    """What is told of a network: its name, kind, ranges, where it is and who serves it."""
    place = network.bridge
    if network.vlan is not None:
        place += f', VLAN {network.vlan}'
    if network.physical_network is not None:
        place += f' on {network.physical_network}'
    served = 'on every host' if network.multi_host else f'served by {network.host or "nobody yet"}'
    return (
        network.label,
        str(network.kind),
        *(subnet.cidr for subnet in network.subnets),
        place,
        served,
    )


def describe_nic(vif: model.VIF) -> str:
    """``#1 10.0.0.5``; a star marks the NIC with the default route."""
    mark = '*' if vif.default_route else ''
    return f'#{vif.index}{mark} {" ".join(vif.addresses) or vif.mac}'


def _cell(server: Server, network: model.Network) -> list[str]:
    return [describe_nic(vif) for vif in server.network_info if vif.network.id == network.id]


# --- text


def render_text(picture: Picture) -> str:
    """For a terminal: the networks, then each host with its instances and their NICs in order."""
    lines = ['Networks']
    for network in picture.networks:
        label, *rest = describe_network(network)
        lines.append(f'  {label}: {", ".join(rest)}')
    for host, servers in picture.hosts.items():
        lines += ['', f'Host {host}' if host != NOWHERE else 'On no host']
        lines += [line for server in servers for line in _text_of_server(server)]
        if not servers:
            lines.append('  no instances')
    return '\n'.join(lines) + '\n'


def _text_of_server(server: Server) -> Iterable[str]:
    yield f'  {server.name}'
    for vif in server.network_info:
        yield f'    {describe_nic(vif)}  {vif.mac}  {vif.network.label}'


# --- Graphviz


def render_dot(picture: Picture) -> str:
    """An undirected graph: a cluster for each host, an edge for each NIC."""
    lines = ['graph cloud {', '  rankdir=LR;', '  node [shape=box, fontname="sans-serif"];']
    for network in picture.networks:
        label = _dot_text(*describe_network(network))
        lines.append(f'  {_dot_id("network", network.id)} [label={label}, shape=ellipse];')
    for number, (host, servers) in enumerate(picture.hosts.items()):
        lines += [f'  subgraph cluster_{number} {{', f'    label={_dot_text(host)};']
        lines += [
            f'    {_dot_id(host, server.name, str(i))} [label={_dot_text(server.name)}];'
            for i, server in enumerate(servers)
        ]
        lines.append('  }')
        lines += [
            f'  {_dot_id(host, server.name, str(i))} -- {_dot_id("network", vif.network.id)}'
            f' [label={_dot_text(describe_nic(vif))}];'
            for i, server in enumerate(servers)
            for vif in server.network_info
        ]
    return '\n'.join([*lines, '}']) + '\n'


def _dot_text(*lines: str) -> str:
    escaped = (line.replace('\\', '\\\\').replace('"', '\\"') for line in lines)
    return '"' + '\\n'.join(escaped) + '"'


def _dot_id(*words: str) -> str:
    return _dot_text('/'.join(words))


# --- SVG

_CHARACTER_PX = 7.0  # of the 12 px font below, a little more than its mean
_LINE_PX = 16
_ROW_PX = 22
_PAD_PX = 12
_LEGEND = '# the NIC of that index; * it has the default route'
_COLOURS = ('#1b6ca8', '#a8501b', '#2e7d32', '#7b1fa2', '#ad1457', '#00695c', '#5d4037', '#455a64')


@dataclasses.dataclass(frozen=True, slots=True)
class _Grid:
    """Where the columns are: the left edge of each network's, and the whole width, in px."""

    lefts: tuple[float, ...]
    width: float
    head_px: float


def render_svg(picture: Picture) -> str:
    """The table as an SVG document, as large as it needs to be."""
    grid = _lay_out(picture)
    parts = [_svg_head(network, grid, i) for i, network in enumerate(picture.networks)]
    top = grid.head_px + _PAD_PX
    lines_top = top
    for host, servers in picture.hosts.items():
        parts.append(_svg_host(host, len(servers), grid, top))
        top += _ROW_PX
        for server in servers:
            parts.append(_svg_server(server, picture.networks, grid, top))
            top += _ROW_PX
        top += _PAD_PX
    # beneath the text, so that it stays readable
    columns = [
        f'<line x1="{left + 4:.0f}" y1="{lines_top:.0f}" x2="{left + 4:.0f}" y2="{top:.0f}"'
        f' stroke="{_colour(i)}" stroke-width="3" opacity="0.35"/>'
        for i, left in enumerate(grid.lefts)
    ]
    size = f'width="{grid.width:.0f}" height="{top + 2 * _PAD_PX:.0f}"'
    font = 'font-family="DejaVu Sans, sans-serif" font-size="12"'
    return '\n'.join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
            '<title>Hosts, networks and instances</title>',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *columns,
            *parts,
            _svg_text(_PAD_PX, top + _PAD_PX, _LEGEND, ' fill="#444444"'),
            '</svg>\n',
        ]
    )


def _lay_out(picture: Picture) -> _Grid:
    servers = [server for group in picture.hosts.values() for server in group]
    names = [server.name for server in servers] + list(picture.hosts)
    left = _width(names) + 3 * _PAD_PX
    lefts = []
    for network in picture.networks:
        lefts.append(left)
        cells = ['   '.join(_cell(server, network)) for server in servers]
        left += _width([*describe_network(network), *cells]) + 3 * _PAD_PX
    heights = [len(describe_network(network)) for network in picture.networks] or [0]
    width = max(left, _width([_LEGEND]) + 2 * _PAD_PX)
    return _Grid(tuple(lefts), width, max(heights) * _LINE_PX + 2 * _PAD_PX)


def _width(texts: Sequence[str]) -> float:
    return max((len(text) for text in texts), default=0) * _CHARACTER_PX


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _svg_text(x: float, y: float, text: str, attributes: str = '') -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}"{attributes}>{saxutils.escape(text)}</text>'


def _svg_head(network: model.Network, grid: _Grid, number: int) -> str:
    bold = f' font-weight="bold" fill="{_colour(number)}"'
    return '\n'.join(
        _svg_text(grid.lefts[number], _PAD_PX + (i + 1) * _LINE_PX, text, '' if i else bold)
        for i, text in enumerate(describe_network(network))
    )


def _svg_host(host: str, count: int, grid: _Grid, top: float) -> str:
    height = (count + 1) * _ROW_PX
    return (
        f'<rect x="{_PAD_PX / 2:.0f}" y="{top:.0f}" width="{grid.width - _PAD_PX:.0f}"'
        f' height="{height}" fill="#888888" fill-opacity="0.08" stroke="#bbbbbb" rx="4"/>\n'
        + _svg_text(_PAD_PX, top + 15, host, ' font-weight="bold" fill="#444444"')
    )


def _svg_server(server: Server, networks: Sequence[model.Network], grid: _Grid, top: float) -> str:
    parts = [_svg_text(2 * _PAD_PX, top + 15, server.name)]
    for number, network in enumerate(networks):
        cell = _cell(server, network)
        if cell:
            x = grid.lefts[number]
            parts.append(
                f'<circle cx="{x + 4:.0f}" cy="{top + 11:.0f}" r="5" fill="{_colour(number)}"/>'
            )
            parts.append(_svg_text(x + 14, top + 15, '   '.join(cell)))
    return '\n'.join(parts)
