"""Which guests every kind of network must serve, and what is right in each; pure.

A case is a guest with 1, 2 or 4 NICs on networks of one kind and one choice of address families,
which learns its addresses from the network or from a configuration drive. The networks of a case
differ in everything that can differ, and the guest is not on them in the order in which they were
made: a NIC that was given what is another's cannot pass.

Where guests cost more, one guest stands for several of these: it has as many NICs, but each family
on some of them, and then all but the first are taken from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import Any

import netaddr

from lab import guest_report
from nova.network import model

FLAT, FLAT_DHCP, VLAN = 'flat', 'flat_dhcp', 'vlan'
KINDS = (FLAT, FLAT_DHCP, VLAN)
FAMILIES: Mapping[str, tuple[int, ...]] = {'v4': (4,), 'v6': (6,), 'dual': (4, 6)}
#: The networks of a guest with so many NICs, by number.
ORDERS: Mapping[int, tuple[int, ...]] = {1: (0,), 2: (1, 0), 4: (2, 0, 3, 1)}
#: The guests of a mix: family and number of each NIC's network. The first NIC stays alone.
MIXES: Sequence[Sequence[tuple[str, int]]] = (
    (('v4', 0), ('v6', 0)),
    (('dual', 0), ('v4', 1)),
    (('v6', 0), ('v4', 2), ('dual', 2), ('v4', 1)),
)
#: By the network's number; without IPv4's gateway, a first NIC gets no default route.
MTUS = (None, 1400, 1450, 1300)
MODES = ('slaac', 'stateless', 'stateful', 'slaac')
PREFIX_LENGTHS = (24, 26, 25, 23)
WITHOUT_GATEWAY = 2
#: Only one of a guest's networks may have one: an announcement reaches all guests alike.
WITH_GATEWAY_V6 = 0
#: What networks have without a choice.
DEFAULT_MTU = 1500
RA_LIFETIME_S = 1800


@dataclasses.dataclass(frozen=True)
class Lan:
    """One network of the matrix."""

    kind: str
    family: str
    number: int

    @property
    def label(self) -> str:
        return f'{self.kind}-{self.family}-{self.number}'

    @property
    def versions(self) -> tuple[int, ...]:
        return FAMILIES[self.family]

    @property
    def mtu(self) -> int | None:
        return MTUS[self.number]

    @property
    def mode(self) -> str | None:
        """How guests get to IPv6; None where nobody announces it."""
        return None if self.kind == FLAT or 6 not in self.versions else MODES[self.number]

    @property
    def block(self) -> int:
        """Of the numbers that addresses are made of."""
        return 100 + KINDS.index(self.kind) * len(FAMILIES) + list(FAMILIES).index(self.family)

    def cidr(self, version: int) -> str | None:
        if version not in self.versions:
            return None
        if version == 4:
            return f'10.{self.block}.{16 * self.number}.0/{PREFIX_LENGTHS[self.number]}'
        return f'fd00:{self.block}:{self.number}::/64'

    def gateway(self, version: int) -> str | None:
        cidr = self.cidr(version)
        is_led = self.number != WITHOUT_GATEWAY if version == 4 else self.number == WITH_GATEWAY_V6
        return str(netaddr.IPNetwork(cidr)[1]) if cidr and is_led else None

    def neighbour(self, version: int) -> str | None:
        """Who answers on the network: the gateway, or our DHCP server, or on the operator's own
        bridge nobody."""
        cidr = self.cidr(version)
        if cidr is None or (self.kind == FLAT and self.gateway(version) is None):
            return None
        return str(netaddr.IPNetwork(cidr)[1])

    def dns(self, version: int) -> tuple[str, ...]:
        if version not in self.versions:
            return ()
        prefix, count = '192.0.2.' if version == 4 else '2001:db8::', 1 + self.number % 2
        return tuple(f'{prefix}{10 * self.number + i}' for i in range(1, 1 + count))

    @property
    def bridge(self) -> str | None:
        """The operator's bridge."""
        return f'op-{self.family}-{self.number}' if self.kind == FLAT else None

    def fields(self) -> dict[str, Any]:
        """What is asked for, by the names of ``os-networks``."""
        wanted = {
            'label': self.label,
            'kind': self.kind,
            'cidr': self.cidr(4),
            'gateway': None if 4 not in self.versions else self.gateway(4) or 'none',
            'cidr_v6': self.cidr(6),
            'gateway_v6': self.gateway(6),
            'ipv6_mode': self.mode,
            'dns': self.dns(4) + self.dns(6),
            'mtu': self.mtu,
            'bridge': self.bridge,
            'physical_network': 'trunk' if self.kind == VLAN else None,
        }
        return {field: value for field, value in wanted.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is to be proven: NICs on a kind of network, of a family, in a guest with so many NICs,
    with or without a configuration drive."""

    kind: str
    family: str
    nics: int
    drive: bool


@dataclasses.dataclass(frozen=True)
class Case:
    """One guest, by each NIC's network in the order of the NICs. With a ``drive`` it has a
    configuration drive."""

    lans: tuple[Lan, ...]
    drive: bool

    @property
    def id(self) -> str:
        words = ['+'.join(found) for found in (self._of('kind'), self._of('family'))]
        return '-'.join([*words, str(self.nics), 'drive' if self.drive else 'dhcp'])

    def _of(self, field: str) -> list[str]:
        return list(dict.fromkeys(getattr(lan, field) for lan in self.lans))

    @property
    def nics(self) -> int:
        return len(self.lans)

    @property
    def alone(self) -> Case:
        """The same guest with its first NIC only."""
        return dataclasses.replace(self, lans=self.lans[:1])

    @property
    def cells(self) -> frozenset[Cell]:
        """What the guest proves."""
        return frozenset(Cell(lan.kind, lan.family, self.nics, self.drive) for lan in self.lans)

    def default_nic(self, version: int) -> int | None:
        """Which NIC has the default route."""
        able = [i for i, lan in enumerate(self.lans) if lan.gateway(version) is not None]
        return able[0] if able else None


def build_case(kind: str, family: str, nics: int, *, drive: bool) -> Case:
    """A guest on networks of one kind and family."""
    return Case(tuple(Lan(kind, family, number) for number in ORDERS[nics]), drive)


def build_cases(*kinds: str) -> list[Case]:
    """All guests on networks of these kinds. On a flat one nobody serves DHCP."""
    return [
        build_case(kind, family, nics, drive=drive)
        for kind, family, nics, drive in itertools.product(kinds, FAMILIES, ORDERS, (False, True))
        if drive or kind != FLAT
    ]


def build_mixes(kind: str) -> list[Case]:
    """Guests that prove the same of one kind as :func:`build_cases`, together with what they are
    when they are ``alone``, and are fewer."""
    return [
        Case(tuple(Lan(kind, family, number) for family, number in mix), drive)
        for mix, drive in itertools.product(MIXES, (False, True))
    ]


def networks_of(cases: Iterable[Case]) -> list[Lan]:
    """All networks that guests of ``cases`` are on."""
    return list(dict.fromkeys(lan for case in cases for lan in case.lans))


def plan_operator(lan: Lan) -> list[str]:
    """Arguments of ``ip`` that make the operator's bridge with the operator's router on it."""
    if lan.bridge is None:
        return []
    addresses = [
        f'addr add {gateway}/{_length(lan, version)} dev {lan.bridge} nodad'
        for version in lan.versions
        if (gateway := lan.gateway(version)) is not None
    ]
    # without an address of its own a bridge has that of one of its ports, and so would the router
    mac = f'02:00:00:00:{lan.block:02x}:{lan.number:02x}'
    return [
        f'link add {lan.bridge} address {mac} type bridge forward_delay 0',
        f'link set {lan.bridge} up',
        *addresses,
    ]


# --- judging


def find_faults(
    case: Case, interfaces: Sequence[Mapping[str, Any]], report: guest_report.Report
) -> list[str]:
    """What the guest has otherwise than it should, in words.

    :param interfaces: as the API lists them (``os-interface``).
    """
    if len(report.nics) != case.nics or len(interfaces) != case.nics:
        return [f'{len(report.nics)} NICs in the guest, {len(interfaces)} in the API']
    faults = []
    for lan, interface, nic in zip(case.lans, interfaces, report.nics, strict=True):
        seen, wanted = _seen(nic), _wanted(lan, interface, nic.index)
        faults += [
            f'NIC {nic.index}: {key} is {seen[key]!r}, not {wanted[key]!r}'
            for key in wanted
            if seen[key] != wanted[key]
        ]
    return faults + list(_find_route_faults(case, interfaces, report))


def _wanted(lan: Lan, interface: Mapping[str, Any], index: int) -> dict[str, Any]:
    served = lan.kind != FLAT
    addresses = [entry['ip_address'] for entry in interface['fixed_ips']]
    return {
        'mac': interface['mac_addr'],
        'pci': f'0000:00:{model.FIRST_NIC_SLOT + index:02x}.0',
        'mtu': lan.mtu or DEFAULT_MTU,
        'lease': served and 4 in lan.versions,
        'addresses': sorted(_with_length(lan, address) for address in addresses),
        'dns': lan.dns(4),
        'ipv6': _wanted_ipv6(lan, str(interface['net_id'])),
    }


def _with_length(lan: Lan, address: str) -> str:
    """The address as the guest has it; DHCPv6 says nothing of a prefix."""
    version = netaddr.IPAddress(address).version
    alone = version == 6 and lan.mode == 'stateful'
    return f'{address}/{128 if alone else _length(lan, version)}'


def _length(lan: Lan, version: int) -> int:
    return int(netaddr.IPNetwork(lan.cidr(version)).prefixlen)


def _wanted_ipv6(lan: Lan, network_id: str) -> guest_report.Ipv6 | None:
    if 6 not in lan.versions:
        return None
    if lan.mode is None:
        return guest_report.Ipv6('static', lan.gateway(6), None, lan.dns(6))
    lifetime_s = RA_LIFETIME_S if lan.gateway(6) else 0
    return guest_report.Ipv6(lan.mode, model.router_link_local(network_id), lifetime_s, lan.dns(6))


def _seen(nic: guest_report.Nic) -> dict[str, Any]:
    return {
        'mac': nic.mac,
        'pci': nic.pci,
        'mtu': nic.mtu,
        'lease': nic.lease,
        'addresses': sorted(a for a in nic.addresses if not a.startswith('fe80:')),
        'dns': nic.dns,
        'ipv6': nic.ipv6,
    }


def _find_route_faults(
    case: Case, interfaces: Sequence[Mapping[str, Any]], report: guest_report.Report
) -> Iterator[str]:
    """Exactly one default route of each family that the case has, by the right NIC."""
    for version in (4, 6):
        wanted = []
        index = case.default_nic(version)
        if index is not None:
            lan = case.lans[index]
            announced = version == 6 and lan.mode is not None
            router = model.router_link_local(str(interfaces[index]['net_id']))
            via = router if announced else lan.gateway(version)
            wanted = [['default', 'via', via, 'dev', report.nics[index].name]]
        seen = [route.split()[:5] for route in report.default_routes(version)]
        if seen != wanted:
            yield f'the default routes of IPv{version} are {seen}, not {wanted}'


def targets(case: Case, report: guest_report.Report) -> list[tuple[str, str]]:
    """(card, address) of all neighbours that must answer a ping from this card."""
    return [
        (nic.name, neighbour)
        for nic, lan in zip(report.nics, case.lans, strict=True)
        for version in lan.versions
        if (neighbour := lan.neighbour(version)) is not None
    ]
