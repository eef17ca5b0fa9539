"""What a NIC's groups say, as rules of iptables and ip6tables; pure.

Nothing is dropped here. A new connection that the groups of a NIC admit gets the packet mark of its
direction (:data:`nova.network.firewall.nftables_plan.ADMITTED`), and the bridge drops what has
none. So whoever flushes these rules, has a rule of his own accept before them, or keeps bridged
packets from them closes the NICs and does not open them.

All is in the table ``mangle``: it is the only one whose chains see a packet from a guest before the
bridge decides, and nobody's filter rules are in it. Of a chain, every rule but the first is as it
reads; the first carries a digest of them all, by which they are known after a restart.

Formats: iptables(8), iptables-extensions(8), ipset(8).
"""

from __future__ import annotations

from collections.abc import Iterable
import functools

from nova.network.firewall import ipsets, nftables_plan, rules

#: Marks what a provider rule refuses, so that no group is asked.
DENIED = 0x6E6F7664
#: Stands for the provider rules where a group's id does.
PROVIDER = ''

#: The groups of a NIC, as its policy has them.
Groups = tuple[str, ...] | None

# What belongs to an admitted connection is marked by nftables.
_NEW = '-m conntrack ! --ctstate RELATED,ESTABLISHED'
#: Where packets come to our chains: the chain of iptables, what they have to be, and our chain. A
#: packet from a guest is judged before it is routed or bridged; one to a guest when the bridge has
#: chosen its port, or, if it comes from or through the host, by its bridge and its address.
HOOKS: tuple[tuple[str, str, str], ...] = (
    ('PREROUTING', f'-m physdev --physdev-in tap+ {_NEW}', 'nova-egress'),
    ('FORWARD', f'-m physdev --physdev-out tap+ --physdev-is-bridged {_NEW}', 'nova-ingress'),
    ('POSTROUTING', f'-m physdev ! --physdev-is-bridged {_NEW}', 'nova-host'),
)

_PROTOCOL_AT = {4: '6&0xFF', 6: '3&0xFF'}
_FIRST_OCTET_BEHIND_IPV4 = '0>>22&0x3C@0>>24'


def group_chain(group_id: str, network_id: str, way: rules.Direction) -> str:
    """The chain of a group's rules for its NICs on a network: members are others on another."""
    return f'nova-g{way[0]}-{ipsets.digest((group_id, network_id))}'


@functools.lru_cache(maxsize=1 << 12)
def nics_chain(groups: Groups, network_id: str, way: rules.Direction) -> str:
    """The chain of all NICs on a network that are in these groups."""
    words = ('*',) if groups is None else groups
    return f'nova-{way[0]}-{ipsets.digest((network_id, *words))}'


def chain_digest(body: Iterable[str]) -> str:
    """What the first of a chain's rules carries."""
    return ipsets.digest(body)


def render_nics(
    groups: Groups, network_id: str, way: rules.Direction, *, has_provider: bool
) -> list[str]:
    """The rules of the chain of the NICs that are in these groups."""
    found = []
    if has_provider:
        found.append(f'-j {group_chain(PROVIDER, network_id, way)}')
        found.append(f'-m mark --mark {DENIED:#x} -j RETURN')
    if groups is None:
        return [*found, _mark(nftables_plan.ADMITTED[way])]
    return [*found, *(f'-j {group_chain(group, network_id, way)}' for group in groups)]


def render_group(
    group_id: str,
    found: Iterable[rules.SecurityGroupRule],
    network_id: str,
    way: rules.Direction,
    version: int,
) -> list[str]:
    """The rules of a group's chain, equal ones once. Their order says nothing: it is the same
    whatever order they come in."""
    mark = _mark(DENIED if group_id == PROVIDER else nftables_plan.ADMITTED[way])
    matches = (
        render_match(rule, network_id)
        for rule in found
        if rule.direction is way and rule.ethertype.version == version
    )
    return [f'{match} {mark}'.lstrip() for match in sorted(set(matches))]


def _mark(value: int) -> str:
    return f'-j MARK --set-xmark {value:#x}/0xffffffff'


def render_match(rule: rules.SecurityGroupRule, network_id: str) -> str:
    """The options of iptables or ip6tables that say what a rule of a NIC on this network is
    about."""
    is_in, version = rule.direction is rules.Direction.INGRESS, rule.ethertype.version
    parts = []
    if rule.remote_cidr is not None:
        parts.append(f'-{"s" if is_in else "d"} {rule.remote_cidr}')
    parts += _match_protocol(rule)
    if rule.remote_group_id is not None:
        name = ipsets.member_set_name(rule.remote_group_id, network_id, version)
        parts.append(f'-m set --match-set {name} {"src" if is_in else "dst"}')
    return ' '.join(parts)


def _match_protocol(rule: rules.SecurityGroupRule) -> list[str]:
    protocol = rule.protocol
    if protocol is None:
        return []
    if protocol == 0:  # which would mean all of them
        return [f'-m u32 --u32 {_PROTOCOL_AT[rule.ethertype.version]}=0']
    found = [f'-p {protocol}']
    if rule.icmp_type is not None:
        found.append(_match_icmp(rule, rule.icmp_type))
    if rule.port_min is not None:
        low, high = rule.port_min, rule.port_max
        ports = f'{low}' if high is None or high == low else f'{low}:{high}'
        found.append(f'-m multiport --dports {ports}')
    return found


def _match_icmp(rule: rules.SecurityGroupRule, kind: int) -> str:
    exact = kind if rule.icmp_code is None else f'{kind}/{rule.icmp_code}'
    if rule.protocol == rules.ICMPV6:
        return f'-m icmp6 --icmpv6-type {exact}'
    if kind != 255:
        return f'-m icmp --icmp-type {exact}'
    # which would mean all of them
    if rule.icmp_code is None:
        return f'-m u32 --u32 {_FIRST_OCTET_BEHIND_IPV4}=255'
    return f'-m u32 --u32 0>>22&0x3C@0>>16={0xFF00 | rule.icmp_code}'
