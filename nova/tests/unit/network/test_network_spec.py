from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import netaddr
import pytest

from nova import exception
from nova.db import records
from nova.network import addressing, info, model, network_spec
from nova.tests.unit.network import samples

UUID = '5d2c7c1e-6f57-4a3d-9f1b-0c5f7a9e2b11'


def plan(**values: object) -> network_spec.NetworkPlan:
    spec = {'label': 'net', 'cidr': '10.0.0.0/29', **values}
    return network_spec.plan_network(network_spec.NetworkSpec(**spec), UUID)  # type: ignore[arg-type]


def free(planned: network_spec.NetworkPlan) -> list[str]:
    return [address for address, reserved in planned.addresses if not reserved]


def test_what_is_decided_when_nothing_is_said() -> None:
    assert plan() == network_spec.NetworkPlan(
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


@pytest.mark.parametrize('kind', ['', 'FLAT_DHCP', 'x'])
def test_kinds_that_there_are_not(kind: str) -> None:
    with pytest.raises(exception.NetworkKindUnsupported) as caught:
        plan(kind=kind)

    assert caught.value.message == f'Network kind {kind!r} is not one of flat_dhcp, flat, vlan'


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
        network_spec.check_conflict(plan(**values).network, others)

    assert caught.value.kwargs['field'] == field
    assert caught.value.kwargs['network_id'] == others[1].uuid
    assert 'net-0' in caught.value.message


def test_networks_that_live_beside_each_other() -> None:
    others = [samples.network(n) for n in range(3)]

    network_spec.check_conflict(plan(cidr='10.9.0.0/24').network, others)


def plan_v6(**changes: object) -> network_spec.NetworkPlan:
    spec: dict[str, object] = {'label': 'net', 'cidr': None, 'cidr_v6': 'fd00:1::/64'}
    return network_spec.plan_network(
        network_spec.NetworkSpec(**(spec | changes)),  # type: ignore[arg-type]
        UUID,
    )


def test_a_network_of_ipv6_only() -> None:
    planned = plan_v6()

    network = planned.network
    assert (network.cidr_v6, network.gateway_v6) == ('fd00:1::/64', None)
    assert network.ipv6_mode is model.Ipv6Mode.SLAAC
    nothing = (network.cidr, network.gateway, network.dhcp_server, network.dhcp_start)
    assert nothing == (None, None, None, None)
    assert planned.addresses == ()
    assert info.server_address_v6(network) == 'fd00:1::1'


def test_a_network_of_both_families() -> None:
    network = plan_v6(
        cidr='10.0.0.0/29',
        gateway_v6='FD00:1::0:9',
        ipv6_mode='stateful',
        dns=('192.0.2.1', '2001:db8::53'),
        routes=('192.0.2.0/24,10.0.0.5', '2001:db8::/32,fd00:1::5'),
    ).network

    assert (network.gateway, network.gateway_v6) == ('10.0.0.1', 'fd00:1::9')
    assert network.dns == ('192.0.2.1', '2001:db8::53')
    assert network.routes == (
        model.Route(cidr='192.0.2.0/24', gateway='10.0.0.5'),
        model.Route(cidr='2001:db8::/32', gateway='fd00:1::5'),
    )
    assert info.server_address_v6(network) == 'fd00:1::9'


@pytest.mark.parametrize(
    ('field', 'changes'),
    [
        ('cidr', {'cidr_v6': None}),
        ('cidr_v6', {'cidr_v6': 'fd00:1::/65'}),
        ('cidr_v6', {'cidr_v6': 'fd00:1::1/64'}),
        ('cidr_v6', {'cidr_v6': 'fe80::/64'}),
        ('cidr_v6', {'cidr_v6': 'ff02::/64'}),
        ('cidr_v6', {'cidr_v6': '::/64'}),
        ('cidr_v6', {'cidr_v6': 'fd00:1::%eth0/64'}),
        ('cidr_v6', {'cidr_v6': '10.0.0.0/24'}),
        ('gateway_v6', {'gateway_v6': 'fd00:2::1'}),
        ('gateway_v6', {'gateway_v6': 'fd00:1::'}),
        ('gateway_v6', {'gateway_v6': '10.0.0.1'}),
        ('gateway_v6', {'gateway_v6': 'fd00:1::1%br0'}),
        ('gateway_v6', {'cidr': '10.0.0.0/24', 'cidr_v6': None, 'gateway_v6': 'fd00:1::1'}),
        ('gateway', {'gateway': '10.0.0.1'}),
        ('allowed_start', {'allowed_start': '10.0.0.1'}),
        ('ipv6_mode', {'ipv6_mode': 'static'}),
        ('ipv6_mode', {'kind': 'flat', 'ipv6_mode': 'slaac'}),
        ('mtu', {'mtu': 1279}),
        ('route', {'routes': ('10.0.0.0/24',)}),
        ('route', {'routes': ('0.0.0.0/0,10.0.0.1',)}),
        ('route', {'routes': ('10.0.0.1/24,10.0.0.1',)}),
        ('route', {'routes': ('10.0.0.0/24,fd00:1::1',)}),
        ('route', {'routes': ('10.0.0.0/24,10.0.0.1\nx',)}),
        ('vlan', {'vlan': 5}),
        ('physical_network', {'kind': 'vlan', 'vlan': 5}),
        ('vlan', {'kind': 'vlan', 'vlan': 0, 'physical_network': 'a'}),
        ('vlan', {'kind': 'vlan', 'vlan': 4095, 'physical_network': 'a'}),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, changes: dict[str, object]) -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        plan_v6(**changes)
    assert caught.value.kwargs['field'] == field


def test_a_flat_network_is_the_operators() -> None:
    bare = plan(kind='flat').network
    assert (bare.gateway, bare.dhcp_server, bare.dhcp_start) == (None, None, '10.0.0.1')
    led = plan(kind='flat', gateway='10.0.0.6', cidr_v6='fd00:1::/64', gateway_v6='fd00:1::6')
    assert (led.network.gateway, led.network.gateway_v6) == ('10.0.0.6', 'fd00:1::6')
    assert led.network.ipv6_mode is None
    assert info.server_address_v6(led.network) is None
    assert '10.0.0.6' not in free(led)


def test_without_dhcp_the_gateways_are_ours_all_the_same() -> None:
    led = plan(enable_dhcp=False, cidr_v6='fd00:1::/64', gateway_v6='fd00:1::6').network
    assert (led.dhcp_server, led.ipv6_mode) == (None, None)
    assert (info.server_address(led), info.server_address_v6(led)) == ('10.0.0.1', 'fd00:1::6')
    closed = plan(enable_dhcp=False, cidr_v6='fd00:1::/64').network
    assert info.server_address_v6(closed) is None


def test_a_vlan_network() -> None:
    network = plan(kind='vlan', vlan=4094, physical_network='phys').network
    assert (network.vlan, network.physical_network) == (4094, 'phys')


def test_the_next_free_vlan_of_a_physical_network() -> None:
    taken = [
        samples.network(0, physical_network='a', vlan=100),
        samples.network(1, physical_network='a', vlan=102),
        samples.network(2, physical_network='b', vlan=101),
    ]
    assert network_spec.choose_vlan('a', taken, 100) == 101
    assert network_spec.choose_vlan('b', taken, 100) == 100
    assert network_spec.choose_vlan('a', taken, 102) == 103
    full = [samples.network(0, physical_network='a', vlan=4094)]
    with pytest.raises(exception.InvalidInput):
        network_spec.choose_vlan('a', full, 4094)


@pytest.mark.parametrize(
    ('changes', 'error'),
    [
        ({'cidr_v6': 'fd00:1::/64'}, exception.NetworkOverlap),
        ({'kind': 'vlan', 'physical_network': 'a', 'vlan': 7}, exception.VlanInUse),
        ({'kind': 'vlan', 'physical_network': 'a', 'vlan': 8}, None),
        ({'kind': 'vlan', 'physical_network': 'b', 'vlan': 7}, None),
        ({'physical_network': 'a'}, None),
    ],
)
def test_networks_in_the_way(
    changes: dict[str, object], error: type[exception.NetworkOverlap] | None
) -> None:
    other = samples.network(
        1, cidr_v6='fd00:1::/64', physical_network='a', vlan=7, kind=model.NetworkKind.VLAN
    )
    new = plan(**changes).network
    if error is None:
        network_spec.check_conflict(new, [other])
        return
    with pytest.raises(error) as caught:
        network_spec.check_conflict(new, [other])
    assert 'net-1' in caught.value.message


def test_carving_passes_over_what_others_have() -> None:
    spec = network_spec.NetworkSpec(
        label='n', cidr='10.0.0.0/22', cidr_v6='fd00::/62', kind='vlan', vlan=7
    )
    others = [samples.network(0, cidr='10.0.1.128/25', cidr_v6='fd00::/64')]
    parts = network_spec.carve(spec, 2, 24, others)
    assert [(p.label, p.cidr, p.cidr_v6, p.vlan) for p in parts] == [
        ('n_0', '10.0.0.0/24', 'fd00:0:0:1::/64', 7),
        ('n_1', '10.0.2.0/24', 'fd00:0:0:2::/64', 8),
    ]
    assert [p.cidr for p in network_spec.carve(spec, 3, None, [])] == [
        '10.0.0.0/24',
        '10.0.1.0/24',
        '10.0.2.0/24',
    ]


@pytest.mark.parametrize(
    ('changes', 'count', 'length'),
    [
        ({}, 0, 24),
        ({}, 5, 24),
        ({}, 1, 31),
        ({}, 1, 21),
        ({'cidr': 'x'}, 1, 24),
        ({'gateway': '10.0.0.1'}, 1, 24),
        ({'bridge': 'br0'}, 1, 24),
        ({'cidr_v6': 'fd00::/65'}, 1, 24),
    ],
)
def test_what_cannot_be_carved(changes: dict[str, str], count: int, length: int) -> None:
    values: dict[str, str] = {'label': 'n', 'cidr': '10.0.0.0/22'} | changes
    spec = network_spec.NetworkSpec(**values)  # type: ignore[arg-type]
    with pytest.raises(exception.InvalidInput):
        network_spec.carve(spec, count, length, [])
