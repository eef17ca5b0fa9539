"""Reading what the test guest reports on its serial console; ``guest/init`` writes it."""

from __future__ import annotations

from dataclasses import dataclass
import re

BLOCK = re.compile(r'^NOVA-GUEST-BEGIN (.*?)^NOVA-GUEST-END', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Nic:
    """One network card, as the guest sees it.

    Addresses have their prefix length (``10.0.0.2/24``); what DHCP did not give is None.
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
    addresses6: tuple[str, ...]
    #: Whether the DHCP server answered a ping sent from this card; None without a server.
    gateway_answers: bool | None


@dataclass(frozen=True)
class Report:
    """One report; ``routes`` are lines of ``ip route``, single-spaced."""

    uptime_s: float
    boot_count: int
    nics: tuple[Nic, ...]
    routes: tuple[str, ...]
    routes6: tuple[str, ...]

    def default_routes(self) -> tuple[str, ...]:
        """The IPv4 default routes; a right guest has at most one."""
        return tuple(route for route in self.routes if route.startswith('default '))


def parse_reports(console: str) -> list[Report]:
    """All complete reports in a console log, oldest first."""
    text = console.replace('\r', '')
    return [parse_report(block) for block in BLOCK.findall(text)]


def parse_report(block: str) -> Report:
    """One report from its lines; the first has the attributes of the begin marker."""
    head, *lines = block.splitlines()
    facts = [split_line(line) for line in lines if line]
    nics = [values for kind, values, _ in facts if kind == 'nic']
    addresses6 = [(v['nic'], v['addr']) for kind, v, _ in facts if kind == 'addr6']
    pings = {v['nic']: v['ok'] == 'yes' for kind, v, _ in facts if kind == 'gateway-ping'}
    boots = [int(values['count']) for kind, values, _ in facts if kind == 'boot']
    return Report(
        uptime_s=float(split_line(f'begin {head}')[1]['uptime']),
        boot_count=boots[0] if boots else 0,
        nics=tuple(make_nic(values, addresses6, pings) for values in nics),
        routes=tuple(rest for kind, _, rest in facts if kind == 'route'),
        routes6=tuple(rest for kind, _, rest in facts if kind == 'route6'),
    )


def split_line(line: str) -> tuple[str, dict[str, str], str]:
    """(first word, its key=value words, the rest as it is)."""
    kind, _, rest = line.partition(' ')
    words = (word.partition('=') for word in rest.split())
    return kind, {key: value for key, equals, value in words if equals}, rest


def make_nic(
    values: dict[str, str], addresses6: list[tuple[str, str]], pings: dict[str, bool]
) -> Nic:
    given = {key: None if value == 'none' else value for key, value in values.items()}
    index = values['index']
    seconds, dns = given['seconds'], given['dns']
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
        dns=tuple(dns.split(',')) if dns else (),
        host=given['host'],
        lease_s=int(seconds) if seconds else None,
        addresses6=tuple(address for nic, address in addresses6 if nic == index),
        gateway_answers=pings.get(index),
    )
