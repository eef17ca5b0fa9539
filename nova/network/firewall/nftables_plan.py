"""What the nftables driver has in the kernel, as values and as text; pure.

Two tables called ``nova``. That of the bridge family judges: every NIC is elements of a few maps
and sets, keyed by the name of its device, which need not exist yet. ``from_guest`` and
``to_guest`` are the first-hop stage, ``egress`` and the end of ``to_guest`` the security groups,
which are chains that the NICs of equal groups share. The table of the inet family only tells it,
by a packet mark, what belongs to an admitted connection: br_netfilter hands bridged packets to
it, and separates the networks into conntrack zones. Without br_netfilter nothing is ever
established, so that answers are dropped, and nothing passes that otherwise would not.

Rules that accept are positive throughout: an expression about an octet that a packet does not
have matches nothing, ``!=`` included. Syntax: nft(8).
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import hashlib
import itertools
from typing import Any

import netaddr

from nova.network.firewall import interpreter, rules

TABLE = 'nova'
#: Marks a packet of an admitted connection, between the inet and the bridge hooks.
ESTABLISHED = 0x6E6F7661
_REASONS = ('arp', 'dhcp', 'group', 'ipv4', 'ipv6', 'kind', 'mac', 'nd', 'provider', 'router')

#: Element sets of a NIC: their kind and what nft calls the type of their keys.
SETS: Mapping[str, tuple[str, str]] = {
    'from_kinds': ('map', 'type ifname . ether_type : verdict'),
    'to_kinds': ('map', 'type ifname . ether_type : verdict'),
    'macs': ('set', 'type ifname . ether_addr'),
    'raw_macs': ('set', 'typeof iifname . @th,288,48'),
    'ipv4': ('set', 'type ifname . ipv4_addr'),
    'ipv6': ('set', 'type ifname . ipv6_addr'),
    'raw_ipv6': ('set', 'typeof iifname . @th,64,128'),
    'dhcp_clients': ('set', 'type ifname'),
    'dhcp_servers': ('set', 'type ifname . ipv4_addr'),
    'dhcpv6_servers': ('set', 'type ifname . ipv6_addr'),
    'routers': ('set', 'type ifname . ipv6_addr'),
    'numbers': ('map', 'type ifname : mark'),
    'egress_groups': ('map', 'type ifname : verdict'),
    'ingress_groups': ('map', 'type ifname : verdict'),
}
#: The same in the inet table, by bridge.
INET_SETS: Mapping[str, tuple[str, str]] = {
    'zones': ('map', 'typeof iifname : ct zone'),
    'bridges': ('set', 'type ifname'),
    'host_macs': ('set', 'type ifname . ether_addr'),
}


def _numbers(values: Iterable[int]) -> str:
    return '{ ' + ', '.join(str(value) for value in sorted(values)) + ' }'


_EXTENSIONS = _numbers(interpreter.EXTENSIONS - {0, 44})
_CONTROL = _numbers(interpreter.ICMPV6_CONTROL)
_REPORTS = _numbers(interpreter.MLD_REPORTS)
_OTHER_FRAGMENTS = _numbers(interpreter.FRAGMENTED - {17, 58})


def _drop(reason: str) -> str:
    return f'counter name "drop_{reason}" drop'


_CHAINS: Mapping[str, str] = {
    'from_guest': f"""
        type filter hook prerouting priority -300; policy accept;
        iifname . ether type vmap @from_kinds
        iifname "tap*" {_drop('kind')}
    """,
    # Frames to group addresses that bridges keep to themselves come this way only, and teach the
    # bridge the sender's address (802.1Q, table 8-1).
    'to_host': f"""
        type filter hook input priority -300; policy accept;
        ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 iifname "tap*" {_drop('kind')}
        iifname "tap*" meta mark set 0
        meta mark {ESTABLISHED:#x} meta mark set 0
    """,
    'egress': f"""
        type filter hook prerouting priority 100; policy accept;
        iifname != "tap*" accept
        ether type arp accept
        ip protocol udp udp sport 68 udp dport 67 accept
        ip6 nexthdr udp udp sport 546 udp dport 547 accept
        icmpv6 type {{ 131, 132, 133, 135, 136, 143 }} accept
        meta mark {ESTABLISHED:#x} accept
        meta mark set iifname map @numbers
        jump provider_egress
        iifname vmap @egress_groups
        {_drop('group')}
    """,
    'to_guest': f"""
        type filter hook postrouting priority 0; policy accept;
        oifname . ether type vmap @to_kinds
        oifname "tap*" {_drop('kind')}
    """,
    'ingress': f"""
        meta mark {ESTABLISHED:#x} accept
        meta mark set oifname map @numbers
        jump provider_ingress
        oifname vmap @ingress_groups
        {_drop('group')}
    """,
    'arp_from': f"""
        iifname . ether saddr != @macs {_drop('mac')}
        arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 arp operation {{ 1, 2 }} \
arp daddr ip != 255.255.255.255 iifname . arp saddr ether @macs iifname . arp saddr ip @ipv4 accept
        arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 arp operation 1 \
iifname . arp saddr ether @macs arp saddr ip 0.0.0.0 iifname . arp daddr ip @ipv4 accept
        {_drop('arp')}
    """,
    'ipv4_from': f"""
        iifname . ether saddr != @macs {_drop('mac')}
        ip protocol udp udp dport 67 goto dhcp_from
        ip protocol udp udp sport 67 {_drop('dhcp')}
        ip protocol icmp icmp type {{ 5, 9 }} {_drop('router')}
        ip protocol igmp igmp type 0x11 {_drop('router')}
        ip version 4 meta l4proto != 255 iifname . ip saddr @ipv4 accept
        {_drop('ipv4')}
    """,
    # BOOTP behind the 8 octets of UDP: operation 1, address length 6, no relay (giaddr), and the
    # NIC's own hardware address (RFC 2131, section 2).
    'dhcp_from': f"""
        ip frag-off & 0x3fff == 0 udp sport 68 @th,64,8 1 @th,80,8 6 @th,256,32 0 \
iifname . @th,288,48 @raw_macs iifname . ip saddr @ipv4 accept
        ip frag-off & 0x3fff == 0 udp sport 68 @th,64,8 1 @th,80,8 6 @th,256,32 0 \
iifname . @th,288,48 @raw_macs ip saddr 0.0.0.0 ip daddr 255.255.255.255 \
iifname @dhcp_clients accept
        {_drop('dhcp')}
    """,
    'ipv6_from': f"""
        iifname . ether saddr != @macs {_drop('mac')}
        ip6 nexthdr 0 goto ipv6_hop_by_hop_from
        ip6 nexthdr 44 goto ipv6_fragment_from
        ip6 nexthdr {_EXTENSIONS} {_drop('ipv6')}
        ip6 nexthdr 58 goto icmpv6_from
        ip6 nexthdr 17 udp sport 547 {_drop('dhcp')}
        ip6 nexthdr 17 udp dport 546 {_drop('dhcp')}
        ip6 nexthdr 17 udp dport 547 goto dhcpv6_from
        ip6 version 6 meta l4proto != 255 iifname . ip6 saddr @ipv6 accept
        {_drop('ipv6')}
    """,
    'dhcpv6_from': f"""
        udp sport 546 @th,64,8 {_numbers(interpreter.DHCPV6_CLIENT)} \
iifname . ip6 saddr @ipv6 accept
        {_drop('dhcp')}
    """,
    'ipv6_hop_by_hop_from': f"""
        hbh nexthdr 58 icmpv6 type {_REPORTS} iifname . ip6 saddr @ipv6 accept
        hbh nexthdr 58 icmpv6 type {_REPORTS} ip6 saddr :: accept
        {_drop('ipv6')}
    """,
    'ipv6_fragment_from': f"""
        iifname . ip6 saddr @ipv6 goto ipv6_fragment
        {_drop('ipv6')}
    """,
    'ipv6_fragment': f"""
        frag frag-off != 0 frag nexthdr {_numbers(interpreter.FRAGMENTED)} accept
        frag frag-off 0 frag nexthdr 58 icmpv6 type {{ 128, 129 }} accept
        frag frag-off 0 frag nexthdr 17 udp sport != 547 udp dport != {{ 546, 547 }} accept
        frag frag-off 0 frag nexthdr {_OTHER_FRAGMENTS} accept
        {_drop('ipv6')}
    """,
    # Options begin behind 24 octets (8 in a solicitation of routers): none, or one of 8 octets
    # (RFC 4861, section 4.6; the nonce: RFC 7527).
    'icmpv6_from': f"""
        icmpv6 type 135 icmpv6 code 0 ip6 hoplimit 255 goto nd_solicit_from
        icmpv6 type 136 icmpv6 code 0 ip6 hoplimit 255 goto nd_advert_from
        icmpv6 type 133 icmpv6 code 0 ip6 hoplimit 255 goto nd_router_from
        icmpv6 type {{ 133, 135, 136 }} {_drop('nd')}
        icmpv6 type {_CONTROL} {_drop('router')}
        ip6 version 6 icmpv6 type 0-255 iifname . ip6 saddr @ipv6 accept
        {_drop('ipv6')}
    """,
    'nd_solicit_from': f"""
        iifname . ip6 saddr @ipv6 ip6 length 24 accept
        iifname . ip6 saddr @ipv6 ip6 length 32 @th,192,16 0x0101 \
iifname . @th,208,48 @raw_macs accept
        ip6 saddr :: iifname . @th,64,128 @raw_ipv6 ip6 length 24 accept
        ip6 saddr :: iifname . @th,64,128 @raw_ipv6 ip6 length 32 @th,192,16 0x0e01 accept
        {_drop('nd')}
    """,
    'nd_advert_from': f"""
        iifname . ip6 saddr @ipv6 iifname . @th,64,128 @raw_ipv6 ip6 length 24 accept
        iifname . ip6 saddr @ipv6 iifname . @th,64,128 @raw_ipv6 ip6 length 32 \
@th,192,16 0x0201 iifname . @th,208,48 @raw_macs accept
        {_drop('nd')}
    """,
    'nd_router_from': f"""
        iifname . ip6 saddr @ipv6 ip6 length 8 accept
        iifname . ip6 saddr @ipv6 ip6 length 16 @th,64,16 0x0101 \
iifname . @th,80,48 @raw_macs accept
        ip6 saddr :: ip6 length 8 accept
        {_drop('nd')}
    """,
    'arp_to': 'accept',
    'ipv4_to': f"""
        ip protocol udp udp sport 67 udp dport 68 oifname . ip saddr @dhcp_servers accept
        ip protocol udp udp sport 67 {_drop('dhcp')}
        ip protocol icmp icmp type {{ 5, 9 }} {_drop('router')}
        ip version 4 meta l4proto != 255 goto ingress
        {_drop('ipv4')}
    """,
    'ipv6_to': f"""
        ip6 nexthdr 0 goto ipv6_hop_by_hop_to
        ip6 nexthdr 44 jump ipv6_fragment_to
        ip6 nexthdr {_EXTENSIONS} {_drop('ipv6')}
        ip6 nexthdr 58 goto icmpv6_to
        ip6 nexthdr 17 udp sport 547 udp dport 546 oifname . ip6 saddr @dhcpv6_servers accept
        ip6 nexthdr 17 udp sport 547 {_drop('dhcp')}
        ip6 version 6 meta l4proto != 255 goto ingress
        {_drop('ipv6')}
    """,
    'ipv6_hop_by_hop_to': f"""
        hbh nexthdr 58 icmpv6 type {_numbers(interpreter.MLD_REPORTS | {130})} accept
        {_drop('ipv6')}
    """,
    'ipv6_fragment_to': f"""
        frag frag-off != 0 frag nexthdr {_numbers(interpreter.FRAGMENTED)} goto ingress
        frag frag-off 0 frag nexthdr 58 icmpv6 type {{ 128, 129 }} goto ingress
        frag frag-off 0 frag nexthdr 17 udp sport != 547 udp dport 0-65535 goto ingress
        frag frag-off 0 frag nexthdr {_OTHER_FRAGMENTS} goto ingress
        {_drop('ipv6')}
    """,
    'icmpv6_to': f"""
        icmpv6 type 134 ip6 hoplimit 255 oifname . ip6 saddr @routers accept
        icmpv6 type {{ 135, 136 }} ip6 hoplimit 255 accept
        icmpv6 type {_CONTROL} {_drop('router')}
        ip6 version 6 icmpv6 type 0-255 goto ingress
        {_drop('router')}
    """,
    'provider_egress': '',
    'provider_ingress': '',
}
_BASE_CHAINS = ('from_guest', 'to_host', 'egress', 'to_guest')

# What goes to or comes from the host itself stays in the default zone, since it may be routed,
# and translated, which knows no zones.
_INET_CHAINS: Mapping[str, str] = {
    'zone': """
        type filter hook prerouting priority -300; policy accept;
        iifname . ether daddr @host_macs accept
        ct zone set iifname map @zones
    """,
    'state': f"""
        type filter hook prerouting priority -150; policy accept;
        iifname @bridges ct state established,related meta mark set {ESTABLISHED:#x}
    """,
    'state_out': f"""
        type filter hook postrouting priority 0; policy accept;
        oifname @bridges ct state established,related meta mark set {ESTABLISHED:#x}
    """,
}


def _render_table() -> tuple[str, ...]:
    """Both tables without a NIC. Chains are made empty first, since they refer to each other."""
    lines = []
    for family, sets, chains in (
        ('bridge', SETS, _CHAINS),
        ('inet', INET_SETS, _INET_CHAINS),
    ):
        names = _REASONS if family == 'bridge' else ()
        lines += [f'add counter {family} {TABLE} drop_{name}' for name in names]
        for name, (kind, types) in sets.items():
            lines.append(f'add {kind} {family} {TABLE} {name} {{ {types}; }}')
        for name, body in chains.items():
            header, _rules = _split(body)
            block = f' {{ {header} }}' if header else ''
            lines.append(f'add chain {family} {TABLE} {name}{block}')
        for name, body in chains.items():
            lines += [f'add rule {family} {TABLE} {name} {rule}' for rule in _split(body)[1]]
    return tuple(lines)


def _split(body: str) -> tuple[str, list[str]]:
    """The line that makes a chain a base chain, and the rules."""
    lines = [line.strip() for line in body.strip().splitlines() if line.strip()]
    if lines and lines[0].startswith('type '):
        return lines[0], lines[1:]
    return '', lines


STATIC = _render_table()
#: Tables of another version are made anew.
VERSION = hashlib.sha256('\n'.join(STATIC).encode()).hexdigest()[:12]
#: An empty chain, of which only the name counts (the listing does not tell a table's comment).
_VERSION_CHAIN = f'version_{VERSION}'
CHAINS = frozenset({*_CHAINS, _VERSION_CHAIN})

Element = tuple[str, str, str]  # family, set, element as it is added


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BridgeFacts:
    """``number``, from 1 to 65535, is that of its conntrack zone; ``mac`` the host's own there."""

    name: str
    number: int
    mac: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is in the tables beyond :data:`STATIC`: elements, sets of group members, and chains
    with their rules. ``elements`` map the part that is the key to the whole, so that a change of
    what a key is mapped to is seen as one."""

    elements: dict[Element, str] = dataclasses.field(default_factory=dict)
    sets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def plan_state(
    nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset, bridges: Mapping[str, BridgeFacts]
) -> State:
    """What these NICs need. Those whose bridge is not in ``bridges`` are left closed."""
    usable = [nic for nic in nics if nic.bridge in bridges]
    numbers = {nic.network_id: bridges[nic.bridge].number for nic in usable}
    elements: dict[Element, str] = {}
    chains: dict[str, tuple[str, ...]] = {
        f'provider_{way}': tuple(
            f'{match} {_drop("provider")}' for match in _matches(ruleset.provider, way)
        )
        for way in rules.Direction
    }
    for nic in usable:
        elements.update(nic_elements(nic, bridges[nic.bridge]))
        if nic.groups is not None:
            chains.update(_combination(nic.groups))
    for name in sorted({nic.bridge for nic in usable}):
        elements.update(_bridge_elements(bridges[name]))
    used = sorted({group for nic in usable for group in nic.groups or ()})
    sets: dict[str, str] = {}
    for group_id in used:
        group = ruleset.group(group_id) or rules.SecurityGroup(id=group_id)
        for way in rules.Direction:
            matches = _matches(group.rules, way)
            chains[group_chain(group_id, way)] = tuple(f'{match} accept' for match in matches)
    named = itertools.chain(
        ruleset.provider, *(group.rules for group in ruleset.groups if group.id in used)
    )
    for rule in named:
        if rule.remote_group_id is not None:
            name, types = member_set(rule.remote_group_id, rule.ethertype.version)
            sets[name] = types
            elements.update(_members(rule, ruleset, numbers))
    return State(elements=elements, sets=sets, chains=chains)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def group_chain(group_id: str, way: rules.Direction) -> str:
    """The chain of one group's rules."""
    return f'g_{way}_{_digest(group_id)}'


def combination_chain(groups: Iterable[str], way: rules.Direction) -> str:
    """The chain of all NICs that are in these groups."""
    return f'c_{way}_{_digest(" ".join(sorted(groups)))}'


def member_set(group_id: str, version: int) -> tuple[str, str]:
    """The name and the type of the set of a group's addresses."""
    return f'm{version}_{_digest(group_id)}', f'type mark . ipv{version}_addr'


def _combination(groups: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for way in rules.Direction:
        jumps = [f'jump {group_chain(group, way)}' for group in groups]
        yield combination_chain(groups, way), (*jumps, _drop('group'))


def nic_elements(nic: rules.NicPolicy, bridge: BridgeFacts) -> Iterator[tuple[Element, str]]:
    """What is a NIC's alone."""
    first_hop, device = nic.first_hop, f'"{nic.device}"'

    def element(name: str, *parts: str, target: str | None = None) -> tuple[Element, str]:
        key = ' . '.join((device, *parts))
        return ('bridge', name, key), key if target is None else f'{key} : {target}'

    kinds = ('arp', 'ip') if first_hop.ipv4 else ()
    for kind in (*kinds, *(('ip6',) if first_hop.ipv6 else ())):
        chain = {'arp': 'arp', 'ip': 'ipv4', 'ip6': 'ipv6'}[kind]
        yield element('from_kinds', kind, target=f'goto {chain}_from')
        yield element('to_kinds', kind, target=f'goto {chain}_to')
    yield element('macs', first_hop.mac)
    yield element('raw_macs', _raw_mac(first_hop.mac))
    yield from (element('ipv4', address) for address in first_hop.ipv4)
    for address in first_hop.ipv6:
        yield element('ipv6', address)
        yield element('raw_ipv6', f'{int(netaddr.IPAddress(address)):#x}')
    if first_hop.dhcp_servers:
        yield element('dhcp_clients')
    yield from (element('dhcp_servers', server) for server in first_hop.dhcp_servers)
    yield from (element('dhcpv6_servers', server) for server in first_hop.dhcpv6_servers)
    yield from (element('routers', router) for router in first_hop.routers)
    yield element('numbers', target=str(bridge.number))
    for way in rules.Direction:
        target = 'accept'
        if nic.groups is not None:
            target = f'goto {combination_chain(nic.groups, way)}'
        yield element(f'{way}_groups', target=target)


def _raw_mac(mac: str) -> str:
    return '0x' + mac.replace(':', '')


def _bridge_elements(bridge: BridgeFacts) -> Iterator[tuple[Element, str]]:
    name = f'"{bridge.name}"'
    yield ('inet', 'zones', name), f'{name} : {bridge.number}'
    yield ('inet', 'bridges', name), name
    yield ('inet', 'host_macs', f'{name} . {bridge.mac}'), f'{name} . {bridge.mac}'


def _members(
    rule: rules.SecurityGroupRule, ruleset: rules.Ruleset, numbers: Mapping[str, int]
) -> Iterator[tuple[Element, str]]:
    group = ruleset.group(rule.remote_group_id or '')
    version = rule.ethertype.version
    for member in group.members if group is not None else ():
        number = numbers.get(member.network_id)
        if number is not None and netaddr.IPAddress(member.address).version == version:
            key = f'{number} . {member.address}'
            yield ('bridge', member_set(rule.remote_group_id or '', version)[0], key), key


def _matches(found: Iterable[rules.SecurityGroupRule], way: rules.Direction) -> Iterator[str]:
    """Equal rules of one chain once."""
    return iter(dict.fromkeys(render_match(rule) for rule in found if rule.direction is way))


def render_match(rule: rules.SecurityGroupRule) -> str:
    """The expressions of nft that say what a rule is about."""
    is_in, version = rule.direction is rules.Direction.INGRESS, rule.ethertype.version
    family = 'ip' if version == 4 else 'ip6'
    parts = [f'ether type {family}']
    side = 'saddr' if is_in else 'daddr'
    if rule.remote_cidr is not None:
        parts.append(f'{family} {side} {rule.remote_cidr}')
    if rule.remote_group_id is not None:
        parts.append(f'meta mark . {family} {side} @{member_set(rule.remote_group_id, version)[0]}')
    if rule.protocol is not None:
        parts.append(f'meta l4proto {rule.protocol}')
    # Of the transport header by place, since the names want a protocol of their own.
    if rule.port_min is not None:
        parts.append(f'th dport {_range(rule.port_min, rule.port_max)}')
    if rule.icmp_type is not None:
        parts.append(f'@th,0,8 {rule.icmp_type}')
    if rule.icmp_code is not None:
        parts.append(f'@th,8,8 {rule.icmp_code}')
    return ' '.join(parts)


def _range(low: int, high: int | None) -> str:
    return str(low) if high is None or high == low else f'{low}-{high}'


# --- from one state to the next


def render_everything(state: State) -> tuple[str, ...]:
    """A batch that makes both tables anew with this in them, whatever there is."""
    lines = []
    for family in ('bridge', 'inet'):
        lines += [f'add table {family} {TABLE}', f'delete table {family} {TABLE}']
        lines.append(f'add table {family} {TABLE}')
        lines.append(f'add chain {family} {TABLE} {_VERSION_CHAIN}')
    return (*lines, *STATIC, *render_change(State(), state))


def render_change(old: State, new: State) -> tuple[str, ...]:
    """A batch that makes ``new`` of ``old``; empty when they are equal. It is atomic, and what
    did not change is not touched."""
    lines = []
    fresh = [name for name in new.chains if name not in old.chains and name not in CHAINS]
    lines += [f'add chain bridge {TABLE} {name}' for name in fresh]
    for name in sorted(new.sets.keys() - old.sets.keys()):
        lines.append(f'add set bridge {TABLE} {name} {{ {new.sets[name]}; }}')
    lines += _render_elements('delete', old.elements, new.elements)
    lines += _render_elements('add', new.elements, old.elements)
    for name, body in new.chains.items():
        if body != old.chains.get(name, ()):
            lines += [f'flush chain bridge {TABLE} {name}'] if old.chains.get(name) else []
            digest = chain_digest(body)
            lines += [f'add rule bridge {TABLE} {name} {rule}' for rule in body[:-1]]
            lines += [f'add rule bridge {TABLE} {name} {r} comment "{digest}"' for r in body[-1:]]
    # Chains in the order in which they refer to each other, and before the sets that they use.
    gone = sorted(old.chains.keys() - new.chains.keys() - CHAINS)
    lines += [f'flush chain bridge {TABLE} {name}' for name in gone]
    lines += [f'delete chain bridge {TABLE} {name}' for name in gone]
    lines += [f'delete set bridge {TABLE} {n}' for n in sorted(old.sets.keys() - new.sets.keys())]
    return tuple(lines)


def chain_digest(body: tuple[str, ...]) -> str:
    """What a chain's last rule carries, so that its rules are known after a restart."""
    return _digest('\n'.join(body))


def _render_elements(
    verb: str, these: Mapping[Element, str], those: Mapping[Element, str]
) -> Iterator[str]:
    """One line for each set."""
    changed: dict[tuple[str, str], list[str]] = {}
    for element, text in these.items():
        if those.get(element) != text:
            family, name, key = element
            changed.setdefault((family, name), []).append(key if verb == 'delete' else text)
    for (family, name), texts in changed.items():
        yield f'{verb} element {family} {TABLE} {name} {{ {", ".join(texts)} }}'


def parse_state(listing: Iterable[Mapping[str, Any]], wanted: State) -> State | None:
    """What the listing of both tables (libnftables-json(5), the list below ``nftables``) says is
    there; None when the tables are of another version. ``wanted`` gives the texts of the chains
    whose digest is in the listing."""
    objects = list(listing)
    of_this_version = {
        item['chain']['family']
        for item in objects
        if 'chain' in item and item['chain']['name'] == _VERSION_CHAIN
    }
    if of_this_version != {'bridge', 'inet'}:
        return None
    elements: dict[Element, str] = {}
    sets: dict[str, str] = {}
    digests: dict[str, str] = {}
    lengths: collections.Counter[str] = collections.Counter()
    for item in objects:
        for found in (item[kind] for kind in ('set', 'map') if kind in item):
            elements.update(_parse_elements(found))
            if found['family'] == 'bridge' and found['name'] not in SETS:
                sets[found['name']] = f'type mark . ipv{found["name"][1]}_addr'
        if 'chain' in item and item['chain']['family'] == 'bridge':
            digests.setdefault(item['chain']['name'], '')
        if 'rule' in item and item['rule']['family'] == 'bridge':
            lengths[item['rule']['chain']] += 1
            digests[item['rule']['chain']] = item['rule'].get('comment', '')
    chains = {
        name: _known_body(digest, lengths[name], wanted.chains.get(name, ()))
        for name, digest in digests.items()
        if name not in CHAINS or name.startswith('provider_')
    }
    return State(elements=elements, sets=sets, chains=chains)


def _known_body(digest: str, length: int, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The rules of a chain if they are as wanted, else something that they are not."""
    if length == len(wanted) and (not wanted or digest == chain_digest(wanted)):
        return wanted
    return ('unknown',) if length else ()


def _parse_elements(found: Mapping[str, Any]) -> Iterator[tuple[Element, str]]:
    family, name = found['family'], found['name']
    for entry in found.get('elem', ()):
        value, target = (entry[0], entry[1]) if 'map' in found else (entry, None)
        parts = value['concat'] if isinstance(value, Mapping) else [value]
        key = ' . '.join(_parse_part(part, name, place) for place, part in enumerate(parts))
        text = key if target is None else f'{key} : {_parse_target(target)}'
        yield (family, name, key), text


def _parse_part(part: Any, name: str, place: int) -> str:
    if place == 0 and (name in SETS or name in INET_SETS):
        return f'"{part}"'
    if name == 'raw_macs':
        return f'0x{_number(part):012x}'
    return f'{_number(part):#x}' if name == 'raw_ipv6' else str(part)


def _number(part: Any) -> int:
    """Those beyond 64 bits are written as text."""
    return int(part, 0) if isinstance(part, str) else int(part)


def _parse_target(target: Any) -> str:
    if not isinstance(target, Mapping):
        return str(target)
    verdict, goal = next(iter(target.items()))
    return str(verdict) if goal is None else f'{verdict} {goal["target"]}'
