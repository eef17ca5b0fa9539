"""From one content of the kernel to the next, as the tools want it said; pure.

Formats: iptables-restore(8), iptables-save(8), ipset(8) about ``save``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import re

from nova.network.firewall import iptables_plan, iptables_rules

# No others, since there is other software of this name.
_OURS = r'(nova-(?:egress|ingress|host)(?:-\S)?|nova-g?[ei]-[0-9a-f]{16})'
_CHAIN = re.compile(f':{_OURS} ')
_RULE = re.compile(f'-A {_OURS} (.*)')
_HOOK = re.compile(r'-A (PREROUTING|FORWARD|POSTROUTING) .*-j (nova-\S+)$')
_SET = re.compile(r'create (nova-m[46]-[0-9a-f]{16}) ')
_MEMBER = re.compile(r'add (nova-m[46]-[0-9a-f]{16}) (\S+)')
#: Rules of ours that are other than we would have them.
_UNKNOWN = ('unknown',)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is to be done, in this order. ``sets`` are for :func:`nova.privileged.ipset.change`,
    ``tables`` the lines for ``iptables-restore`` by version of IP, ``unused`` the names of sets
    that nothing refers to any more."""

    sets: tuple[tuple[str, str, int, tuple[str, ...], tuple[str, ...]], ...] = ()
    tables: Mapping[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    unused: tuple[str, ...] = ()


def render_change(old: iptables_plan.Contents, new: iptables_plan.Contents) -> Batch:
    """What makes ``old`` as ``new`` says; what ``new`` does not speak of stays as it is.

    Each table changes at once, and of its chains only those that differ; of those whose order does
    not matter, only the rules that differ.
    """
    sets, unused = [], []
    for name, members in new.sets.items():
        known = old.sets.get(name)
        if members is None:
            unused += [name] if known is not None else []
        elif members != known:
            before = known or frozenset()
            changed = (tuple(sorted(members - before)), tuple(sorted(before - members)))
            sets.append((name, 'hash:net', 6 if name.startswith('nova-m6') else 4, *changed))
    tables = {version: _render_chains(version, old, new) for version in iptables_plan.VERSIONS}
    return Batch(
        sets=tuple(sets),
        tables={version: lines for version, lines in tables.items() if lines},
        unused=tuple(unused),
    )


def _render_chains(
    version: int, old: iptables_plan.Contents, new: iptables_plan.Contents
) -> tuple[str, ...]:
    made, rest, gone = [], [], []
    for (number, name), body in new.chains.items():
        before = old.chains.get((number, name))
        if number != version or body == before:
            continue
        if isinstance(body, frozenset) and isinstance(before, frozenset):
            rest += [f'-D {name} {rule}' for rule in sorted(before - body)]
            rest += [f'-A {name} {rule}' for rule in sorted(body - before)]
            continue
        # Naming a chain makes it, or makes it empty. All are named before one refers to another.
        made.append(f':{name} - [0:0]')
        rest += _render_body(name, body or ())
        gone += [f'-X {name}'] if body is None else []
    return (*made, *rest, *gone)


def _render_body(name: str, body: iptables_plan.Body) -> Iterator[str]:
    if isinstance(body, frozenset):
        yield from (f'-A {name} {rule}' for rule in sorted(body))
        return
    for place, rule in enumerate(body):
        comment = f'-m comment --comment {iptables_rules.chain_digest(body)} '
        yield f'-A {name} {"" if place else comment}{rule}'


def render_hooks(found: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Lines that have packets come to our chains, before all other rules. ``found`` are the pairs
    of chains between which there are jumps already."""
    there = frozenset(found)
    return tuple(
        f'-I {chain} 1 {match} -j {goal}'
        for chain, match, goal in iptables_rules.HOOKS
        if (chain, goal) not in there
    )


def parse_hooks(text: str) -> frozenset[tuple[str, str]]:
    """The jumps to our chains, in what ``iptables-save`` prints."""
    return frozenset(
        (found[1], found[2]) for line in text.splitlines() if (found := _HOOK.match(line))
    )


def parse_chains(
    text: str, version: int, wanted: iptables_plan.Contents
) -> dict[iptables_plan.Chain, iptables_plan.Body | None]:
    """Our chains in what ``iptables-save`` or ``ip6tables-save`` prints. ``wanted`` has the rules
    of those whose digest is as it should be, and tells in which the order does not matter."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if chain := _CHAIN.match(line):
            found[chain[1]] = []
        elif rule := _RULE.match(line):
            found[rule[1]].append(rule[2])
    chains: dict[iptables_plan.Chain, iptables_plan.Body | None] = {}
    for name, lines in found.items():
        body = wanted.chains.get((version, name))
        is_loose = isinstance(body, frozenset)  # even if it is empty
        known = _read_rules(lines, body or ()) if is_loose else _known(lines, body or ())
        chains[version, name] = known
    return chains


def _known(lines: Sequence[str], body: iptables_plan.Body) -> iptables_plan.Body:
    """The rules of a chain if they are as wanted, else something that they are not."""
    digest = f'--comment {iptables_rules.chain_digest(body)}'
    if len(lines) == len(body) and (not body or digest in lines[0].replace('"', '')):
        return body
    return _UNKNOWN


def _read_rules(lines: Sequence[str], body: iptables_plan.Body) -> iptables_plan.Body:
    """As they are wanted, where they say the same; the parts of a rule may stand in any order."""
    wanted = {frozenset(rule.split()): rule for rule in body}
    rules = frozenset(wanted.get(frozenset(line.split()), line) for line in lines)
    return rules if len(rules) == len(lines) else _UNKNOWN


def parse_sets(text: str) -> dict[str, frozenset[str] | None]:
    """Our sets in what ``ipset save`` prints."""
    members: dict[str, set[str]] = {}
    for line in text.splitlines():
        if found := _SET.match(line):
            members[found[1]] = set()
        elif found := _MEMBER.match(line):
            members[found[1]].add(found[2])
    return {name: frozenset(addresses) for name, addresses in members.items()}
