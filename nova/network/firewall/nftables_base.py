"""The tables of the nftables driver without a NIC, as text; pure.

Two tables called ``nova``. That of the bridge family judges: every NIC is elements of a few maps
and sets, keyed by the name of its device, which need not exist yet. ``from_guest`` and
``to_guest`` are the first-hop stage, ``egress`` and the end of ``to_guest`` the security groups,
which are chains that the NICs of equal groups share. No verdict is kept for a NIC, only the number
of its combination of groups: an element that leads to a chain makes the kernel walk through all
such elements again. What is dropped is counted by reason and NIC, as elements of a set that packets
add to. The table of the inet family only tells the other, by a packet mark, what belongs to an
admitted connection: br_netfilter hands bridged packets to it, and separates the networks into
conntrack zones. Without br_netfilter nothing is ever established, so that answers are dropped, and
nothing passes that otherwise would not.

Rules that accept are positive throughout: an expression about an octet that a packet does not
have matches nothing, ``!=`` included. Syntax: nft(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import hashlib

from nova.network.firewall import interpreter

TABLE = 'nova'
#: Marks a packet of an admitted connection, between the inet and the bridge hooks.
ESTABLISHED = 0x6E6F7661
#: Marks a packet, by its priority, that a guest has sent to its host and that the host may pass
#: on, but not take for itself. No router asks for it, unlike for marks.
NOT_FOR_HOST = '6e6f:7660'
#: Why a frame was dropped, by the family of the table that counts it.
REASONS: Mapping[str, tuple[str, ...]] = {
    'bridge': (
        'arp',
        'dhcp',
        'group',
        'ipv4',
        'ipv6',
        'kind',
        'mac',
        'nd',
        'provider',
        'router',
    ),
    'inet': ('host',),
}
#: How many frames of a NIC, or for it, were dropped, by its device and the reason's place in
#: :data:`REASONS`. What packets add to it is counted from then on; a NIC takes its own with it.
DROPS = 'drops'
_DROPS_TYPE = 'type ifname . mark; flags dynamic; size 65535'
#: The number of the combination of NICs to which groups do not apply.
NO_GROUPS = 1

#: Element sets of a NIC: their kind and what nft calls the type of their keys.
SETS: Mapping[str, tuple[str, str]] = {
    'kinds': ('set', 'type ifname . ether_type'),
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
    'combinations': ('map', 'type ifname : mark'),
    'egress_groups': ('map', 'type mark : verdict'),
    'ingress_groups': ('map', 'type mark : verdict'),
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


def drop(reason: str) -> str:
    """The statement that drops and counts."""
    if reason in REASONS['inet']:
        return f'counter name "drop_{reason}" drop'
    return f'goto drop_{reason}'


def _build_drop(reason: str) -> str:
    """The chain behind :func:`drop`. A frame is its sender's until the bridge knows where it goes.
    A statement that finds no more room for an element ends its rule, so that the last rule is none
    but the verdict."""
    number = REASONS['bridge'].index(reason)
    return f"""
        counter name "drop_{reason}" oifname "tap*" \
