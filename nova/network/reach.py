"""What guests may reach beyond their network, and from where they are reached; pure.

A host that is the gateway of two networks is a router between them for anybody who asks it to be.
So what comes in from one of our bridges and would leave by another is dropped, unless the operator
allowed it or it came to a floating IP. Towards the world a guest keeps its own address, unless it
has a floating IP, or its network an egress interface: what leaves there has the address of that
interface.

The host itself is not there for guests (OSSN-0018): who comes by a bridge of ours may ask for
DHCP, DNS, metadata and an echo, and for nothing else. Bridges of flat networks are the operator's,
who may reach the host that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses

import netaddr

from nova.db import records
from nova.network import info, model, names

#: Family and name.
TABLE, EDGE_TABLE = 'inet nova-nat', 'bridge nova-edge'
#: Where the metadata service answers, as nft says it.
METADATA = (f'ip daddr {model.METADATA_ADDRESS}', f'ip6 daddr {model.METADATA_ADDRESS_V6}')
_METADATA_NUMBER_V6 = f'{int(netaddr.IPAddress(model.METADATA_ADDRESS_V6)):#x}'
#: What a host says to its own guests, and they to it, where every host serves its own. Each line is
#: of one protocol: DHCP, the way to the metadata service, router announcements, DHCPv6.
_OF_ONE_HOST = (
    'meta protocol ip udp dport { 67, 68 }',
    METADATA[0],
    f'arp daddr ip {model.METADATA_ADDRESS}',
    f'arp saddr ip {model.METADATA_ADDRESS}',
    'icmpv6 type { nd-router-solicit, nd-router-advert }',
    'meta protocol ip6 udp dport { 546, 547 }',
    METADATA[1],
    # the target of a neighbour solicitation or advertisement (RFC 4861, sections 4.3 and 4.4)
    f'icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} @th,64,128 {_METADATA_NUMBER_V6}',
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the operator chose for this host. Networks are named by uuid or label.

    ``egress`` maps a network to an interface of the host, ``default_egress`` is for the others
    (None: their addresses are not translated). ``forward_between`` are pairs of networks that may
    reach each other. ``floating_interface`` has the floating IPs.
    """

    default_egress: str | None = None
    egress: Mapping[str, str] = dataclasses.field(default_factory=dict)
    forward_between: tuple[tuple[str, str], ...] = ()
    floating_interface: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """Guests with an address of ``cidr`` leave by ``interface`` under its address."""

    cidr: str
    interface: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Floating:
    """``address`` is the outside's name for ``fixed_ip``."""

    address: str
    fixed_ip: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """``allowed`` are pairs (in, out) of bridges between which is forwarded. ``floating`` are the
    floating IPs that lead here; this host has them on ``floating_interface`` (None: somebody
    routes them to it). ``ranges`` are those of the networks. ``gateways`` are the bridges of those
    that the host is the gateway of. ``guarded`` are the bridges from which only the services for
    guests are reached. ``edges`` are the ports by which bridges lead to other hosts that serve
    their own guests."""

    bridges: tuple[str, ...] = ()
    allowed: tuple[tuple[str, str], ...] = ()
    egresses: tuple[Egress, ...] = ()
    floating: tuple[Floating, ...] = ()
    floating_interface: str | None = None
    ranges: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()

    @property
    def needs_table(self) -> bool:
        """Whether there is something to keep apart or to translate. What comes in by a bridge that
        the host is no gateway of is not forwarded, by the switches of its device."""
        apart = {(one, other) for one in self.gateways for other in self.bridges}
        translates = bool(self.floating or (self.gateways and self.egresses))
        return translates or not apart <= set(self.allowed)


def plan_reach(
    networks: Sequence[records.Network],
    options: Options,
    floating_ips: Iterable[records.FloatingIp] = (),
    edges: Iterable[str] = (),
) -> Reach:
    """For the networks of one host, whether or not they have NICs at the moment.

    :param networks: as they are on that host (:func:`nova.network.info.on_host`).
    :param floating_ips: those of other networks or hosts and those that lead nowhere do not count.
    :param edges: see :func:`nova.network.topology.plan_edges`.
    :raises InvalidName: an interface of the options has a name that none can have.
    """
    bridges = dict.fromkeys(network.bridge for network in networks)
    by_name = {name: n.bridge for n in networks for name in (n.label, n.uuid)}
    pairs = [(bridge, bridge) for bridge in bridges]
    for one, other in options.forward_between:
        if one in by_name and other in by_name:
            pairs += [(by_name[one], by_name[other]), (by_name[other], by_name[one])]
    interface = options.floating_interface
    if interface is not None:
        interface = names.parse_device(interface, 'floating_interface')
    here = {(network.uuid, network.host) for network in networks}
    return Reach(
        floating=tuple(
            Floating(address=f.address, fixed_ip=f.fixed_ip)
            for f in sorted(floating_ips, key=lambda f: f.id)
            if f.fixed_ip is not None and (f.network_uuid, f.host) in here
        ),
        floating_interface=interface,
        ranges=tuple(sorted(str(netaddr.IPNetwork(n.cidr).cidr) for n in networks if n.cidr)),
        gateways=tuple(
            sorted({n.bridge for n in networks if info.is_gateway(n) or n.gateway_v6 is not None})
        ),
        bridges=tuple(sorted(bridges)),
        guarded=tuple(sorted({n.bridge for n in networks if n.kind is not model.NetworkKind.FLAT})),
        allowed=tuple(sorted(set(pairs))),
        egresses=tuple(_egresses(networks, options)),
        edges=tuple(sorted(edges)),
    )


