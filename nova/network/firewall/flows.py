"""Connections that the kernel knows, and which of them are no longer allowed; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import re
from typing import Any

from nova.network.firewall import interpreter, rules

_PAIR = re.compile(r'([\w-]+)=(\S+)')
_VERSIONS = {'ipv4': 4, 'ipv6': 6}
_ORIGINAL = ('src', 'dst', 'sport', 'dport', 'srckey', 'dstkey', 'type', 'code', 'id')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """``flow`` has the addresses that the guests have, behind translation. ``values`` are those of
    the original direction, as conntrack prints them, beginning with ``proto``."""

    flow: interpreter.Flow
    zone: int
    values: tuple[tuple[str, str], ...]


def parse_connections(text: str) -> Iterator[Connection]:
    """Reads what ``conntrack -L -o extended`` prints (conntrack(8)), a connection a line: the
    original direction, then the answers'."""
    for line in text.splitlines():
        words = line.split(maxsplit=4)
        version = _VERSIONS.get(words[0]) if len(words) == 5 else None
        if version is None or not words[3].isdecimal():
            continue
        pairs = _PAIR.findall(words[4])
        original, answers = _halves(pairs)
        if 'src' not in original or 'src' not in answers:
            continue
        protocol = int(words[3])
        first, second = original.get('sport'), answers.get('sport')
        if protocol in (rules.ICMP, rules.ICMPV6):
            first, second = original.get('type'), original.get('code')
        yield Connection(
            flow=interpreter.Flow(
                version=version,
                protocol=protocol,
                source=original['src'],
                destination=answers['src'],
                source_port=None if first is None else int(first),
                port=None if second is None else int(second),
            ),
            zone=int(answers.get('zone', '0')),
            values=(
                ('proto', words[3]),
                *((key, original[key]) for key in _ORIGINAL if key in original),
            ),
        )


def _halves(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """The first value of each key, and the second. What both directions have in common comes
    behind the answers."""
    original: dict[str, str] = {}
    answers: dict[str, str] = {}
    half = original
    for key, value in pairs:
        if half is original and key in original:
            half = answers
        half.setdefault(key, value)
    return original, answers


def choose_tightened(old: rules.Ruleset, new: rules.Ruleset) -> frozenset[str] | None:
    """The groups that may admit less under ``new`` than under ``old``; None: provider rules do
    so, which concern every NIC."""
    before = {group.id: group for group in old.groups}
    after = {group.id: group for group in new.groups}
    changed = [
        (before[name], after.get(name) or rules.SecurityGroup(id=name))
        for name in before
        if before[name] is not after.get(name)
    ]
    shrunk = {one.id for one, other in changed if _has_more(one.members, other.members)}
    grown = {one.id for one, other in changed if _has_more(other.members, one.members)}
    is_more = _has_more(new.provider, old.provider)
    if is_more or any(rule.remote_group_id in grown for rule in new.provider):
        return None
    lost = {one.id for one, other in changed if _has_more(one.rules, other.rules)}
    return frozenset(lost) | {
        group.id
        for group in new.groups
        if shrunk and any(rule.remote_group_id in shrunk for rule in group.rules)
    }


def _has_more(these: Sequence[Any], those: Sequence[Any]) -> bool:
    """Whether some of these are not among those. Equal ones are found to be so much sooner."""
    return these != those and not set(these) <= set(those)


def is_concerned(nic: rules.NicPolicy, tightened: frozenset[str] | None) -> bool:
    """Whether connections of this NIC may have lost what admitted them."""
    return tightened is None or not tightened.isdisjoint(nic.groups or ())


def choose_cut(
    connections: Iterable[Connection],
    nics: Mapping[str, rules.NicPolicy],
    zones: Mapping[str, int],
    ruleset: rules.Ruleset,
) -> list[Connection]:
    """Those that a NIC's groups do not admit (any more). ``zones`` gives the number of a NIC's
    bridge by the NIC's device; the default zone holds what goes through the host."""
    found = list(connections)
    if not found:
        return []
    by_address: dict[str, list[tuple[int, rules.NicPolicy]]] = {}
    for device, nic in nics.items():
        for address in (*nic.first_hop.ipv4, *nic.first_hop.ipv6):
            by_address.setdefault(address, []).append((zones.get(device, 0), nic))
    groups = interpreter.GroupJudge(ruleset)
    return [
        connection
        for connection in found
        if any(
            connection.zone in (zone, 0)
            for zone, nic in _refusing(connection.flow, by_address, groups)
        )
    ]


def _refusing(
    flow: interpreter.Flow,
    by_address: Mapping[str, list[tuple[int, rules.NicPolicy]]],
    groups: interpreter.GroupJudge,
) -> Iterator[tuple[int, rules.NicPolicy]]:
    ends = (
        (flow.source, rules.Direction.EGRESS),
        (flow.destination, rules.Direction.INGRESS),
    )
    for address, direction in ends:
        for zone, nic in by_address.get(address, ()):
            if not groups.judge(flow, direction, nic).allowed:
                yield zone, nic