update @{DROPS} {{ oifname . {number:#x} counter }} drop
        update @{DROPS} {{ iifname . {number:#x} counter }}
        drop
    """


_CHAINS: Mapping[str, str] = {
    'from_guest': f"""
        type filter hook prerouting priority -300; policy accept;
        iifname != "tap*" accept
        iifname . ether type != @kinds {drop('kind')}
        ether type vmap {{ arp : goto arp_from, ip : goto ipv4_from, ip6 : goto ipv6_from }}
        {drop('kind')}
    """,
    # Frames to group addresses that bridges keep to themselves come this way only, and teach the
    # bridge the sender's address (802.1Q, table 8-1).
    'to_host': f"""
        type filter hook input priority -300; policy accept;
        ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 iifname "tap*" {drop('kind')}
        iifname "tap*" meta mark set 0
        meta mark {ESTABLISHED:#x} meta mark set 0
        iifname "tap*" goto services
    """,
    # DHCP, DNS, metadata, and what was judged as control messages (:func:`nova.network.reach`).
    'services': f"""
        ether type arp accept
        icmp type 0-255 accept
        icmpv6 type 0-255 accept
        udp dport {{ 53, 67, 547 }} accept
        tcp dport 53 accept
        ip daddr 169.254.169.254 tcp dport 80 accept
        ip6 daddr fe80::a9fe:a9fe tcp dport 80 accept
        meta priority set {NOT_FOR_HOST}
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
        meta mark set iifname map @combinations
        meta mark vmap @egress_groups
        {drop('group')}
    """,
    'to_guest': f"""
        type filter hook postrouting priority 0; policy accept;
        oifname != "tap*" accept
        oifname . ether type != @kinds {drop('kind')}
        ether type vmap {{ arp : accept, ip : goto ipv4_to, ip6 : goto ipv6_to }}
        {drop('kind')}
    """,
    'ingress': f"""
        meta mark {ESTABLISHED:#x} accept
        meta mark set oifname map @numbers
        jump provider_ingress
        meta mark set oifname map @combinations
        meta mark vmap @ingress_groups
        {drop('group')}
    """,
    'arp_from': f"""
        iifname . ether saddr != @macs {drop('mac')}
        arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 arp operation {{ 1, 2 }} \
arp daddr ip != 255.255.255.255 iifname . arp saddr ether @macs iifname . arp saddr ip @ipv4 accept
        arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 arp operation 1 \
iifname . arp saddr ether @macs arp saddr ip 0.0.0.0 iifname . arp daddr ip @ipv4 accept
        {drop('arp')}
    """,
    'ipv4_from': f"""
        iifname . ether saddr != @macs {drop('mac')}
        ip protocol udp udp dport 67 goto dhcp_from
        ip protocol udp udp sport 67 {drop('dhcp')}
        ip protocol icmp icmp type {{ 5, 9 }} {drop('router')}
        ip protocol igmp igmp type 0x11 {drop('router')}
        ip version 4 meta l4proto != 255 iifname . ip saddr @ipv4 accept
        {drop('ipv4')}
    """,
    # BOOTP behind the 8 octets of UDP: operation 1, address length 6, no relay (giaddr), and the
    # NIC's own hardware address (RFC 2131, section 2).
    'dhcp_from': f"""
        ip frag-off & 0x3fff == 0 udp sport 68 @th,64,8 1 @th,80,8 6 @th,256,32 0 \
iifname . @th,288,48 @raw_macs iifname . ip saddr @ipv4 accept
        ip frag-off & 0x3fff == 0 udp sport 68 @th,64,8 1 @th,80,8 6 @th,256,32 0 \
iifname . @th,288,48 @raw_macs ip saddr 0.0.0.0 ip daddr 255.255.255.255 \
iifname @dhcp_clients accept
        {drop('dhcp')}
    """,
    'ipv6_from': f"""
        iifname . ether saddr != @macs {drop('mac')}
        ip6 nexthdr 0 goto ipv6_hop_by_hop_from
        ip6 nexthdr 44 goto ipv6_fragment_from
        ip6 nexthdr {_EXTENSIONS} {drop('ipv6')}
        ip6 nexthdr 58 goto icmpv6_from
        ip6 nexthdr 17 udp sport 547 {drop('dhcp')}
        ip6 nexthdr 17 udp dport 546 {drop('dhcp')}
        ip6 nexthdr 17 udp dport 547 goto dhcpv6_from
        ip6 version 6 meta l4proto != 255 iifname . ip6 saddr @ipv6 accept
        {drop('ipv6')}
    """,
    'dhcpv6_from': f"""
        udp sport 546 @th,64,8 {_numbers(interpreter.DHCPV6_CLIENT)} \
iifname . ip6 saddr @ipv6 accept
        {drop('dhcp')}
    """,
    'ipv6_hop_by_hop_from': f"""
        hbh nexthdr 58 icmpv6 type {_REPORTS} iifname . ip6 saddr @ipv6 accept
        hbh nexthdr 58 icmpv6 type {_REPORTS} ip6 saddr :: accept
        {drop('ipv6')}
    """,
    'ipv6_fragment_from': f"""
        iifname . ip6 saddr @ipv6 goto ipv6_fragment
        {drop('ipv6')}
    """,
    'ipv6_fragment': f"""
        frag frag-off != 0 frag nexthdr {_numbers(interpreter.FRAGMENTED)} accept
        frag frag-off 0 frag nexthdr 58 icmpv6 type {{ 128, 129 }} accept
        frag frag-off 0 frag nexthdr 17 udp sport != 547 udp dport != {{ 546, 547 }} accept
        frag frag-off 0 frag nexthdr {_OTHER_FRAGMENTS} accept
        {drop('ipv6')}
    """,
    # Options begin behind 24 octets (8 in a solicitation of routers): none, or one of 8 octets
    # (RFC 4861, section 4.6; the nonce: RFC 7527).
    'icmpv6_from': f"""
        icmpv6 type 135 icmpv6 code 0 ip6 hoplimit 255 goto nd_solicit_from
        icmpv6 type 136 icmpv6 code 0 ip6 hoplimit 255 goto nd_advert_from
        icmpv6 type 133 icmpv6 code 0 ip6 hoplimit 255 goto nd_router_from
        icmpv6 type {{ 133, 135, 136 }} {drop('nd')}
        icmpv6 type {_CONTROL} {drop('router')}
        ip6 version 6 icmpv6 type 0-255 iifname . ip6 saddr @ipv6 accept
        {drop('ipv6')}
    """,
    'nd_solicit_from': f"""
        iifname . ip6 saddr @ipv6 ip6 length 24 accept
        iifname . ip6 saddr @ipv6 ip6 length 32 @th,192,16 0x0101 \
iifname . @th,208,48 @raw_macs accept
        ip6 saddr :: iifname . @th,64,128 @raw_ipv6 ip6 length 24 accept
        ip6 saddr :: iifname . @th,64,128 @raw_ipv6 ip6 length 32 @th,192,16 0x0e01 accept
        {drop('nd')}
    """,
    'nd_advert_from': f"""
        iifname . ip6 saddr @ipv6 iifname . @th,64,128 @raw_ipv6 ip6 length 24 accept
        iifname . ip6 saddr @ipv6 iifname . @th,64,128 @raw_ipv6 ip6 length 32 \
@th,192,16 0x0201 iifname . @th,208,48 @raw_macs accept
        {drop('nd')}
    """,
    'nd_router_from': f"""
        iifname . ip6 saddr @ipv6 ip6 length 8 accept
        iifname . ip6 saddr @ipv6 ip6 length 16 @th,64,16 0x0101 \
iifname . @th,80,48 @raw_macs accept
        ip6 saddr :: ip6 length 8 accept
        {drop('nd')}
    """,
    'ipv4_to': f"""
        ip protocol udp udp sport 67 udp dport 68 oifname . ip saddr @dhcp_servers accept
        ip protocol udp udp sport 67 {drop('dhcp')}
        ip protocol icmp icmp type {{ 5, 9 }} {drop('router')}
        ip version 4 meta l4proto != 255 goto ingress
        {drop('ipv4')}
    """,
    'ipv6_to': f"""
        ip6 nexthdr 0 goto ipv6_hop_by_hop_to
        ip6 nexthdr 44 jump ipv6_fragment_to
        ip6 nexthdr {_EXTENSIONS} {drop('ipv6')}
        ip6 nexthdr 58 goto icmpv6_to
        ip6 nexthdr 17 udp sport 547 udp dport 546 oifname . ip6 saddr @dhcpv6_servers accept
        ip6 nexthdr 17 udp sport 547 {drop('dhcp')}
        ip6 version 6 meta l4proto != 255 goto ingress
        {drop('ipv6')}
    """,
    'ipv6_hop_by_hop_to': f"""
        hbh nexthdr 58 icmpv6 type {_numbers(interpreter.MLD_REPORTS | {130})} accept
        {drop('ipv6')}
    """,
    'ipv6_fragment_to': f"""
        frag frag-off != 0 frag nexthdr {_numbers(interpreter.FRAGMENTED)} goto ingress
        frag frag-off 0 frag nexthdr 58 icmpv6 type {{ 128, 129 }} goto ingress
        frag frag-off 0 frag nexthdr 17 udp sport != 547 udp dport 0-65535 goto ingress
        frag frag-off 0 frag nexthdr {_OTHER_FRAGMENTS} goto ingress
        {drop('ipv6')}
    """,
    'icmpv6_to': f"""
        icmpv6 type 134 ip6 hoplimit 255 oifname . ip6 saddr @routers accept
        icmpv6 type {{ 135, 136 }} ip6 hoplimit 255 accept
        icmpv6 type {_CONTROL} {drop('router')}
        ip6 version 6 icmpv6 type 0-255 goto ingress
        {drop('router')}
    """,
    'provider_egress': '',
    'provider_ingress': '',
    **{f'drop_{reason}': _build_drop(reason) for reason in REASONS['bridge']},
}

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
    'host': f"""
        type filter hook input priority -10; policy accept;
        meta priority != {NOT_FOR_HOST} accept
        ct state established,related accept
        {drop('host')}
    """,
}


#: Where another driver judges what goes from port to port and from guests to the host: what is left
#: is what the host sends to guests, taps that nobody knows, and the connections.
_CHAINS_FROM_HOST: Mapping[str, str] = {
    **_CHAINS,
    'from_guest': f"""
        type filter hook prerouting priority -300; policy accept;
        iifname != "tap*" accept
        iifname . ether type != @kinds {drop('kind')}
    """,
    'egress': '',
    'to_guest': _CHAINS['to_guest'].replace('hook postrouting', 'hook output'),
    'to_any': f"""
        type filter hook postrouting priority 0; policy accept;
        oifname != "tap*" accept
        oifname . ether type != @kinds {drop('kind')}
    """,
}


def _split(body: str) -> tuple[str, list[str]]:
    """The line that makes a chain a base chain, and the rules."""
    lines = [line.strip() for line in body.strip().splitlines() if line.strip()]
    if lines and lines[0].startswith('type '):
        return lines[0], lines[1:]
    return '', lines


def render_rules(family: str, chain: str, body: Sequence[str]) -> list[str]:
    """Commands that fill an empty chain. Its last rule carries a digest of all."""
    head = f'add rule {family} {TABLE} {chain}'
    last = [f'{head} {rule} comment "{chain_digest(body)}"' for rule in body[-1:]]
    return [f'{head} {rule}' for rule in body[:-1]] + last


def chain_digest(body: Sequence[str]) -> str:
    """What a chain's last rule carries, so that its rules are known when they are found again."""
    return digest('\n'.join(body))


def seal(body: Sequence[str]) -> tuple[int, str]:
    """By which a chain is known again: how many rules it has, and what its last one carries."""
    return len(body), chain_digest(body) if body else ''


def digest(text: str) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, slots=True)
class Tables:
    """Both tables without a NIC.

    ``static`` makes them. ``seals`` are those of the chains that are always there, by family and
    name; ``chains`` the names of those of the bridge table. Tables of another version are made
    anew: ``version_chain`` is an empty one, of which only the name counts (the listing does not
    tell a table's comment).
    """

    static: tuple[str, ...]
    seals: Mapping[tuple[str, str], tuple[int, str]]
    chains: frozenset[str]
    version_chain: str


def _build_tables(bridge_chains: Mapping[str, str]) -> Tables:
    families = (('bridge', SETS, bridge_chains), ('inet', INET_SETS, _INET_CHAINS))
    lines = []
    for family, sets, chains in families:
        lines += [f'add counter {family} {TABLE} drop_{name}' for name in REASONS[family]]
        for name, (kind, types) in sets.items():
            lines.append(f'add {kind} {family} {TABLE} {name} {{ {types}; }}')
        if family == 'bridge':
            lines.append(f'add set {family} {TABLE} {DROPS} {{ {_DROPS_TYPE}; }}')
        # empty first, since they refer to each other
        for name, body in chains.items():
            header, _rules = _split(body)
            block = f' {{ {header} }}' if header else ''
            lines.append(f'add chain {family} {TABLE} {name}{block}')
        for name, body in chains.items():
            lines += render_rules(family, name, _split(body)[1])
    version = f'version_{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:12]}'
    seals = {
        (family, name): seal(_split(body)[1])
        for family, _sets, chains in families
        for name, body in chains.items()
        if not name.startswith('provider_')
    }
    return Tables(tuple(lines), seals, frozenset({*bridge_chains, version}), version)


#: All that NICs send and get.
EVERYTHING = _build_tables(_CHAINS)
#: See :data:`_CHAINS_FROM_HOST`.
FROM_HOST = _build_tables(_CHAINS_FROM_HOST)
