"""What the nftables driver has in the kernel for the NICs of a host, as values; pure.

It is made of parts: that of a NIC, of a bridge, of a group, of a combination of groups that NICs
are in, of the members of a group that a rule refers to. A part is there for as long as a NIC needs
it, and a change is that of the parts that it touches, whatever else there is.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Iterator, Mapping
import dataclasses

import netaddr

from nova.network.firewall import nftables_base, rules

Element = tuple[str, str, str]  # family, set, element as it is added


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BridgeFacts:
    """``number``, from 1 to 65535, is that of its conntrack zone; ``mac`` the host's own there."""

    name: str
    number: int
    mac: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is in the tables beyond what they always hold: elements, sets of group members, and
    chains with their rules. ``elements`` map the part that is the key to the whole, so that a
    change of what a key is mapped to is seen as one."""

    elements: dict[Element, str] = dataclasses.field(default_factory=dict)
    sets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


#: What a part is of: its kind, and what it is called.
Key = tuple[str, ...]
_PROVIDER, _NO_GROUPS, _ELSEWHERE = ('provider',), ('no-groups',), ('elsewhere',)
#: Marks a new connection that somebody else has admitted, before the bridge asks.
ADMITTED: Mapping[rules.Direction, int] = {
    rules.Direction.EGRESS: 0x6E6F7665,
    rules.Direction.INGRESS: 0x6E6F7669,
}


class Plan:
    """What the NICs that it was told of need. It is changed by :meth:`follow` only.

    :param groups_elsewhere: somebody else judges new connections, by groups and provider rules, and
        puts the marks of :data:`ADMITTED` on those that pass; all others are dropped.
    """

    def __init__(self, *, groups_elsewhere: bool = False) -> None:
        self._groups_elsewhere = groups_elsewhere
        self._nics: dict[str, rules.NicPolicy] = {}
        self._bridges: Mapping[str, BridgeFacts] = {}
        self._ruleset = rules.Ruleset()
        self._groups: dict[str, rules.SecurityGroup] = {}
        self._parts: dict[Key, State] = {}
        # How many need a part, and what a group and the provider rules need in turn.
        self._uses: collections.Counter[Key] = collections.Counter()
        self._references: dict[Key, frozenset[Key]] = {}
        self._combinations: dict[Key, int] = {}

    def state(self) -> State:
        """All of it."""
        return merge(self._parts.values())

    def needs_bridge(self, name: str) -> bool:
        """Whether a NIC is on it."""
        return ('bridge', name) in self._uses

    def follow(
        self,
        nics: Mapping[str, rules.NicPolicy | None],
        ruleset: rules.Ruleset,
        bridges: Mapping[str, BridgeFacts],
    ) -> tuple[State, State]:
        """Take these NICs in, by device, or out (None), and this ruleset for the former one. NICs
        whose bridge is not in ``bridges`` are left closed.

        :returns: what there was of the parts that this touches, and what there is to be.
        """
        self._bridges = bridges
        touched: set[Key] = set()
        for device, nic in nics.items():
            known = nic is not None and nic.bridge in bridges
            touched |= self._exchange(device, nic if known else None)
        touched |= self._follow_ruleset(ruleset)
        for key in [key for key in touched if key[0] in ('group', 'provider')]:
            touched |= self._refer(key)
        if any(key[0] == 'network' for key in touched):
            touched |= {key for key in self._uses if key[0] == 'members'}
        ordered = sorted(touched)  # or equal changes would be different texts
        before = merge(self._parts[key] for key in ordered if key in self._parts)
        for key in ordered:
            self._parts.pop(key, None)
            if self._uses[key] or key == _PROVIDER:
                self._parts[key] = self._plan(key)
        return before, merge(self._parts[key] for key in ordered if key in self._parts)

    def _exchange(self, device: str, nic: rules.NicPolicy | None) -> set[Key]:
        """A NIC for the one that there was of this name."""
        touched: set[Key] = {('nic', device)}
        former = self._nics.pop(device, None)
        if nic is not None:
            self._nics[device] = nic
            touched |= self._count(self._needs(nic), 1)
        if former is not None:
            touched |= self._count(self._needs(former), -1)
        return touched

    def _follow_ruleset(self, ruleset: rules.Ruleset) -> set[Key]:
        if self._groups_elsewhere or (ruleset is self._ruleset and self._parts):
            return set()
        former = self._groups
        self._groups, self._ruleset = {group.id: group for group in ruleset.groups}, ruleset
        touched: set[Key] = {_PROVIDER}
        for name in self._groups.keys() | former.keys():
            before = former.get(name) or rules.SecurityGroup(id=name)
            if before.rules != self._group(name).rules:
                touched.add(('group', name))
            if before.members != self._group(name).members:
                touched |= {('members', name, '4'), ('members', name, '6')}
        return touched

    def _needs(self, nic: rules.NicPolicy) -> tuple[Key, ...]:
        shared: tuple[Key, ...] = (('nic', nic.device), ('bridge', nic.bridge))
        if self._groups_elsewhere:
            return (*shared, _ELSEWHERE)
        shared = (*shared, ('network', nic.network_id, nic.bridge))
        if nic.groups is None:
            return (*shared, _NO_GROUPS)
        return (*shared, ('combination', *nic.groups), *(('group', name) for name in nic.groups))

    def _refer(self, key: Key) -> set[Key]:
        """Count anew what the rules of this part refer to."""
        found = self._ruleset.provider
        if key != _PROVIDER:
            found = self._group(key[1]).rules if self._uses[key] else ()
        references = frozenset(
            ('members', rule.remote_group_id, str(rule.ethertype.version))
            for rule in found
            if rule.remote_group_id is not None
        )
        former = self._references.pop(key, frozenset())
        if references:
            self._references[key] = references
        return self._count(references - former, 1) | self._count(former - references, -1)

    def _count(self, keys: Iterable[Key], change: int) -> set[Key]:
        """Those that are needed from now on, or no more."""
        turned = set()
        for key in keys:
            before = self._uses[key]
            self._uses[key] += change
            if not before or not self._uses[key]:
                turned.add(key)
            if not self._uses[key]:
                del self._uses[key]
        return turned

    def _group(self, name: str) -> rules.SecurityGroup:
        return self._groups.get(name) or rules.SecurityGroup(id=name)

    def _plan(self, key: Key) -> State:
        match key[0]:
            case 'nic':
                return self._plan_nic(self._nics[key[1]])
            case 'bridge':
                return plan_bridge(self._bridges[key[1]])
            case 'combination':
                return plan_combination(key[1:], self._number(key))
            case 'group':
                return plan_group(self._group(key[1]))
            case 'members':
                return plan_members(self._group(key[1]), int(key[2]), self._networks())
            case 'provider':
                return plan_provider(self._ruleset.provider)
            case 'no-groups':
                return _accept(dict.fromkeys(rules.Direction, nftables_base.NO_GROUPS))
            case 'elsewhere':
                return _accept(ADMITTED)
        return State()

    def _plan_nic(self, nic: rules.NicPolicy) -> State:
        if self._groups_elsewhere:
            return plan_first_hop(nic)
        number = nftables_base.NO_GROUPS
        if nic.groups is not None:
            number = self._number(('combination', *nic.groups))
        return plan_nic(nic, self._bridges[nic.bridge], number)

    def _number(self, key: Key) -> int:
        if key not in self._combinations:
            for gone in [known for known in self._combinations if not self._uses[known]]:
                del self._combinations[gone]
            taken = self._combinations.values()
            self._combinations[key] = choose_number(key[1:], taken)
        return self._combinations[key]

    def _networks(self) -> dict[str, int]:
        """The numbers by which members are told apart that have the same address."""
        return {key[1]: self._bridges[key[2]].number for key in self._uses if key[0] == 'network'}


def merge(parts: Iterable[State]) -> State:
    """One state of several."""
    elements: dict[Element, str] = {}
    sets: dict[str, str] = {}
    chains: dict[str, tuple[str, ...]] = {}
    for part in parts:
        elements.update(part.elements)
        sets.update(part.sets)
        chains.update(part.chains)
    return State(elements=elements, sets=sets, chains=chains)


def choose_number(groups: Iterable[str], taken: Collection[int]) -> int:
    """The number of a combination of groups: the same on every host and after every start, but for
    one in thousands of millions. It is no number of a network, and no mark."""
    number = int(nftables_base.digest(' '.join(groups))[:8], 16)
    while number <= 0xFFFF or number == nftables_base.ESTABLISHED or number in taken:
        number = (number + 1) % 2**32
    return number


# --- the parts


def plan_first_hop(nic: rules.NicPolicy) -> State:
    """What says who a NIC is: nothing but elements. Without a number packets keep their marks."""
    return State(elements=dict(_first_hop_elements(nic)))


def plan_nic(nic: rules.NicPolicy, bridge: BridgeFacts, combination: int) -> State:
    """What is a NIC's alone."""
    numbered = (
        _element(nic, 'numbers', target=bridge.number),
        _element(nic, 'combinations', target=combination),
    )
    return merge([plan_first_hop(nic), State(elements=dict(numbered))])


