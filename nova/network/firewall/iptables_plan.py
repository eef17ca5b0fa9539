"""Which chains and sets the NICs of a host need; pure.

All NICs of a network that are in the same groups share a chain for each direction, which jumps to
those of the groups, which are shared as well. A NIC is one rule that leads there by the name of its
device, in a chain for the first character of that; what comes from or through the host is led there
by the NIC's bridge and address, in a chain for the last digit of that. So a NIC more is a handful
of rules, whatever is there.

:class:`Host` knows what there should be, and what of it a change concerns.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import functools
from typing import Any, TypeVar

import netaddr

from nova.network.firewall import ipsets, iptables_rules, rules

#: Version of IP and name.
Chain = tuple[int, str]
#: The rules of a chain; in a frozenset, those whose order does not matter.
Body = tuple[str, ...] | frozenset[str]
#: What is planned as a whole: its kind, what it is of, and the version of IP.
Part = tuple[Any, ...]
#: Where a group is used, or members of a group are: network and version of IP.
Place = tuple[str, int]

VERSIONS = (4, 6)


@dataclasses.dataclass(frozen=True, slots=True)
class NicChange:
    """The NIC with this device is to have this policy, or is gone."""

    device: str
    policy: rules.NicPolicy | None


@dataclasses.dataclass(frozen=True, slots=True)
class GroupChange:
    """The group is to be so, or is not known."""

    group_id: str
    group: rules.SecurityGroup | None


@dataclasses.dataclass(frozen=True, slots=True)
class ProviderChange:
    """The provider rules are to be these."""

    rules: tuple[rules.SecurityGroupRule, ...]


Change = NicChange | GroupChange | ProviderChange


@dataclasses.dataclass(slots=True)
class Contents:
    """What is in the kernel or should be, or a part of it; None is for what should not be there."""

    chains: dict[Chain, Body | None] = dataclasses.field(default_factory=dict)
    sets: dict[str, frozenset[str] | None] = dataclasses.field(default_factory=dict)

    def update(self, other: Contents) -> None:
        """Take over what ``other`` speaks of."""
        _take_over(self.chains, other.chains)
        _take_over(self.sets, other.sets)


_Key = TypeVar('_Key')
_Value = TypeVar('_Value')


def _take_over(mine: dict[_Key, _Value], theirs: Mapping[_Key, _Value]) -> None:
    for key, value in theirs.items():
        if value is None:
            mine.pop(key, None)
        else:
            mine[key] = value


class Branches:
    """Entries by one character each; a branch is there while something is in it. The empty
    character stands for all branches."""

    def __init__(self) -> None:
        self.entries: dict[str, set[str]] = {}

    def add(self, character: str, entry: str) -> set[str]:
        """Returns those that have changed."""
        changed = {character} if character in self.entries else {character, ''}
        self.entries.setdefault(character, set()).add(entry)
        return changed

    def discard(self, character: str, entry: str) -> set[str]:
        """Returns those that have changed."""
        self.entries[character].discard(entry)
        if self.entries[character]:
            return {character}
        del self.entries[character]
        return {character, ''}


class Host:
    """The NICs of a host and all that they refer to."""

    def __init__(self) -> None:
        self.nics: dict[str, rules.NicPolicy] = {}
        self.groups: dict[str, rules.SecurityGroup] = {}
        self.provider: tuple[rules.SecurityGroupRule, ...] = ()
        #: Groups or provider rules are others than when this was last set to False.
        self.groups_changed = False
        self._by_device = {version: Branches() for version in VERSIONS}
        self._by_address = {version: Branches() for version in VERSIONS}
        # How many NICs have the same groups, how many of those know a group, and how many groups
        # the members of one.
        self._nics_uses: _Uses[iptables_rules.Groups] = {}
        self._group_uses: _Uses[str] = {}
        self._set_uses: _Uses[str] = {}

    # --- changes

    def change(self, change: Change) -> tuple[set[Part], Change]:
        """Take over a change; returns the parts that it concerns, and the change that undoes it.

        :raises ValueError: a NIC has an address that is none; nothing has changed.
        """
        match change:
            case NicChange(device, policy):
                return self._change_nic(device, policy)
            case GroupChange(group_id, group):
                return self._change_group(group_id, group)
            case ProviderChange(found):
                return self._change_provider(found)

    def _change_nic(
        self, device: str, policy: rules.NicPolicy | None
    ) -> tuple[set[Part], NicChange]:
        old = self.nics.get(device)
        if old == policy:
            return set(), NicChange(device, old)
        for address in (*policy.first_hop.ipv4, *policy.first_hop.ipv6) if policy else ():
            _parse_address(address)
        parts: set[Part] = set()
        if old is not None:
            del self.nics[device]
            parts |= self._count_nic(old, -1)
        if policy is not None:
            self.nics[device] = policy
            parts |= self._count_nic(policy, 1)
        return parts, NicChange(device, old)

    def _count_nic(self, nic: rules.NicPolicy, number: int) -> set[Part]:
        parts: set[Part] = set()
        for version in _versions(nic):
            parts |= self._lead_to(nic, version, number)
            where = (nic.network_id, version)
            if _count(self._nics_uses, nic.groups, where, number):
                parts.add(('nics', nic.groups, *where))
                for group_id in self._groups_of(nic):
                    parts |= self._count_group(group_id, where, number)
        return parts

    def _lead_to(self, nic: rules.NicPolicy, version: int, number: int) -> set[Part]:
        entries = [('device', self._by_device[version], nic.device[3:4], nic.device)]
        for address in nic.first_hop.addresses(version):
            bits = 32 if version == 4 else 128
            goal = _chain_of(nic, rules.Direction.INGRESS)
            entry = f'-d {_parse_address(address)[1]}/{bits} -o {nic.bridge} -g {goal}'
            entries.append(('address', self._by_address[version], _last_digit(address), entry))
        return {
            (kind, branch, version)
            for kind, branches, character, entry in entries
            for branch in (branches.add if number > 0 else branches.discard)(character, entry)
        }

    def _groups_of(self, nic: rules.NicPolicy) -> tuple[str, ...]:
        provider = (iptables_rules.PROVIDER,) if self.provider else ()
        return (*provider, *(nic.groups or ()))

    def _count_group(self, group_id: str, where: Place, number: int) -> set[Part]:
        if not _count(self._group_uses, group_id, where, number):
            return set()
        parts: set[Part] = {('group', group_id, *where)}
        return parts | self._count_members(self._rules_of(group_id), where, number)

    def _count_members(
        self, found: Iterable[rules.SecurityGroupRule], where: Place, number: int
    ) -> set[Part]:
        remotes = {
            rule.remote_group_id
            for rule in found
            if rule.remote_group_id is not None and rule.ethertype.version == where[1]
        }
        return {
            ('set', group_id, *where)
            for group_id in remotes
            if _count(self._set_uses, group_id, where, number)
        }

    def _rules_of(self, group_id: str) -> tuple[rules.SecurityGroupRule, ...]:
        if group_id == iptables_rules.PROVIDER:
            return self.provider
        group = self.groups.get(group_id)
        return () if group is None else group.rules

    def _change_group(
        self, group_id: str, group: rules.SecurityGroup | None
    ) -> tuple[set[Part], GroupChange]:
        old = self.groups.get(group_id)
        parts: set[Part] = set()
        before = self._rules_of(group_id)
        if group is None:
            self.groups.pop(group_id, None)
        else:
            self.groups[group_id] = group
        self.groups_changed = True
        after = self._rules_of(group_id)
        if before != after:
            for where in self._group_uses.get(group_id, ()):
                parts.add(('group', group_id, *where))
                # In this order, or sets that both refer to would be planned anew.
                parts |= self._count_members(after, where, 1)
                parts |= self._count_members(before, where, -1)
        if (old.members if old else ()) != (group.members if group else ()):
            for where in self._set_uses.get(group_id, ()):
                parts.add(('set', group_id, *where))
        return parts, GroupChange(group_id, old)

    def _change_provider(
        self, found: tuple[rules.SecurityGroupRule, ...]
    ) -> tuple[set[Part], ProviderChange]:
        old = self.provider
        if old == found:
            return set(), ProviderChange(old)
        parts: set[Part] = set()
        for nic in self.nics.values():
            parts |= self._count_nic(nic, -1)
        self.provider = found
        self.groups_changed = True
        for nic in self.nics.values():
            parts |= self._count_nic(nic, 1)
        return parts, ProviderChange(old)

    # --- what should be there

    def parts(self) -> Iterator[Part]:
        """All there are."""
        for version in VERSIONS:
            for kind, found in (('device', self._by_device), ('address', self._by_address)):
                yield from ((kind, branch, version) for branch in ('', *found[version].entries))
        for groups, where in self._nics_uses.items():
            yield from (('nics', groups, *place) for place in where)
        for kind, uses in (('group', self._group_uses), ('set', self._set_uses)):
            for group_id, where in uses.items():
                yield from ((kind, group_id, *place) for place in where)

    def contents(self, parts: Iterable[Part]) -> Contents:
        """What should be there of these parts.

        :raises ValueError: a group has a member whose address is none.
        """
        found = Contents()
        for part in parts:
            match part:
                case ('device', branch, version):
                    found.chains.update(self._device_chains(version, branch))
                case ('address', branch, version):
                    found.chains.update(self._address_chain(version, branch))
                case ('nics', groups, network_id, version):
                    found.chains.update(self._nics_chains(groups, network_id, version))
                case ('group', group_id, network_id, version):
                    found.chains.update(self._group_chains(group_id, network_id, version))
                case ('set', group_id, network_id, version):
                    found.sets.update(self._member_set(group_id, network_id, version))
        return found

    def _nics_chains(
        self, groups: iptables_rules.Groups, network_id: str, version: int
    ) -> Iterator[tuple[Chain, Body | None]]:
        is_used = (network_id, version) in self._nics_uses.get(groups, ())
        for way in rules.Direction:
            body = iptables_rules.render_nics(
                groups, network_id, way, has_provider=bool(self.provider)
            )
            chain = iptables_rules.nics_chain(groups, network_id, way)
            yield (version, chain), tuple(body) if is_used else None

    def _device_chains(self, version: int, branch: str) -> Iterator[tuple[Chain, Body | None]]:
        entries = self._by_device[version].entries
        for way in rules.Direction:
            name, match, rest = _DEVICE_MATCHES[way]
            if not branch:
                ways = (f'{match} tap{found}+ {rest}-g {name}-{found}' for found in entries)
                yield (version, name), frozenset(ways)
                continue
            devices = entries.get(branch, ())
            body = frozenset(
                f'{match} {device} {rest}-g {_chain_of(self.nics[device], way)}'
                for device in devices
            )
            yield (version, f'{name}-{branch}'), body or None

    def _address_chain(self, version: int, branch: str) -> Iterator[tuple[Chain, Body | None]]:
        entries = self._by_address[version].entries
        if branch:
            body = frozenset(entries.get(branch, ()))
            yield (version, f'nova-host-{branch}'), body or None
            return
        mask = netaddr.IPAddress(15, version)
        ways = (
            f'-d {netaddr.IPAddress(int(digit, 16), version)}/{mask} -g nova-host-{digit}'
            for digit in entries
        )
        yield (version, 'nova-host'), frozenset(ways)

    def _group_chains(
        self, group_id: str, network_id: str, version: int
    ) -> Iterator[tuple[Chain, Body | None]]:
        is_used = (network_id, version) in self._group_uses.get(group_id, ())
        for way in rules.Direction:
            chain = iptables_rules.group_chain(group_id, network_id, way)
            found = self._rules_of(group_id) if is_used else ()
            body = iptables_rules.render_group(group_id, found, network_id, way, version)
            yield (version, chain), tuple(body) if is_used else None

    def _member_set(
        self, group_id: str, network_id: str, version: int
    ) -> Iterator[tuple[str, frozenset[str] | None]]:
        name = ipsets.member_set_name(group_id, network_id, version)
        if (network_id, version) not in self._set_uses.get(group_id, ()):
            yield name, None
            return
        group = self.groups.get(group_id)
        yield (
            name,
            frozenset(
                address
                for member in (group.members if group is not None else ())
                if member.network_id == network_id
                for number, address in [_parse_address(member.address)]
                if number == version
            ),
        )


_WAYS = frozenset({'egress', 'ingress', 'host'})
#: The chain, and what its rules say before and behind the name of a device.
_DEVICE_MATCHES: Mapping[rules.Direction, tuple[str, str, str]] = {
    rules.Direction.EGRESS: ('nova-egress', '-m physdev --physdev-in', ''),
    rules.Direction.INGRESS: (
        'nova-ingress',
        '-m physdev --physdev-out',
        '--physdev-is-bridged ',
    ),
}


def is_way(chain: str) -> bool:
    """Whether a chain leads to others: packets come to all of them."""
    return chain.split('-')[1] in _WAYS


_User = TypeVar('_User')
_Uses = dict[_User, collections.Counter[Place]]


def _count(uses: _Uses[_User], user: _User, where: Place, number: int) -> bool:
    """Count one use more or less; returns whether it is the first or was the last."""
    found = uses.setdefault(user, collections.Counter())
    before = found[where]
    found[where] += number
    if not found[where]:
        del found[where]
    if not found:
        del uses[user]
    return before == 0 or before + number == 0


def _versions(nic: rules.NicPolicy) -> tuple[int, ...]:
    """A NIC without an address of a family is closed to it anyway."""
    return tuple(version for version in VERSIONS if nic.first_hop.addresses(version))


def _chain_of(nic: rules.NicPolicy, way: rules.Direction) -> str:
    return iptables_rules.nics_chain(nic.groups, nic.network_id, way)


def _last_digit(address: str) -> str:
    return f'{netaddr.IPAddress(address).value & 15:x}'


@functools.lru_cache(maxsize=1 << 16)
def _parse_address(address: str) -> tuple[int, str]:
    try:
        found = netaddr.IPAddress(address)
    except netaddr.AddrFormatError as exc:
        raise ValueError(f'{address!r} is not an address') from exc
    return found.version, str(found)
