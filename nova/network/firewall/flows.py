"""Connections that the kernel knows, and which of them are no longer allowed; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import dataclasses

import netaddr

from nova.network.firewall import interpreter, rules

_ORIGINAL = ('src', 'dst', 'sport', 'dport', 'type', 'code', 'id')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """``flow`` has the addresses that the guests have, behind translation. ``values`` are those of
    the original direction, as conntrack prints them, beginning with ``proto``."""

    flow: interpreter.Flow
    zone: int
    values: tuple[tuple[str, str], ...]


def parse_connections(text: str, version: int) -> Iterator[Connection]:
    """Reads what ``conntrack -L -o extended`` prints (conntrack(8)), a connection a line: the
    original direction, then the answers'."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 5 or not words[3].isdecimal():
            continue
        pairs = [word.partition('=')[::2] for word in words if '=' in word]
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
            zone=int(dict(pairs).get('zone', '0')),
            values=(
                ('proto', str(protocol)),
                *((key, original[key]) for key in _ORIGINAL if key in original),
            ),
        )


def _halves(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    original: dict[str, str] = {}
    answers: dict[str, str] = {}
    for key, value in pairs:
        (answers if key in original else original).setdefault(key, value)
    return original, answers


def choose_cut(
    connections: Iterable[Connection],
    nics: Mapping[str, rules.NicPolicy],
    zones: Mapping[str, int],
    ruleset: rules.Ruleset,
) -> list[Connection]:
    """Those that a NIC's groups do not admit (any more). ``zones`` gives the number of a NIC's
    bridge by the NIC's device; the default zone holds what goes through the host."""
    by_address: dict[str, list[tuple[int, rules.NicPolicy]]] = {}
    for device, nic in nics.items():
        for address in (*nic.first_hop.ipv4, *nic.first_hop.ipv6):
            canonical = str(netaddr.IPAddress(address))
            by_address.setdefault(canonical, []).append((zones.get(device, 0), nic))
    return [
        connection
        for connection in connections
        if any(
            connection.zone in (zone, 0)
            for zone, nic in _refusing(connection.flow, by_address, ruleset)
        )
    ]


def _refusing(
    flow: interpreter.Flow,
    by_address: Mapping[str, list[tuple[int, rules.NicPolicy]]],
    ruleset: rules.Ruleset,
) -> Iterator[tuple[int, rules.NicPolicy]]:
    ends = (
        (flow.source, rules.Direction.EGRESS),
        (flow.destination, rules.Direction.INGRESS),
    )
    for address, direction in ends:
        for zone, nic in by_address.get(address, ()):
            if not interpreter.judge_flow(flow, direction, nic, ruleset).allowed:
                yield zone, nic
