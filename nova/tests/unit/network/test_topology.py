from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova import exception
from nova.network import dhcp, info, topology
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
