"""IPv6 on a host: what guests are told, in each mode, and what nobody else is."""

from __future__ import annotations

from collections.abc import Callable
import json
import pathlib
import sys

import pytest

from nova.db import records
from nova.network import model
from nova.privileged import sysctl as privileged_sysctl
from nova.tests.integration.network.conftest import Guest, Host, run, wait_for
from nova.tests.unit.network import samples

MakeGuest = Callable[[str, str], Guest]
CLIENT = pathlib.Path(__file__).with_name('dhcpv6_client.py')


def network(mode: str, number: int = 0, **changes: object) -> records.Network:
    values: dict[str, object] = {
        'cidr_v6': f'fd00:{number:x}::/64',
        'gateway_v6': f'fd00:{number:x}::1',
        'ipv6_mode': model.Ipv6Mode(mode),
        'dns': ('192.0.2.1', '2001:db8::53'),
    }
    return samples.network(number, **(values | changes))


def nic(number: int, on: records.Network, *addresses: str) -> records.Vif:
    made = samples.vif(number, on)
    own = model.mac_address_v6(str(on.cidr_v6), made.mac)
    v4 = made.addresses if on.cidr is not None else ()
    return samples.vif(number, on, addresses=(*v4, *(addresses or (own,))))


def apply(host: Host, on: records.Network, *nics: records.Vif) -> None:
    state = samples.state(host.options, *nics, networks=(on,))
    assert state.impossible == ()
    assert host.networks.apply(state) == {}


def global_addresses(guest: Guest) -> set[str]:
    (link,) = json.loads(guest.run('ip', '-j', '-6', 'address', 'show', 'dev', 'eth0'))
    return {
        entry['local']
        for entry in link['addr_info']
        if entry['scope'] == 'global' and not entry.get('tentative')
    }


def link_local_works(guest: Guest) -> bool:
    (link,) = json.loads(guest.run('ip', '-j', '-6', 'address', 'show', 'dev', 'eth0'))
    return any(a['scope'] == 'link' and not a.get('tentative') for a in link['addr_info'])


def default_routes(guest: Guest) -> list[str]:
    found = json.loads(guest.run('ip', '-j', '-6', 'route', 'show', 'default'))
    return [route['gateway'] for route in found]


def dhcpv6(guest: Guest, *words: str) -> dict[str, list[str]]:
    wait_for(lambda: link_local_works(guest))
    answer: dict[str, list[str]] = json.loads(guest.run(sys.executable, str(CLIENT), *words))
    return answer


@pytest.mark.parametrize('cidr', ['10.0.0.0/24', None], ids=['dual', 'only-v6'])
@pytest.mark.parametrize('mode', ['slaac', 'stateless'])
def test_a_guest_makes_the_address_that_the_database_says(
    host: Host, guest: MakeGuest, mode: str, cidr: str | None
) -> None:
    on = network(mode) if cidr else network(mode, cidr=None, gateway=None, dhcp_server=None)
    one = nic(1, on)
    apply(host, on, one)
    first = guest(on.bridge, one.mac)

    assert wait_for(lambda: global_addresses(first)) == {one.addresses[-1]}
    assert wait_for(lambda: default_routes(first)) == [model.router_link_local(on.uuid)]
    first.run('busybox', 'ping', '-6', '-c1', '-W5', str(on.gateway_v6))
    if cidr is not None:
        assert (first.lease() or {})['ip'] == one.addresses[0]


def test_a_network_without_a_gateway_gives_no_default_route(host: Host, guest: MakeGuest) -> None:
    on = network('slaac', gateway_v6=None)
    one = nic(1, on)
    apply(host, on, one)
    first = guest(on.bridge, one.mac)

    assert wait_for(lambda: global_addresses(first)) == {one.addresses[-1]}
    first.run('busybox', 'ping', '-6', '-c1', '-W5', 'fd00::1')
    assert default_routes(first) == []


def test_a_network_without_announcements_has_its_gateway(host: Host, guest: MakeGuest) -> None:
    on = network('slaac', ipv6_mode=None, dhcp_server=None)
    one = nic(1, on)
    apply(host, on, one)
    assert host.pid(on.uuid) is None
    first = guest(on.bridge, one.mac)

    first.run('ip', '-6', 'address', 'add', f'{one.addresses[-1]}/64', 'dev', 'eth0', 'nodad')
    first.run('busybox', 'ping', '-6', '-c1', '-W5', str(on.gateway_v6))
    assert default_routes(first) == []
    apply(host, on)
    assert on.bridge not in host.links()


