from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
import netaddr
import pytest

from nova import exception
from nova.db import records
from nova.network import addressing, model
from nova.tests.unit.network import samples


def requests(*numbers: int) -> list[records.RequestedNetwork]:
    return [records.RequestedNetwork(network_uuid=samples.network(n).uuid) for n in numbers]


def networks(*numbers: int, **changes: object) -> dict[str, records.Network]:
    return {n.uuid: n for n in (samples.network(number, **changes) for number in numbers)}


@pytest.mark.parametrize(
    ('gateways', 'chosen'),
    [
        ([], None),
        ([None], None),
        (['10.0.0.1'], 0),
        ([None, '10.1.0.1', '10.2.0.1'], 1),
        (['10.0.0.1', '10.1.0.1'], 0),
    ],
)
def test_the_default_route_is_on_the_first_nic_that_can_have_it(
    gateways: list[str | None], chosen: int | None
) -> None:
    found = [samples.network(n, gateway=gateway) for n, gateway in enumerate(gateways)]

    assert addressing.choose_default_route(found, [None] * len(found)) == chosen


def test_the_default_route_is_on_the_nic_with_the_tag_for_it() -> None:
    found = [samples.network(0), samples.network(1), samples.network(2, gateway=None)]
    tag = addressing.DEFAULT_ROUTE_TAG

    assert addressing.choose_default_route(found, ['lan', tag, None]) == 1
    for tags, reason in (([None, None, tag], 'net-2 has not'), ([tag, tag, None], 'only one')):
        with pytest.raises(exception.InvalidInput, match=reason):
            addressing.choose_default_route(found, tags)


def test_nics_are_planned_in_the_order_of_the_request() -> None:
    requested = [
        records.RequestedNetwork(network_uuid=samples.network(2).uuid, tag='back'),
        records.RequestedNetwork(network_uuid=samples.network(0).uuid, fixed_ip='10.0.0.77'),
        records.RequestedNetwork(network_uuid=samples.network(2).uuid),
    ]
    found = {**networks(2, gateway=None), **networks(0)}

    planned = addressing.plan_nics(requested, found, random.Random(1))

    assert [
        (nic.index, nic.network_uuid, nic.default_route, nic.fixed_ip, nic.tag) for nic in planned
    ] == [
        (0, samples.network(2).uuid, False, None, 'back'),
        (1, samples.network(0).uuid, True, '10.0.0.77', None),
        (2, samples.network(2).uuid, False, None, None),
    ]


@given(st.lists(st.integers(0, 7), max_size=8), st.integers(0, 2**32))
def test_any_nics(numbers: list[int], seed: int) -> None:
    planned = addressing.plan_nics(requests(*numbers), networks(*range(8)), random.Random(seed))

    assert [nic.index for nic in planned] == list(range(len(numbers)))
    assert [nic.network_uuid for nic in planned] == [samples.network(n).uuid for n in numbers]
    assert len({nic.mac for nic in planned}) == len(numbers)
    assert len({nic.uuid for nic in planned}) == len(numbers)
    assert [nic.default_route for nic in planned] == [i == 0 for i in range(len(numbers))]
    for nic in planned:
        assert nic.mac.startswith('fa:16:3e:')
        assert str(netaddr.EUI(nic.mac, dialect=netaddr.mac_unix_expanded)) == nic.mac


def test_mac_addresses_of_one_instance_differ() -> None:
    class Repeating(random.Random):
        """Gives each number twice."""

        drawn = 0

        def getrandbits(self, k: int, /) -> int:
            self.drawn += 1
            return (self.drawn // 2) % (1 << k)

    planned = addressing.plan_nics(requests(0, 1, 2), networks(0, 1, 2), Repeating())

    assert len({nic.mac for nic in planned}) == 3


def test_a_network_that_is_not_there() -> None:
    with pytest.raises(exception.NetworkNotFound):
        addressing.plan_nics(requests(0, 1), networks(0), random.Random(1))


@pytest.mark.parametrize(
    'text',
    ['', 'x', '10.0.0', '10.0.0.300', '10.1.0.5', '10.0.0.0', '10.0.0.255', '10.0.0.1', '10.0.0.2',
     '10.0.0.5\n', 'fd00::1', '010.0.0.5'],
)  # fmt: skip
def test_addresses_that_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(exception.FixedIpInvalid):
        addressing.parse_fixed_ip(text, samples.network(0))


def test_nics_get_the_addresses_of_their_macs() -> None:
    both = samples.network(0, cidr_v6='fd00:1::/64', ipv6_mode=model.Ipv6Mode.SLAAC)
    only = samples.network(
        1, cidr=None, gateway=None, cidr_v6='fd00:2::/64', ipv6_mode=model.Ipv6Mode.STATEFUL
    )
    requests = [
        records.RequestedNetwork(network_uuid=both.uuid, fixed_ip='10.0.0.9'),
        records.RequestedNetwork(network_uuid=only.uuid, fixed_ip='fd00:2::0:77'),
        records.RequestedNetwork(network_uuid=only.uuid),
    ]
    nics = addressing.plan_nics(requests, {n.uuid: n for n in (both, only)}, random.Random(1))

    assert [nic.fixed_ip for nic in nics] == ['10.0.0.9', None, None]
    assert [nic.fixed_ip_v6 for nic in nics] == [
        model.mac_address_v6('fd00:1::/64', nics[0].mac),
        'fd00:2::77',
        model.mac_address_v6('fd00:2::/64', nics[2].mac),
    ]
    assert [nic.default_route for nic in nics] == [True, False, False]


def test_the_address_of_a_mac() -> None:
    """The example of RFC 4291, appendix A, with a MAC of ours."""
    made = model.mac_address_v6('fd00:1::/64', 'fa:16:3e:01:02:03')
    assert made == 'fd00:1::f816:3eff:fe01:203'


@pytest.mark.parametrize(
    ('mode', 'address', 'word'),
    [
        ('stateful', 'fd00:1::', 'reserved'),
        ('stateful', 'fd00:1::1', 'reserved'),
        ('stateful', 'fd00:2::5', 'not in the range'),
        ('stateful', 'fd00:1::f816:3eff:fe01:203', 'MAC'),
        ('slaac', 'fd00:1::5', 'MAC'),
        ('stateless', 'fd00:1::5', 'MAC'),
        ('stateful', '10.0.0.5', 'no IPv4'),
    ],
)
def test_ipv6_addresses_that_cannot_be_asked_for(mode: str, address: str, word: str) -> None:
    network = samples.network(
        0, cidr=None, gateway=None, cidr_v6='fd00:1::/64', ipv6_mode=model.Ipv6Mode(mode)
    )
    with pytest.raises(exception.FixedIpInvalid) as caught:
        addressing.parse_fixed_ip(address, network)
    assert word in caught.value.message


def test_one_nic_at_most_is_on_a_network_with_an_ipv6_gateway() -> None:
    led = samples.network(0, cidr_v6='fd00:1::/64', gateway_v6='fd00:1::1')
    closed = samples.network(1, cidr_v6='fd00:2::/64')
    addressing.check_default_routes([led, closed, closed], [None] * 3)
    with pytest.raises(exception.InvalidInput) as caught:
        addressing.check_default_routes([closed, led, led], [None] * 3)
    assert 'net-0 and net-0' in caught.value.message
