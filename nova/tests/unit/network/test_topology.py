from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova import exception
from nova.network import dhcp, info, model, topology
from nova.tests.unit.network import samples

OPTIONS = samples.options(physical_networks={'physnet1': 'eth1'})


def test_the_whole_state_of_a_host() -> None:
    """The DHCP server of an odd network is not its gateway (see samples), so that the host is not
    either."""
    a, b = samples.network(0, physical_network='physnet1'), samples.network(1)
    one, two = samples.vif(1, a), samples.vif(2, b, index=1, default_route=False)
    three = samples.vif(3, a, hostname='VM', addresses=('10.0.0.50', '10.0.0.51'))

    assert samples.state(OPTIONS, one, two, three, networks=(b, a)) == topology.HostState(
        networks=(
            topology.HostNetwork(
                uuid=a.uuid,
                label='net-0',
                link=topology.BridgeLink(name='brt0', physical_interface='eth1', mtu=1400),
                address='10.0.0.1/24',
                forwards=True,
                dhcp=dhcp.Server(
                    network_id=a.uuid,
                    interface='brt0',
                    folder=f'/run/nova/networks/{a.uuid}',
                    cidr='10.0.0.0/24',
                    gateway='10.0.0.1',
                    dns=('192.0.2.0', '198.51.100.0'),
                    mtu=1400,
                    domain='novalocal',
                    lease_time_s=86400,
                    lease_max=256,
                    reservations=(
                        dhcp.Reservation(
                            mac=one.mac, address='10.0.0.11', default_route=True, hostname='vm-1'
                        ),
                        dhcp.Reservation(
                            mac=three.mac, address='10.0.0.50', default_route=True, hostname='vm'
                        ),
                    ),
                ),
            ),
            topology.HostNetwork(
                uuid=b.uuid,
                label='net-1',
                link=topology.BridgeLink(name='brt1', mtu=1401),
                address='10.1.0.2/24',
                forwards=False,
                dhcp=dhcp.Server(
                    network_id=b.uuid,
                    interface='brt1',
                    folder=f'/run/nova/networks/{b.uuid}',
                    cidr='10.1.0.0/24',
                    gateway='10.1.0.1',
                    dns=('192.0.2.1', '198.51.100.1'),
                    mtu=1401,
                    domain='novalocal',
                    lease_time_s=86400,
                    lease_max=256,
                    reservations=(
                        dhcp.Reservation(
                            mac=two.mac, address='10.1.0.12', default_route=False, hostname='vm-2'
                        ),
                    ),
                    routes=(model.Route(cidr='169.254.169.254/32', gateway='10.1.0.2'),),
                ),
            ),
        )
    )


def test_what_is_not_wanted() -> None:
    empty, elsewhere, nowhere = (
        samples.network(0),
        samples.network(1, host='net2'),
        samples.network(2, host=None),
    )
    nics = [samples.vif(1, elsewhere), samples.vif(2, nowhere)]

    state = samples.state(OPTIONS, *nics, networks=(empty, elsewhere, nowhere))

    assert state == topology.HostState()


def test_a_network_that_is_impossible_does_not_stop_the_others() -> None:
    bad, good = samples.network(0, physical_network='physnet9'), samples.network(1)

    state = samples.state(OPTIONS, samples.vif(1, bad), samples.vif(2, good), networks=(bad, good))

    assert [network.uuid for network in state.networks] == [good.uuid]
    ((uuid, reason),) = state.impossible
    assert uuid == bad.uuid
    assert 'physnet9' in reason


@pytest.mark.parametrize('name', ['', 'a\nb', 'a,b', 'x' * 64, 'größe'])
def test_a_bad_hostname_costs_its_guest_the_name_only(name: str) -> None:
    network = samples.network(0)
    bad, good = samples.vif(1, network, hostname=name), samples.vif(2, network)

    state = samples.state(OPTIONS, bad, good, networks=(network,))

    assert [r.hostname for r in state.networks[0].dhcp.reservations] == [None, 'vm-2']


def test_a_network_without_a_gateway_is_not_forwarded() -> None:
    network = samples.network(0, gateway=None)

    state = samples.state(OPTIONS, samples.vif(1, network), networks=(network,))

    assert state.networks[0].forwards is False