def test_stateless_tells_dns(host: Host, guest: MakeGuest) -> None:
    on = network('stateless')
    one = nic(1, on)
    apply(host, on, one)
    first = guest(on.bridge, one.mac)
    wait_for(lambda: global_addresses(first))

    assert dhcpv6(first, 'information') == {'addresses': [], 'dns': ['2001:db8::53']}


def test_stateful_gives_addresses_to_those_it_knows(host: Host, guest: MakeGuest) -> None:
    on = network('stateful')
    one, two = nic(1, on), nic(2, on, 'fd00::77')
    apply(host, on, one, two)
    first, second = guest(on.bridge, one.mac), guest(on.bridge, two.mac)
    stranger = guest(on.bridge, 'fa:16:3e:99:99:99')
    for one_guest in (first, second, stranger):
        wait_for(lambda one_guest=one_guest: default_routes(one_guest))  # type: ignore[misc]

    given = dhcpv6(first, 'solicit')
    assert given == {'addresses': [one.addresses[-1]], 'dns': ['2001:db8::53']}
    assert dhcpv6(second, 'solicit')['addresses'] == ['fd00::77']
    assert dhcpv6(stranger, 'solicit')['addresses'] == []
    # the announcement leaves no address to the guest
    assert global_addresses(first) == set()


def test_a_nic_that_comes_later_is_served_without_a_new_start(host: Host, guest: MakeGuest) -> None:
    on = network('stateful')
    one, two = nic(1, on), nic(2, on, 'fd00::77')
    apply(host, on, one)
    pid = host.pid(on.uuid)
    apply(host, on, one, two)
    second = guest(on.bridge, two.mac)
    wait_for(lambda: default_routes(second))

    assert dhcpv6(second, 'solicit')['addresses'] == ['fd00::77']
    assert host.pid(on.uuid) == pid


def test_the_bridge_has_the_addresses_that_it_was_given_only(host: Host) -> None:
    on = network('slaac')
    apply(host, on, nic(1, on))
    expected = {'10.0.0.1/24', 'fd00::1/64', f'{model.router_link_local(on.uuid)}/64'}
    assert host.addresses(on.bridge) == expected


def test_another_apply_changes_nothing(host: Host) -> None:
    on = network('slaac')
    apply(host, on, nic(1, on))
    before = (host.links(), host.pid(on.uuid), run('ip', '-6', 'rule'))
    apply(host, on, nic(1, on))
    assert (host.links(), host.pid(on.uuid), run('ip', '-6', 'rule')) == before


@pytest.mark.parametrize('gateway', ['fd00::1', None])
def test_nothing_stays_of_it(host: Host, gateway: str | None) -> None:
    before = (set(host.links()), run('ip', '-6', 'rule'), run('ip', '-6', 'route'))
    on = network('slaac', gateway_v6=gateway)
    apply(host, on, nic(1, on))
    apply(host, on)
    assert (set(host.links()), run('ip', '-6', 'rule'), run('ip', '-6', 'route')) == before


def test_a_network_without_a_gateway_leads_nowhere(host: Host, guest: MakeGuest) -> None:
    """Whatever route its guest gives itself, the host forwards nothing for it, as it does for a
    network that has it as a gateway."""
    led, closed = network('slaac', 0), network('slaac', 1, gateway_v6=None)
    one, two = nic(1, led), nic(2, closed)
    state = samples.state(host.options, one, two, networks=(led, closed))
    assert host.networks.apply(state) == {}
    run('ip', 'link', 'add', 'away0', 'type', 'veth', 'peer', 'name', 'away1')
    run('ip', 'link', 'set', 'away1', 'up')
    run('ip', 'address', 'add', '2001:db8::1/64', 'dev', 'away0', 'nodad')
    run('ip', 'link', 'set', 'away0', 'up')
    inside, outside = guest(led.bridge, one.mac), guest(closed.bridge, two.mac)
    for one_guest in (inside, outside):
        wait_for(lambda one_guest=one_guest: global_addresses(one_guest))  # type: ignore[misc]
    router = model.router_link_local(closed.uuid)
    outside.run('ip', '-6', 'route', 'add', 'default', 'via', router, 'dev', 'eth0')

    for one_guest in (outside, inside):
        one_guest.run('busybox', 'ping', '-6', '-c1', '-W1', '2001:db8::99', check=False)
        asked = '2001:db8::99' in run('ip', '-6', 'neighbour', 'show', 'dev', 'away0')
        assert asked == (one_guest is inside)


def test_a_host_goes_on_hearing_its_own_router(host: Host) -> None:
    run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1')
    on = network('slaac')
    apply(host, on, nic(1, on))
    setting = pathlib.Path('/proc/sys/net/ipv6/conf/up0/accept_ra')
    assert setting.read_text().strip() == '2'
    assert privileged_sysctl.ensure_forwarding_v6() is False
