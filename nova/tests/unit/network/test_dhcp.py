from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova import exception
from nova.network import dhcp, model
from nova.privileged import dnsmasq as privileged_dnsmasq
from nova.tests.unit.network import samples

Golden = Callable[[str, str], None]


def server(count: int, **changes: object) -> dhcp.Server:
    network = samples.network(0, **changes)
    nics = [samples.vif(n, network, default_route=n % 2 == 0) for n in range(count)]
    nics = nics or [samples.vif(0, network, addresses=())]
    state = samples.state(samples.options(), *nics, networks=(network,))
    return state.networks[0].dhcp


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('full', {}),
        ('bare', {'gateway': None, 'dns': (), 'mtu': None}),
        ('router-elsewhere', {'gateway': '10.0.0.2'}),
    ],
)
def test_config(golden: Golden, name: str, changes: dict[str, object]) -> None:
    golden(f'network/dnsmasq-{name}.conf', dhcp.render_config(server(1, **changes)))


V6 = {
    'cidr_v6': 'fd00:1::/64',
    'gateway_v6': 'fd00:1::1',
    'dns': ('192.0.2.53', '2001:db8::53', '2001:db8::54'),
    'routes': (
        model.Route(cidr='192.0.2.0/24', gateway='10.0.0.5'),
        model.Route(cidr='2001:db8::/32', gateway='fd00:1::5'),
    ),
}


@pytest.mark.parametrize('mode', list(model.Ipv6Mode))
def test_config_of_both_families(golden: Golden, mode: model.Ipv6Mode) -> None:
    config = dhcp.render_config(server(1, **V6, ipv6_mode=mode))
    golden(f'network/dnsmasq-dual-{mode.value}.conf', config)
    privileged_dnsmasq.check_config(config, '/run/nova')


def test_config_of_ipv6_only(golden: Golden) -> None:
    changes: dict[str, object] = {'cidr': None, 'gateway': None, 'dhcp_server': None}
    changes |= {'cidr_v6': 'fd00:1::/64', 'ipv6_mode': model.Ipv6Mode.STATEFUL, 'dns': ()}
    network = samples.network(0, **changes)
    nic = samples.vif(0, network, addresses=('fd00:1::5',))
    state = samples.state(samples.options(), nic, networks=(network,))
    made = state.networks[0]
    golden('network/dnsmasq-v6.conf', dhcp.render_config(made.dhcp))
    assert dhcp.render_hosts(made.dhcp.reservations) == (
        'fa:16:3e:00:00:00,set:routed,[fd00:1::5],vm-0',
    )
    assert (made.address, made.forwards, made.forwards_v6) == (None, False, False)
    assert made.addresses_v6 == (f'{model.router_link_local(network.uuid)}/64', 'fd00:1::1/64')


def test_a_host_in_the_way_by_its_ipv6_address_needs_a_new_start() -> None:
    wanted = ['m2,10.0.0.3,[fd00::5],vm']
    assert dhcp.plan_update(['m1,10.0.0.2,[fd00::5],vm'], wanted) == dhcp.Update(restart=True)
    assert dhcp.plan_update(['m1,10.0.0.2,[fd00::6],vm'], wanted).add == tuple(wanted)


@pytest.mark.parametrize('count', [0, 1, 2, 3, 8])
def test_hosts(golden: Golden, count: int) -> None:
    lines = dhcp.render_hosts(server(count).reservations)
    golden(f'network/hosts-{count}', ''.join(f'{line}\n' for line in lines))


@pytest.mark.parametrize(
    'changes',
    [
        {'network_id': 'a\ndhcp-script=/bin/sh'},
        {'interface': 'br0,br1'},
        {'folder': '/run/a b'},
        {'domain': ''},
        {'domain': 'a,b'},
        {'gateway': '10.0.0.1\n'},
        {'dns': ('192.0.2.1', '"')},
    ],
)
def test_a_value_that_would_mean_something_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(exception.InvalidName):
        dhcp.render_config(dataclasses.replace(server(1), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize('field', ['mac', 'address', 'hostname'])
@pytest.mark.parametrize('value', ['a,b', 'a\nb', 'a b', 'a#b', 'é', ''])
def test_a_reservation_that_would_mean_something_else_is_refused(field: str, value: str) -> None:
    changes: dict[str, Any] = {field: value}
    reservation = dataclasses.replace(server(1).reservations[0], **changes)

    with pytest.raises(exception.InvalidName):
        dhcp.render_hosts([reservation])


def test_the_helper_lets_it_through() -> None:
    privileged_dnsmasq.check_config(dhcp.render_config(server(1)), '/run/nova')


# --- updates


def test_nothing_to_do() -> None:
    assert dhcp.plan_update(['a,1', 'b,2'], ['b,2', 'a,1']) == dhcp.Update()


def test_new_lines_are_added() -> None:
    assert dhcp.plan_update(['a,1'], ['a,1', 'b,2', 'c,3']) == dhcp.Update(add=('b,2', 'c,3'))


def test_a_line_that_is_not_wanted_stays_while_it_is_not_in_the_way() -> None:
    assert dhcp.plan_update(['a,1', 'b,2'], ['a,1']) == dhcp.Update()
    assert dhcp.plan_update(['a,1', 'b,2'], ['a,1', 'c,3']) == dhcp.Update(add=('c,3',))


@pytest.mark.parametrize(
    ('known', 'wanted'),
    [
        (['a,1'], ['b,1']),
        (['a,1'], ['a,2']),
        (['a,set:routed,1,vm'], ['b,1,vm']),
        (['a,1,vm'], ['a,1,renamed']),
        (['a,1'], ['a,set:routed,1']),
    ],
)
def test_a_line_in_the_way_takes_a_restart(known: list[str], wanted: list[str]) -> None:
    assert dhcp.plan_update(known, wanted) == dhcp.Update(restart=True)


@given(
    st.lists(st.dictionaries(st.integers(0, 9), st.integers(0, 9), max_size=8), max_size=12),
)
def test_any_history_ends_with_every_wanted_host_served(steps: list[dict[int, int]]) -> None:
    """What a server was told never holds two lines with one address or MAC address, and always
    holds all that is wanted."""
    told: list[str] = []
    for step in steps:
        by_address = {address: mac for mac, address in step.items()}
        wanted = [f'm{mac},{address}' for address, mac in by_address.items()]
        update = dhcp.plan_update(told, wanted)
        told = list(wanted) if update.restart else told + list(update.add)

        assert set(wanted) <= set(told)
        assert len({line.split(',')[0] for line in told}) == len(told)
        assert len({line.split(',')[1] for line in told}) == len(told)