def _first_hop_elements(nic: rules.NicPolicy) -> Iterator[tuple[Element, str]]:
    first_hop = nic.first_hop
    kinds = ('arp', 'ip') if first_hop.ipv4 else ()
    for kind in (*kinds, *(('ip6',) if first_hop.ipv6 else ())):
        yield _element(nic, 'kinds', kind)
    yield _element(nic, 'macs', first_hop.mac)
    yield _element(nic, 'raw_macs', _raw_mac(first_hop.mac))
    yield from (_element(nic, 'ipv4', address) for address in first_hop.ipv4)
    for address in first_hop.ipv6:
        yield _element(nic, 'ipv6', address)
        yield _element(nic, 'raw_ipv6', f'{int(netaddr.IPAddress(address)):#x}')
    if first_hop.dhcp_servers:
        yield _element(nic, 'dhcp_clients')
    yield from (_element(nic, 'dhcp_servers', server) for server in first_hop.dhcp_servers)
    yield from (_element(nic, 'dhcpv6_servers', server) for server in first_hop.dhcpv6_servers)
    yield from (_element(nic, 'routers', router) for router in first_hop.routers)


def _element(
    nic: rules.NicPolicy, name: str, *parts: str, target: int | None = None
) -> tuple[Element, str]:
    key = ' . '.join((f'"{nic.device}"', *parts))
    return ('bridge', name, key), key if target is None else f'{key} : {target}'