@pytest.mark.parametrize(
    ('changes', 'gateway'),
    [
        ({}, None),
        ({'gateway': None}, '10.0.0.1'),
        ({'gateway': '10.0.0.9'}, '10.0.0.1'),
        (
            {
                'cidr': None,
                'gateway': None,
                'dhcp_server': None,
                'cidr_v6': 'fd00::/64',
                'ipv6_mode': model.Ipv6Mode.STATEFUL,
            },
            None,
        ),
    ],
    ids=['we-are-the-gateway', 'no-gateway', 'another-gateway', 'no-ipv4'],
)
def test_metadata_is_reached_where_the_default_route_does_not_lead_to_it(
    changes: dict[str, object], gateway: str | None
) -> None:
    network = samples.network(0, routes=(model.Route(cidr='10.9.0.0/24', gateway='10.0.0.7'),))
    network = dataclasses.replace(network, **changes)  # type: ignore[arg-type]
    nic = samples.vif(1, network, addresses=('10.0.0.11',))

    (served,) = samples.state(OPTIONS, nic, networks=(network,)).networks

    assert served.dhcp.routes[0] == network.routes[0]
    assert [(r.cidr, r.gateway) for r in served.dhcp.routes[1:]] == (
        [] if gateway is None else [('169.254.169.254/32', gateway)]
    )


def test_every_host_serves_its_own_guests_of_a_multi_host_network() -> None:
    """Each has addresses of its own, of either family; nobody's is another's."""
    network = samples.network(
        0,
        multi_host=True,
        host=None,
        hosts={'one': '10.0.0.7', 'two': '10.0.0.8'},
        cidr_v6='fd00::/64',
        gateway_v6='fd00::1',
        ipv6_mode=model.Ipv6Mode.SLAAC,
    )
    nics = [samples.vif(n, network, host=host) for n, host in enumerate(('one', 'two', 'three'))]

    def served(host: str) -> tuple[topology.HostNetwork, ...]:
        options = samples.options(host=host)
        return samples.state(options, *nics, networks=(info.on_host(network, host),)).networks

    (one,), (two,) = served('one'), served('two')
    assert served('three') == ()
    assert [(n.address, n.dhcp.gateway, n.forwards) for n in (one, two)] == [
        ('10.0.0.7/24', '10.0.0.7', True),
        ('10.0.0.8/24', '10.0.0.8', True),
    ]
    assert [[r.mac for r in n.dhcp.reservations] for n in (one, two)] == [
        [nics[0].mac],
        [nics[1].mac],
    ]
    assert len({*one.addresses_v6, *two.addresses_v6}) == 4
    assert (one.forwards_v6, two.forwards_v6) == (True, True)


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=8))
def test_the_plan_depends_on_no_order(order: list[int], places: list[int]) -> None:
    networks = [samples.network(n) for n in range(5)]
    nics = [samples.vif(i, networks[place]) for i, place in enumerate(places)]

    state = samples.state(OPTIONS, *nics, networks=tuple(networks[n] for n in order))

    assert state == samples.state(OPTIONS, *nics, networks=tuple(networks))
    assert [n.uuid for n in state.networks] == [networks[n].uuid for n in sorted(set(places))]
    served = [r.mac for n in state.networks for r in n.dhcp.reservations]
    assert sorted(served) == sorted(nic.mac for nic in nics)


def test_links_are_one_for_each_bridge() -> None:
    a = samples.network(0, physical_network='physnet1')
    b = samples.network(1, mtu=None)
    networks = [info.build_network(n) for n in (b, a, b)]

    assert topology.plan_links(networks, {'physnet1': 'eth1'}) == (
        topology.BridgeLink(name='brt1'),
        topology.BridgeLink(name='brt0', physical_interface='eth1', mtu=1400),
    )


def test_a_link_without_its_way_out_is_an_error() -> None:
    network = info.build_network(samples.network(0, physical_network='physnet1'))

    with pytest.raises(exception.NetworkSetupFailed, match='physnet1'):
        topology.plan_links([network], {})
