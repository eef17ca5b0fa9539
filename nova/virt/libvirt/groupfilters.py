"""Security groups as network filters of libvirt's; pure.

A group is a filter on each network that it has NICs on, since a remote group is a set of addresses
of one network. For each rule of a filter libvirt runs a tool or two whenever it makes the rules of
a NIC, and it does so for all NICs of a filter that is redefined. So what can be is in sets, which
change by themselves: all rules of a direction and a family that are about single ports, or kinds
of ICMP, are one set of who is at the other end and of these; a remote group with all protocols is
the set of its members.

Rules about whole protocols, or many of their ports, stand in the filter. libvirt 9 takes a set for
all protocols only (of elements for one protocol it ignores the attributes, without a word), so that
such a rule about a remote group is one for each member. Protocols that the format has no word for
are always in sets. A rule that none of this can say admits nothing: see :func:`is_expressible`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import re

from nova.network.firewall import ipsets, rules
from nova.virt.libvirt import filters

#: Elements of the format, by the protocol's number; those of IPv6 have a suffix.
_WORDS: Mapping[int, Mapping[int, str]] = {
    4: {1: 'icmp', 2: 'igmp', 6: 'tcp', 17: 'udp', 50: 'esp', 51: 'ah', 132: 'sctp'},
    6: {6: 'tcp-ipv6', 17: 'udp-ipv6', 50: 'esp-ipv6', 58: 'icmpv6', 132: 'sctp-ipv6'},
}
_ANYTHING = {4: 'all', 6: 'all-ipv6'}
_UDPLITE = rules.PROTOCOLS['udplite']
#: The most ports, or kinds of ICMP, of a rule that is in a set.
_MAX_KINDS = 256
#: Matches of iptables take this type of ICMP for any (xt_icmp, ``icmp_type_code_match``).
_ANY_ICMP_TYPE = 255

NAME = re.compile(r'nova-(secgroup|provider)-.+')


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A filter, and the sets that it refers to."""

    filter: filters.Filter
    sets: tuple[ipsets.IpSet, ...]


def group_name(group_id: str, network_id: str) -> str:
    """The name of a group's filter on a network."""
    return f'nova-secgroup-{group_id}-{ipsets.digest([network_id])[:8]}'


def build_group(
    group_id: str, network_id: str, versions: Iterable[int], ruleset: rules.Ruleset
) -> Group:
    """A group as NICs on a network have it that speak these families."""
    group = ruleset.group(group_id) or rules.SecurityGroup(id=group_id)
    name = group_name(group_id, network_id)
    return _build(name, group.rules, 'accept', network_id, versions, ruleset)


def build_provider(network_id: str, versions: Iterable[int], ruleset: rules.Ruleset) -> Group:
    """What is dropped on every NIC, as :func:`build_group`."""
    name = f'nova-provider-{ipsets.digest([network_id])[:8]}'
    return _build(name, ruleset.provider, 'drop', network_id, versions, ruleset)


def _build(
    name: str,
    found: Iterable[rules.SecurityGroupRule],
    action: str,
    network_id: str,
    versions: Iterable[int],
    ruleset: rules.Ruleset,
) -> Group:
    families = set(versions)
    priority = filters.GROUP_PRIORITY if action == 'accept' else filters.PROVIDER_PRIORITY
    texts: dict[str, None] = {}  # equal rules once
    sets: dict[str, ipsets.IpSet] = {}
    entries: dict[tuple[rules.Direction, int], set[str]] = {}
    for rule in found:
        if rule.ethertype.version not in families or not is_expressible(rule):
            continue
        if is_narrow(rule):
            key = rule.direction, rule.ethertype.version
            entries.setdefault(key, set()).update(_entries(rule, network_id, ruleset))
            continue
        for match, members in _build_matches(rule, network_id, ruleset):
            texts[_render_rule(action, rule.direction, priority, match)] = None
            sets |= {one.name: one for one in members}
    for (way, version), content in entries.items():
        used = ipsets.IpSet(
            name=f'nova-{"in" if way is rules.Direction.INGRESS else "out"}{version}-'
            f'{ipsets.digest([name])}',
            kind='hash:net,port',
            version=version,
            entries=frozenset(content),
        )
        sets[used.name] = used
        match = _render(_ANYTHING[version], f"ipset='{used.name}' ipsetflags='{_side(way)},dst'")
        texts[_render_rule(action, way, priority, match)] = None
    return Group(filters.build_filter(name, ''.join(texts)), tuple(sets.values()))


def _render_rule(action: str, way: rules.Direction, priority: int, match: str) -> str:
    direction = 'in' if way is rules.Direction.INGRESS else 'out'
    return filters.render_rule(action, direction, priority, match)