def _egresses(networks: Sequence[records.Network], options: Options) -> Iterable[Egress]:
    for network in sorted(networks, key=lambda network: network.id):
        interface = options.egress.get(
            network.uuid, options.egress.get(network.label, options.default_egress)
        )
        if interface and network.cidr and network.gateway:
            cidr = netaddr.IPNetwork(network.cidr).cidr
            yield Egress(cidr=str(cidr), interface=names.parse_device(interface, 'egress'))


def render_table(reach: Reach) -> tuple[str, ...]:
    """The commands (man 8 nft) that replace our table, as one transaction; without networks,
    those that remove it.

    Its chain of filters is not the host's only one: to be let through here is not to be let
    through everywhere.
    """
    remove = (f'add table {TABLE}', f'delete table {TABLE}')
    if not reach.bridges:
        return remove
    return (
        *remove,
        f'add table {TABLE}',
        _set('bridges', 'ifname', [f'"{name}"' for name in reach.bridges]),
        _set('allowed', 'ifname . ifname', [f'"{a}" . "{b}"' for a, b in reach.allowed]),
        _chain('forward', 'filter', 'forward', -10),
        _rule('forward', 'iifname . oifname @allowed accept'),
        _rule('forward', 'ct status dnat accept'),
        _rule('forward', 'iifname @bridges oifname @bridges drop'),
        *_guard(reach.guarded),
        *_translate_in(reach.floating),
        _chain('postrouting', 'nat', 'postrouting', 100),
        *_translate_out(reach),
        *(
            _rule('postrouting', f'ip saddr {egress.cidr} oifname "{egress.interface}" masquerade')
            for egress in reach.egresses
        ),
    )


def _guard(bridges: Sequence[str]) -> tuple[str, ...]:
    """What is addressed to this host itself, be it routed here from elsewhere or not."""
    if not bridges:
        return ()
    services = (
        'meta l4proto { icmp, ipv6-icmp }',
        'udp dport { 53, 67, 547 }',
        'tcp dport 53',
        *(f'{family} tcp dport 80' for family in METADATA),
    )
    return (
        _set('guarded', 'ifname', [f'"{name}"' for name in bridges]),
        _chain('input', 'filter', 'input', -10),
        _rule('input', 'iifname != @guarded accept'),
        _rule('input', 'ct state established,related accept'),
        *(_rule('input', f'{service} accept') for service in services),
        _rule('input', 'counter drop'),
    )


def render_edge_table(reach: Reach) -> tuple[str, ...]:
    """The commands that replace the table by which a host is the only one that its guests hear of
    where every host serves its own; without such networks, those that remove it.

    The filters of the NICs let in what comes from the right server only; but a question that is
    answered twice may be lost to the wrong answer before.
    """
    remove = (f'add table {EDGE_TABLE}', f'delete table {EDGE_TABLE}')
    if not reach.edges:
        return remove
    ports = [f'"{name}"' for name in reach.edges]
    return (
        *remove,
        f'add table {EDGE_TABLE}',
        f'add set {EDGE_TABLE} edges {{ type ifname; elements = {{ {", ".join(ports)} }}; }}',
        f'add chain {EDGE_TABLE} crossing',
        *(f'add rule {EDGE_TABLE} crossing {what} drop' for what in _OF_ONE_HOST),
        *(
            line
            for hook, ports_of in (
                ('forward', ('iifname', 'oifname')),
                ('input', ('iifname',)),
                ('output', ('oifname',)),
            )
            for line in _edge_chain(hook, ports_of)
        ),
    )


def _edge_chain(hook: str, ports: Iterable[str]) -> Iterable[str]:
    hooked = f'type filter hook {hook} priority -300; policy accept;'
    yield f'add chain {EDGE_TABLE} {hook} {{ {hooked} }}'
    for port in ports:
        yield f'add rule {EDGE_TABLE} {hook} {port} @edges jump crossing'


def _translate_in(floating: Sequence[Floating]) -> tuple[str, ...]:
    """Who comes to a floating IP, from outside, from a guest or from this host, comes to the
    fixed IP."""
    if not floating:
        return ()
    pairs = ', '.join(f'{f.address} : {f.fixed_ip}' for f in floating)
    rule = f'dnat ip to ip daddr map {{ {pairs} }}'
    return (
        _chain('prerouting', 'nat', 'prerouting', -100),
        _rule('prerouting', rule),
        _chain('output', 'nat', 'output', -100),
        _rule('output', rule),
    )


def _translate_out(reach: Reach) -> tuple[str, ...]:
    """Who has a floating IP leaves the networks under it. A guest that comes to a neighbour's
    floating IP seems to come from this host, so that the answer comes back this way."""
    if not reach.floating:
        return ()
    pairs = ', '.join(f'{f.fixed_ip} : {f.address}' for f in reach.floating)
    return (
        *(
            _rule('postrouting', f'ct status dnat ip saddr {cidr} ip daddr {cidr} masquerade')
            for cidr in reach.ranges
        ),
        _rule('postrouting', f'oifname != @bridges snat ip to ip saddr map {{ {pairs} }}'),
    )


def _set(name: str, kind: str, elements: Iterable[str]) -> str:
    return f'add set {TABLE} {name} {{ type {kind}; elements = {{ {", ".join(elements)} }}; }}'


def _chain(name: str, kind: str, hook: str, priority: int) -> str:
    hooked = f'type {kind} hook {hook} priority {priority}; policy accept;'
    return f'add chain {TABLE} {name} {{ {hooked} }}'


def _rule(chain: str, rule: str) -> str:
    return f'add rule {TABLE} {chain} {rule}'


def parse_pair(text: str) -> tuple[str, str]:
    """``one:other``, of the option ``forward_between``.

    :raises InvalidName:
    """
    one, _, other = text.partition(':')
    return names.parse_label(one, 'forward_between'), names.parse_label(other, 'forward_between')
