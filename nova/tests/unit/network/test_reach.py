"""What guests may reach, and the rules that say so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nova import exception
from nova.network import reach, topology
from nova.tests.unit.network import samples

A, B, C = (samples.network(number) for number in range(3))


def test_networks_are_apart() -> None:
    planned = reach.plan_reach([A, B], reach.Options())

    assert planned.bridges == (A.bridge, B.bridge)
    assert planned.allowed == ((A.bridge, A.bridge), (B.bridge, B.bridge))
    assert planned.egresses == ()


def test_a_pair_is_allowed_in_both_directions_and_no_other() -> None:
    options = reach.Options(forward_between=((A.label, C.uuid), ('elsewhere', B.label)))

    allowed = reach.plan_reach([A, B, C], options).allowed

    assert set(allowed) == {
        (A.bridge, A.bridge),
        (B.bridge, B.bridge),
        (C.bridge, C.bridge),
        (A.bridge, C.bridge),
        (C.bridge, A.bridge),
    }


def test_egress_of_one_network_and_of_the_others() -> None:
    lone = samples.network(3, gateway=None)
    options = reach.Options(default_egress='eth0', egress={B.label: 'eth1', C.uuid: ''})

    egresses = reach.plan_reach([A, B, C, lone], options).egresses

    assert egresses == (
        reach.Egress(cidr='10.0.0.0/24', interface='eth0'),
        reach.Egress(cidr='10.1.0.0/24', interface='eth1'),
    )


def test_the_rules(golden: Callable[[str, str], None]) -> None:
    options = reach.Options(default_egress='eth0', forward_between=((A.label, B.label),))
    lines = reach.render_table(reach.plan_reach([C, B, A], options))

    golden('network/reach.nft', ''.join(f'{line}\n' for line in lines))
    assert lines == reach.render_table(reach.plan_reach([A, B, C], options))


def test_the_rules_at_the_edge(golden: Callable[[str, str], None]) -> None:
    lines = reach.render_edge_table(reach.Reach(edges=('eth2', 'eth1.100')))

    golden('network/edge.nft', ''.join(f'{line}\n' for line in lines))
    assert reach.render_edge_table(reach.Reach()) == lines[:2]


def test_the_edges_of_a_host() -> None:
    """Where every host serves its own guests, whatever leads to other hosts."""
    networks = [
        samples.network(0, physical_network='red'),
        samples.network(1, physical_network='blue', multi_host=True),
        samples.network(2, physical_network='blue', vlan=100, multi_host=True),
        samples.network(3, physical_network='unknown', multi_host=True),
        samples.network(4, multi_host=True),
    ]

    edges = topology.plan_edges(networks, {'red': 'eth1', 'blue': 'eth2'})

    assert edges == ('eth2', 'eth2.100')


def test_no_networks_no_table() -> None:
    lines = reach.render_table(reach.plan_reach([], reach.Options(default_egress='eth0')))

    assert lines == ('add table inet nova-nat', 'delete table inet nova-nat')


@pytest.mark.parametrize('interface', ['eth0" accept', 'all', 'x' * 16])
def test_an_interface_that_cannot_be(interface: str) -> None:
    with pytest.raises(exception.InvalidName):
        reach.plan_reach([A], reach.Options(default_egress=interface))


def test_pairs() -> None:
    assert reach.parse_pair('net one:net-two') == ('net one', 'net-two')
    for text in ('', 'one', 'one:', ':two', 'one:two:three'):
        with pytest.raises(exception.InvalidName):
            reach.parse_pair(text)
