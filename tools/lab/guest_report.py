"""Reading what the test guest reports on its serial console; ``guest/init`` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import re

#: One line: see :func:`split_line`.
Fact = tuple[str, dict[str, str], str]

BLOCK = re.compile(r'^NOVA-GUEST-BEGIN (.*?)^NOVA-GUEST-END', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Ipv6:
    """How a network card got to IPv6.

    ``how`` is slaac, stateless, stateful (all as a router announced) or static (as the
    configuration drive says). ``router`` is who announced, or the drive's gateway; the former gives
    a default route only if ``lifetime_s`` is not 0.
    """

    how: str
    router: str | None
    lifetime_s: int | None
    dns: tuple[str, ...]


@dataclass(frozen=True)
class Nic:
    """One network card, as the guest sees it.

    Addresses have their prefix length (``10.0.0.2/24``); what neither DHCP nor the configuration
    drive gave is None. ``addresses`` are all that the card has, of both families.
    """

    index: int
    name: str
    mac: str
    pci: str
    mtu: int
    lease: bool
    address: str | None
    server: str | None
    router: str | None
    dns: tuple[str, ...]
    host: str | None
    lease_s: int | None
    addresses: tuple[str, ...]
    #: None where nobody announces IPv6 and no drive says anything of it.
    ipv6: Ipv6 | None
    #: Whether they answered a ping sent from this card: the DHCP server (without one, the drive's
    #: gateway), and the router of IPv6.
    pings: Mapping[str, bool]

    @property
    def gateway_answers(self) -> bool | None:
        """Whether the one of IPv4 did; None where there is none."""
        return next((ok for target, ok in self.pings.items() if ':' not in target), None)

    @property
    def router6_answers(self) -> bool | None:
        """Whether the one of IPv6 did; None where there is none."""
        return next((ok for target, ok in self.pings.items() if ':' in target), None)


@dataclass(frozen=True)
class Report:
    """One report; ``routes`` are lines of ``ip route``, single-spaced."""

    uptime_s: float
    boot_count: int
    nics: tuple[Nic, ...]
    routes: tuple[str, ...]
    routes6: tuple[str, ...]

    def default_routes(self, version: int = 4) -> tuple[str, ...]:
        """Those of IP ``version`` 4 or 6; a right guest has at most one."""
        routes = self.routes if version == 4 else self.routes6
        return tuple(route for route in routes if route.startswith('default '))


def parse_reports(console: str) -> list[Report]:
    """All complete reports in a console log, oldest first."""
    text = console.replace('\r', '')
    return [parse_report(block) for block in BLOCK.findall(text)]


def parse_report(block: str) -> Report:
    """One report from its lines; the first has the attributes of the begin marker."""
    head, *lines = block.splitlines()
    facts = [split_line(line) for line in lines if line]
    nics = [values for kind, values, _ in facts if kind == 'nic']
    boots = [int(values['count']) for kind, values, _ in facts if kind == 'boot']
    return Report(
        uptime_s=float(split_line(f'begin {head}')[1]['uptime']),
        boot_count=boots[0] if boots else 0,
        nics=tuple(make_nic(values, facts) for values in nics),
        routes=tuple(rest for kind, _, rest in facts if kind == 'route'),
        routes6=tuple(rest for kind, _, rest in facts if kind == 'route6'),
    )


def split_line(line: str) -> Fact:
    """(first word, its key=value words, the rest as it is)."""
    kind, _, rest = line.partition(' ')
    words = (word.partition('=') for word in rest.split())
    return kind, {key: value for key, equals, value in words if equals}, rest


def make_nic(values: Mapping[str, str], facts: Sequence[Fact]) -> Nic:
    """A card from the words of its line, and the other lines about it."""
    given = or_none(values)
    index = values['index']
    about = [(kind, v) for kind, v, _ in facts if v.get('nic') == index]
    ipv6 = [make_ipv6(v) for kind, v in about if kind == 'nic6']
    return Nic(
        index=int(index),
        name=values['name'],
        mac=values['mac'],
        pci=values['pci'],
        mtu=int(values['mtu']),
        lease=values['lease'] == 'yes',
        address=given['addr'],
        server=given['server'],
        router=given['router'],
        dns=split_list(given['dns']),
        host=given['host'],
        lease_s=int_or_none(given['seconds']),
        addresses=tuple(v['addr'] for kind, v in about if kind == 'addr'),
        ipv6=ipv6[0] if ipv6 else None,
        pings={v['target']: v['ok'] == 'yes' for kind, v in about if kind == 'gateway-ping'},
    )


def make_ipv6(values: Mapping[str, str]) -> Ipv6:
    given = or_none(values)
    return Ipv6(
        how=values['how'],
        router=given['router'],
        lifetime_s=int_or_none(given.get('lifetime')),
        dns=split_list(given['dns']),
    )


def or_none(values: Mapping[str, str]) -> dict[str, str | None]:
    return {key: None if value == 'none' else value for key, value in values.items()}


def split_list(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(',')) if text else ()


def int_or_none(text: str | None) -> int | None:
    return int(text) if text else None
