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

UUID = '5d2c7c1e-6f57-4a3d-9f1b-0c5f7a9e2b11'


def plan(**values: object) -> addressing.NetworkPlan:
    spec = {'label': 'net', 'cidr': '10.0.0.0/29', **values}
    return addressing.plan_network(addressing.NetworkSpec(**spec), UUID)  # type: ignore[arg-type]


def free(planned: addressing.NetworkPlan) -> list[str]:
    return [address for address, reserved in planned.addresses if not reserved]


# --- networks


def test_what_is_decided_when_nothing_is_said() -> None:
    assert plan() == addressing.NetworkPlan(
        network=records.NewNetwork(
            uuid=UUID,
            label='net',
            kind=model.NetworkKind.FLAT_DHCP,
            project_id=None,
            cidr='10.0.0.0/29',
            gateway='10.0.0.1',
            dhcp_server='10.0.0.1',
            dhcp_start='10.0.0.2',
            dhcp_end='10.0.0.6',
            dns=(),
            bridge=model.bounded_device_name('br', UUID),
            physical_network=None,
            vlan=None,
            mtu=None,
            multi_host=False,
        ),
        addresses=(
            ('10.0.0.0', True),
            ('10.0.0.1', True),
            ('10.0.0.2', False),
            ('10.0.0.3', False),
            ('10.0.0.4', False),
            ('10.0.0.5', False),
            ('10.0.0.6', False),
            ('10.0.0.7', True),
        ),
    )


def test_what_is_said_is_kept() -> None:
    planned = plan(
        project_id='p1',
        kind='flat_dhcp',
        gateway='10.0.0.6',
        dhcp_server='10.0.0.4',
        allowed_start='10.0.0.2',
        allowed_end='10.0.0.5',
        dns=('192.0.2.1', '192.0.2.2'),
        bridge='br100',
        physical_network='physnet1',
        mtu=1400,
    )

    network = planned.network
    assert (network.gateway, network.dhcp_server) == ('10.0.0.6', '10.0.0.4')
    assert (network.dhcp_start, network.dhcp_end) == ('10.0.0.2', '10.0.0.5')
    assert (network.bridge, network.physical_network, network.mtu) == ('br100', 'physnet1', 1400)
    assert (network.project_id, network.dns) == ('p1', ('192.0.2.1', '192.0.2.2'))
    assert free(planned) == ['10.0.0.2', '10.0.0.3', '10.0.0.5']


def test_a_network_that_leads_nowhere_has_a_dhcp_server() -> None:
    planned = plan(gateway='none')

    assert (planned.network.gateway, planned.network.dhcp_server) == (None, '10.0.0.1')
    assert free(planned)[0] == '10.0.0.2'


@pytest.mark.parametrize('kind', ['vlan', 'flat', 'FLAT_DHCP', 'x'])
def test_kinds_that_are_not_served(kind: str) -> None:
    with pytest.raises(exception.NetworkKindUnsupported) as caught:
        plan(kind=kind)

    assert caught.value.message == f'Network kind {kind!r} is not one of flat_dhcp'


@pytest.mark.parametrize(
    'cidr',
    [
        '', '10.0.0.0', '10.0.0.0/8', '10.0.0.0/15', '10.0.0.0/31', '10.0.0.0/32', '10.0.0.0/33',
        '10.0.0.1/24', '10.0.0.0/255.255.255.0', '10.0.0/24', '10.0.0.0/24\n', '256.0.0.0/24',
        '010.0.0.0/24', 'fd00::/64', '127.0.0.0/24', '169.254.0.0/24', '224.0.0.0/24', '0.0.0.0/16',
        '240.0.0.0/16', 'x',
    ],
)  # fmt: skip
def test_ranges_that_are_refused(cidr: str) -> None:
    with pytest.raises(exception.InvalidCidr) as caught:
        plan(cidr=cidr)

    assert caught.value.kwargs['field'] == 'cidr'


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('gateway', '10.0.1.1'),
        ('gateway', '10.0.0.0'),
        ('gateway', '10.0.0.7'),
        ('gateway', 'x'),
        ('gateway', '10.0.0.1\n'),
        ('dhcp_server', '10.0.0.7'),
        ('allowed_start', '10.0.0.0'),
        ('allowed_end', '10.0.0.8'),
        ('dns', ('dns.example',)),
        ('dns', ('192.0.2.1,192.0.2.2',)),
        ('dns', tuple(f'192.0.2.{n}' for n in range(9))),
        ('bridge', 'a bridge'),
        ('bridge', 'x' * 16),
        ('physical_network', 'a,b'),
        ('label', 'a\nb'),
        ('mtu', 575),
        ('mtu', 65536),
    ],
)
def test_the_error_names_the_field(field: str, value: object) -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        plan(**{field: value})

    assert caught.value.kwargs['field'] == field