def _raw_mac(mac: str) -> str:
    return '0x' + mac.replace(':', '')


def plan_bridge(bridge: BridgeFacts) -> State:
    """How the inet table knows a bridge."""
    name = f'"{bridge.name}"'
    return State(
        elements={
            ('inet', 'zones', name): f'{name} : {bridge.number}',
            ('inet', 'bridges', name): name,
            ('inet', 'host_macs', f'{name} . {bridge.mac}'): f'{name} . {bridge.mac}',
        }
    )


def plan_combination(groups: tuple[str, ...], number: int) -> State:
    """What all NICs share that are in these groups."""
    chains = {}
    for way in rules.Direction:
        device = 'oifname' if way is rules.Direction.INGRESS else 'iifname'
        chains[combination_chain(groups, way)] = (
            # in place of the combination's, since members are told apart by it
            f'meta mark set {device} map @numbers',
            *(f'jump {group_chain(group, way)}' for group in groups),
            nftables_base.drop('group'),
        )
    leads = _lead(number, {w: f'goto {combination_chain(groups, w)}' for w in rules.Direction})
    return merge([State(chains=chains), leads])


def _accept(marks: Mapping[rules.Direction, int]) -> State:
    return merge(_lead(mark, {way: 'accept'}) for way, mark in marks.items())


def _lead(mark: int, targets: Mapping[rules.Direction, str]) -> State:
    return State(
        elements={
            ('bridge', f'{way}_groups', str(mark)): f'{mark} : {target}'
            for way, target in targets.items()
        }
    )


def plan_group(group: rules.SecurityGroup) -> State:
    """A group's own rules."""
    return State(
        chains={
            group_chain(group.id, way): tuple(f'{m} accept' for m in _matches(group.rules, way))
            for way in rules.Direction
        }
    )


def plan_members(group: rules.SecurityGroup, version: int, networks: Mapping[str, int]) -> State:
    """The addresses of one family of a group, on these networks (with their numbers)."""
    name, types = member_set(group.id, version)
    elements: dict[Element, str] = {}
    for member in group.members:
        number = networks.get(member.network_id)
        if number is not None and (':' in member.address) is (version == 6):
            key = f'{number} . {member.address}'
            elements['bridge', name, key] = key
    return State(sets={name: types}, elements=elements)


def plan_provider(found: Iterable[rules.SecurityGroupRule]) -> State:
    """What is dropped on every NIC."""
    listed = tuple(found)
    return State(
        chains={
            f'provider_{way}': tuple(
                f'{match} {nftables_base.drop("provider")}' for match in _matches(listed, way)
            )
            for way in rules.Direction
        }
    )


def group_chain(group_id: str, way: rules.Direction) -> str:
    """The chain of one group's rules."""
    return f'g_{way}_{nftables_base.digest(group_id)}'


def combination_chain(groups: Iterable[str], way: rules.Direction) -> str:
    """The chain of all NICs that are in these groups."""
    return f'c_{way}_{nftables_base.digest(" ".join(sorted(groups)))}'


def member_set(group_id: str, version: int) -> tuple[str, str]:
    """The name and the type of the set of a group's addresses."""
    return f'm{version}_{nftables_base.digest(group_id)}', f'type mark . ipv{version}_addr'


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
