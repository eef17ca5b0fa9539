"""Bridges: what is made, what is left alone, what is removed."""

from __future__ import annotations

import pathlib

import pytest

from nova import exception
from nova.network.linux import bridge
from nova.network.topology import BridgeLink
from nova.privileged import link as privileged_link
from nova.tests.integration.network.conftest import Host, run


def is_pinned(host: Host, name: str) -> bool:
    """Whether the MAC address was set, so that no port's replaces it (NET_ADDR_SET)."""
    path = f'/sys/class/net/{name}/addr_assign_type'
    return run('ip', 'netns', 'exec', host.name, 'cat', path).strip() == '3'


def test_a_bridge_is_made_once(host: Host) -> None:
    link = BridgeLink(name='brt0', mtu=1400)

    bridge.ensure_bridges([link])
    first = host.links()
    bridge.ensure_bridges([link])

    assert host.links() == first
    made = first['brt0']
    assert made['linkinfo']['info_kind'] == 'bridge'
    assert made['linkinfo']['info_data']['forward_delay'] == 0
    assert made['linkinfo']['info_data']['stp_state'] == 0
    assert made['mtu'] == 1400
    assert 'UP' in made['flags']


def test_its_mac_address_does_not_follow_its_ports(host: Host) -> None:
    bridge.ensure_bridges([BridgeLink(name='brt0')])
    mac = host.links()['brt0']['address']
    low = ('address', '00:00:00:00:00:01')
    run('ip', 'link', 'add', 'name', 'va', *low, 'type', 'veth', 'peer', 'vb')
    run('ip', 'link', 'set', 'va', 'master', 'brt0', 'up')

    assert host.links()['brt0']['address'] == mac
    assert mac.startswith('02:')
    assert is_pinned(host, 'brt0')


def test_guests_cannot_reach_the_host_by_ipv6(host: Host) -> None:
    bridge.ensure_bridges([BridgeLink(name='brt0')])
    run('ip', 'link', 'add', 'va', 'type', 'veth', 'peer', 'vb')
    run('ip', 'link', 'set', 'vb', 'up')
    run('ip', 'link', 'set', 'va', 'master', 'brt0', 'up')

    assert host.addresses('brt0') == set()
    assert pathlib.Path('/proc/thread-self/net/if_inet6').read_text().count('brt0') == 0


def test_a_host_that_routes_does_not_route_for_guests(host: Host) -> None:
    """Until its network service has it do so."""
    run('sysctl', '-qw', 'net.ipv4.ip_forward=1')

    bridge.ensure_bridges([BridgeLink(name='brt0')])

    assert run('sysctl', '-n', 'net.ipv4.conf.brt0.forwarding').strip() == '0'


def test_a_mtu_that_changed_is_set_again(host: Host) -> None:
    bridge.ensure_bridges([BridgeLink(name='brt0', mtu=1400)])
    bridge.ensure_bridges([BridgeLink(name='brt0', mtu=1300)])

    assert host.links()['brt0']['mtu'] == 1300


def test_a_bridge_of_ours_is_removed(host: Host) -> None:
    bridge.ensure_bridges([BridgeLink(name='brt0'), BridgeLink(name='brt1')])

    assert bridge.remove_bridge('brt0') is True
    assert bridge.remove_bridge('brt0') is False
    assert set(host.links()) == {'lo', 'brt1'}


def test_a_bridge_of_the_operator_is_used_and_kept(host: Host) -> None:
    run('ip', 'link', 'add', 'brt0', 'type', 'bridge', 'forward_delay', '700')
    before = host.links()
    # All but this: a guest on it must not teach it forged addresses.
    before['brt0']['linkinfo']['info_data']['no_linklocal_learn'] = 1

    bridge.ensure_bridges([BridgeLink(name='brt0', mtu=1400)])

    assert host.links() == before
    assert bridge.remove_bridge('brt0') is False
    assert 'brt0' in host.links()


def test_the_way_out_becomes_a_port_and_gives_its_mac_address(host: Host) -> None:
    run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'far')
    link = BridgeLink(name='brt0', physical_interface='up0')

    bridge.ensure_bridges([link])
    links = host.links()
    bridge.ensure_bridges([link])

    assert links['up0']['master'] == 'brt0'
    assert 'UP' in links['up0']['flags']
    assert links['brt0']['address'] == links['up0']['address']
    assert host.links() == links
    bridge.remove_bridge('brt0')
    assert 'master' not in host.links()['up0']


def test_a_way_out_with_an_address_is_refused(host: Host) -> None:
    run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'far')
    run('ip', 'address', 'add', '192.0.2.9/24', 'dev', 'up0')

    with pytest.raises(exception.NetworkSetupFailed, match=r'192\.0\.2\.9'):
        bridge.ensure_bridges([BridgeLink(name='brt0', physical_interface='up0')])

    assert 'brt0' not in host.links()


def test_a_way_out_of_another_bridge_is_refused(host: Host) -> None:
    run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'far')
    bridge.ensure_bridges([BridgeLink(name='brt0', physical_interface='up0')])

    with pytest.raises(exception.NetworkSetupFailed, match='brt0'):
        bridge.ensure_bridges([BridgeLink(name='brt1', physical_interface='up0')])

    assert 'brt1' not in host.links()


def test_a_missing_way_out_is_named(host: Host) -> None:
    with pytest.raises(exception.NetworkSetupFailed, match='there is no device up0'):
        bridge.ensure_bridges([BridgeLink(name='brt0', physical_interface='up0')])


def test_a_device_of_another_kind_is_refused(host: Host) -> None:
    run('ip', 'link', 'add', 'brt0', 'type', 'veth', 'peer', 'far')

    with pytest.raises(exception.NetworkSetupFailed, match='not a bridge'):
        bridge.ensure_bridges([BridgeLink(name='brt0')])


def test_an_address_is_added_and_removed_once(host: Host) -> None:
    bridge.ensure_bridges([BridgeLink(name='brt0')])

    assert privileged_link.ensure_address('brt0', '10.0.0.1', 24) is True
    assert privileged_link.ensure_address('brt0', '10.0.0.1', 24) is False
    assert host.addresses('brt0') == {'10.0.0.1/24'}
    privileged_link.remove_address('brt0', '10.0.0.1', 24)
    privileged_link.remove_address('brt0', '10.0.0.1', 24)
    assert host.addresses('brt0') == set()
    privileged_link.remove_address('gone', '10.0.0.1', 24)
