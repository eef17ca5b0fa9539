"""The judge of the matrix of guests sees what is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lab import guest_report
from nova.network import model
from nova.tests.integration.cloud import matrix

CASE = matrix.build_case(matrix.FLAT_DHCP, 'dual', 2, drive=False)
NETWORKS = ('a0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002')


def interfaces() -> list[dict[str, Any]]:
    """NIC 0 is on network 1 and NIC 1 on network 0, as the case says."""
    return [
        {
            'mac_addr': f'fa:16:3e:00:00:0{index}',
            'net_id': NETWORKS[index],
            'fixed_ips': [
                {'ip_address': f'10.105.{16 * lan.number}.9'},
                {'ip_address': f'fd00:105:{lan.number}::9'},
            ],
        }
        for index, lan in enumerate(CASE.lans)
    ]


def nic(index: int) -> guest_report.Nic:
    lan = CASE.lans[index]
    length = matrix.PREFIX_LENGTHS[lan.number]
    return guest_report.Nic(
        index=index,
        name=f'eth{index}',
        mac=f'fa:16:3e:00:00:0{index}',
        pci=f'0000:00:1{index}.0',
        mtu=(1400, 1500)[index],
        lease=True,
        address=None,
        server=None,
        router=None,
        dns=lan.dns(4),
        host=None,
        lease_s=None,
        addresses=(
            f'10.105.{16 * lan.number}.9/{length}',
            f'fd00:105:{lan.number}::9/64',
            'fe80::1/64',
        ),
        ipv6=guest_report.Ipv6(
            how=('stateless', 'slaac')[index],
            router=model.router_link_local(NETWORKS[index]),
            lifetime_s=(0, 1800)[index],
            dns=lan.dns(6),
        ),
        pings={},
    )


def report(**changes: Any) -> guest_report.Report:
    router = model.router_link_local(NETWORKS[1])
    right = guest_report.Report(
        uptime_s=3.0,
        boot_count=1,
        nics=(nic(0), nic(1)),
        routes=('default via 10.105.16.1 dev eth0 metric 102', '10.105.0.0/24 dev eth1'),
        routes6=(f'default via {router} dev eth1 metric 1024',),
    )
    return dataclasses.replace(right, **changes)


def test_a_right_guest_has_no_faults() -> None:
    assert matrix.find_faults(CASE, interfaces(), report()) == []


def test_every_neighbour_must_answer() -> None:
    assert matrix.targets(CASE, report()) == [
        ('eth0', '10.105.16.1'),
        ('eth0', 'fd00:105:1::1'),
        ('eth1', '10.105.0.1'),
        ('eth1', 'fd00:105::1'),
    ]


@pytest.mark.parametrize(
    'change',
    [
        {'mac': 'fa:16:3e:00:00:07'},
        {'pci': '0000:00:12.0'},
        {'mtu': 1500},
        {'lease': False},
        {'addresses': ('10.105.16.9/24', 'fd00:105:1::9/64')},
        {'addresses': ('10.105.16.9/26',)},
        {'dns': ()},
        {'ipv6': None},
        {'ipv6': dataclasses.replace(nic(0).ipv6, how='slaac')},  # type: ignore[type-var]
        {'ipv6': dataclasses.replace(nic(0).ipv6, dns=())},  # type: ignore[type-var]
    ],
)
def test_a_wrong_nic_is_a_fault(change: dict[str, Any]) -> None:
    wrong = report(nics=(dataclasses.replace(nic(0), **change), nic(1)))
    assert len(matrix.find_faults(CASE, interfaces(), wrong)) == 1


@pytest.mark.parametrize('routes', ['routes', 'routes6'])
def test_default_routes_are_counted(routes: str) -> None:
    right: tuple[str, ...] = getattr(report(), routes)
    other = right[0].replace('eth0', 'ethX').replace('eth1', 'eth0').replace('ethX', 'eth1')
    for wrong in ((), (*right, other), (other,)):
        assert len(matrix.find_faults(CASE, interfaces(), report(**{routes: wrong}))) == 1


def test_nics_in_another_order_are_faults() -> None:
    swapped = report(nics=(nic(1), nic(0)))
    assert len(matrix.find_faults(CASE, interfaces(), swapped)) > 4


def test_a_missing_nic_is_a_fault() -> None:
    assert matrix.find_faults(CASE, interfaces(), report(nics=(nic(0),)))


def test_all_that_was_asked_for() -> None:
    cases = matrix.build_cases(*matrix.KINDS)
    assert len(set(cases)) == len(cases) == 9 + 18 + 18
    lans = matrix.networks_of(cases)
    for version in (4, 6):
        ranges = [lan.cidr(version) for lan in lans if lan.cidr(version)]
        assert len(set(ranges)) == len(ranges) == 24
    for case in cases:
        # the very case that hides nothing: another NIC than the first leads out
        if case.nics == 4:
            assert [case.default_nic(v) for v in case.lans[0].versions] != [0, 0]


def test_a_mix_of_families_proves_the_same_with_fewer_guests() -> None:
    all_of_them, mixes = matrix.build_cases(matrix.VLAN), matrix.build_mixes(matrix.VLAN)
    proven = [cell for case in mixes for cell in (*case.cells, *case.alone.cells)]
    assert set(proven) == {cell for case in all_of_them for cell in case.cells}
    assert len(set(proven)) == 3 * 3 * 2
    assert len(mixes) < len(all_of_them)


@pytest.mark.parametrize('case', matrix.build_mixes(matrix.VLAN), ids=lambda case: case.id)
def test_a_guest_of_a_mix_has_a_default_route_of_each_family(case: matrix.Case) -> None:
    for guest in (case, case.alone):
        versions = {version for lan in guest.lans for version in lan.versions}
        assert {version for version in (4, 6) if guest.default_nic(version) is not None} == versions
    leading = [lan for lan in case.lans if lan.gateway(6) is not None]
    assert len(leading) <= 1, 'such a server would be refused'