def test_a_range_with_nothing_to_give_is_refused() -> None:
    with pytest.raises(exception.InvalidCidr, match='could be given'):
        plan(cidr='10.0.0.0/30', dhcp_server='10.0.0.2')
    with pytest.raises(exception.InvalidCidr, match='could be given'):
        plan(allowed_start='10.0.0.5', allowed_end='10.0.0.4')


@given(
    prefix=st.integers(24, 30),
    place=st.integers(0, 255),
    picks=st.lists(st.integers(0, 2**8), min_size=4, max_size=4),
    gatewayless=st.booleans(),
)
def test_addresses_of_any_network(
    prefix: int, place: int, picks: list[int], gatewayless: bool
) -> None:
    cidr = netaddr.IPNetwork(f'10.{place}.0.0/{prefix}')
    hosts = [str(address) for address in cidr][1:-1]
    gateway, server, one, other = (hosts[pick % len(hosts)] for pick in picks)
    start, end = sorted((one, other), key=hosts.index)
    try:
        planned = plan(
            cidr=str(cidr),
            gateway='none' if gatewayless else gateway,
            dhcp_server=server,
            allowed_start=start,
            allowed_end=end,
        )
    except exception.InvalidCidr:
        assert set(hosts[hosts.index(start) : hosts.index(end) + 1]) <= {gateway, server}
        return

    assert [address for address, _ in planned.addresses] == [str(address) for address in cidr]
    network = planned.network
    given_out = free(planned)
    assert given_out
    assert given_out[0] == network.dhcp_start
    assert given_out[-1] == network.dhcp_end
    taken = {str(cidr.network), str(cidr.broadcast), server} | (set() if gatewayless else {gateway})
    assert not taken & set(given_out)
    for address, reserved in planned.addresses:
        if reserved:
            with pytest.raises(exception.FixedIpInvalid):
                addressing.parse_fixed_ip(address, network)
        else:
            assert addressing.parse_fixed_ip(address, network) == address


@pytest.mark.parametrize(
    ('changes', 'field'),
    [
        ({'cidr': '10.0.0.0/24'}, 'Range'),
        ({'cidr': '10.0.0.128/25'}, 'Range'),
        ({'cidr': '10.0.0.0/16'}, 'Range'),
        ({'bridge': 'brt0'}, 'Bridge'),
        ({'physical_network': 'physnet0'}, 'Physical network'),
    ],
)
def test_a_conflict_names_the_network_in_the_way(changes: dict[str, str], field: str) -> None:
    others = [samples.network(3), samples.network(0, physical_network='physnet0')]
    values: dict[str, object] = {'cidr': '10.9.0.0/24', 'bridge': 'brt9', **changes}

    with pytest.raises(exception.NetworkOverlap) as caught:
        addressing.check_conflict(plan(**values).network, others)

    assert caught.value.kwargs['field'] == field
    assert caught.value.kwargs['network_id'] == others[1].uuid
    assert 'net-0' in caught.value.message


def test_networks_that_live_beside_each_other() -> None:
    others = [samples.network(n) for n in range(3)]

    addressing.check_conflict(plan(cidr='10.9.0.0/24').network, others)


# --- NICs


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

    assert addressing.choose_default_route(found) == chosen


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