def _side(way: rules.Direction) -> str:
    """Where the other end is: the source of what comes in and the target of what goes out."""
    return 'src' if way is rules.Direction.INGRESS else 'dst'


def is_expressible(rule: rules.SecurityGroupRule) -> bool:
    """Whether a filter can say this rule; if not, it would have to admit more. Sets know no
    protocol 0, and no ports of DCCP."""
    if rule.protocol == 0:
        return False
    return rule.port_min is None or _word(rule) is not None or rule.protocol == _UDPLITE


def _word(rule: rules.SecurityGroupRule) -> str | None:
    """The element that says the rule's protocol; None: only a set can."""
    if rule.protocol is None:
        return _ANYTHING[rule.ethertype.version]
    if rule.protocol == rules.ICMP and rule.icmp_type == _ANY_ICMP_TYPE:
        return None
    return _WORDS[rule.ethertype.version].get(rule.protocol)


def is_narrow(rule: rules.SecurityGroupRule) -> bool:
    """Whether the rule is part of a set, which changes without the filter."""
    return _word(rule) is None or (rule.protocol is not None and _count(rule) <= _MAX_KINDS)


def _entries(
    rule: rules.SecurityGroupRule, network_id: str, ruleset: rules.Ruleset
) -> Iterator[str]:
    """The rule as a set has it."""
    version = rule.ethertype.version
    ends: Iterable[str] = ipsets.EVERYWHERE[version]
    if rule.remote_cidr is not None:
        ends = (rule.remote_cidr,)
    if rule.remote_group_id is not None:
        ends = ipsets.build_member_set(rule.remote_group_id, network_id, version, ruleset).entries
    kinds = tuple(_kinds(rule))
    yield from (f'{end},{kind}' for end in ends for kind in kinds)


def _build_matches(
    rule: rules.SecurityGroupRule, network_id: str, ruleset: rules.Ruleset
) -> Iterator[tuple[str, tuple[ipsets.IpSet, ...]]]:
    """Elements that say the rule together, and the sets that each refers to."""
    side, version = _side(rule.direction), rule.ethertype.version
    ends: Iterable[str | None] = (rule.remote_cidr,)
    if rule.remote_group_id is not None:
        members = ipsets.build_member_set(rule.remote_group_id, network_id, version, ruleset)
        if rule.protocol is None:
            match = f"ipset='{members.name}' ipsetflags='{side}'"
            yield _render(_ANYTHING[version], match), (members,)
            return
        ends = sorted(members.entries)
    for end in ends:
        yield _render(_word(rule) or '', _render_end(side, end), *_render_kind(rule)), ()


def _render(word: str, *parts: str) -> str:
    return ' '.join([word, *(part for part in parts if part), "state='NONE'"])


def _render_end(side: str, end: str | None) -> str:
    """The range or address at the other end; None: all of them."""
    if end is None:
        return ''
    address, _, length = end.partition('/')
    mask = length or ('128' if ':' in address else '32')
    return f"{side}ipaddr='{address}' {side}ipmask='{mask}'"


def _render_kind(rule: rules.SecurityGroupRule) -> Iterator[str]:
    if rule.port_min is not None:
        yield f"dstportstart='{rule.port_min}' dstportend='{rule.port_max}'"
    if rule.icmp_type is not None:
        yield f"type='{rule.icmp_type}'"
    if rule.icmp_code is not None:
        yield f"code='{rule.icmp_code}'"


def _count(rule: rules.SecurityGroupRule) -> int:
    """How many ports, or types and codes, the rule is about."""
    if rule.protocol in (rules.ICMP, rules.ICMPV6):
        codes = 256 if rule.icmp_code is None else 1
        return codes if rule.icmp_type is not None else 256 * codes
    if rule.protocol not in rules.WITH_PORTS:
        return 1
    low, high = rule.port_min, rule.port_max
    return 65536 if low is None or high is None else high - low + 1


def _kinds(rule: rules.SecurityGroupRule) -> Iterator[str]:
    """What the rule is about, as a set has it."""
    if rule.icmp_type is not None:
        codes = range(256) if rule.icmp_code is None else (rule.icmp_code,)
        yield from (f'{rule.protocol}:{rule.icmp_type}/{code}' for code in codes)
    elif rule.port_min is not None:
        yield f'{rule.protocol}:{rule.port_min}-{rule.port_max}'
    elif rule.protocol == _UDPLITE:
        yield f'{rule.protocol}:0-65535'
    else:
        yield f'{rule.protocol}:0'
