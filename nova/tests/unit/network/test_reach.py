"""What guests may reach, and the rules that say so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nova import exception
from nova.network import reach
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
