"""Bridges that more than one holds."""

from __future__ import annotations

import json

from nova.network import topology
from nova.network.linux import links
from nova.tests.integration.network.conftest import Host, run
from nova.tests.unit.network import samples

A, B = samples.network(0), samples.network(1)


def bridges() -> set[str]:
    return {
        link['ifname'] for link in json.loads(run('ip', '-j', 'link')) if link['ifname'] != 'lo'
    }


def hold(host: Host, *names: str) -> links.HostLinks:
    """As the compute service does before guests are plugged in."""
    made = links.HostLinks(str(host.run_path))
    made.ensure(links.GUESTS, [topology.BridgeLink(name=name) for name in names])
    return made


def test_bridges_go_when_no_guest_needs_them(host: Host) -> None:
    """Another process would do the same: what is held is noted, not remembered."""
    hold(host, 'br-one', 'br-two')

    links.HostLinks(str(host.run_path)).keep_only(links.GUESTS, lambda: {'br-two'})

    assert bridges() == {'br-two'}
    links.HostLinks(str(host.run_path)).keep_only(links.GUESTS, lambda: ())
    assert bridges() == set()
    assert list((host.run_path / 'links').iterdir()) == []


def test_a_bridge_that_the_network_is_served_on_stays(host: Host) -> None:
    state = samples.state(host.options, samples.vif(1, A), networks=(A,))
    assert host.networks.apply(state) == {}
    guests = hold(host, A.bridge)

    guests.keep_only(links.GUESTS, lambda: ())

    assert bridges() == {A.bridge}
    assert host.networks.apply(topology.HostState()) == {}
    assert bridges() == set()


def test_a_bridge_that_guests_are_in_stays_and_loses_what_was_served(host: Host) -> None:
    """A network that moves to another host takes no guest off its bridge."""
    guests = hold(host, A.bridge)
    index = host.links()[A.bridge]['ifindex']
    state = samples.state(host.options, samples.vif(1, A), networks=(A,))
    assert host.networks.apply(state) == {}
    assert host.addresses(A.bridge) == {'10.0.0.1/24'}

    assert host.networks.apply(topology.HostState()) == {}

    assert host.links()[A.bridge]['ifindex'] == index
    assert host.links()[A.bridge]['addr_info'] == []
    guests.keep_only(links.GUESTS, lambda: ())
    assert bridges() == set()


def test_a_bridge_of_somebody_else_stays(host: Host) -> None:
    run('ip', 'link', 'add', 'br-theirs', 'type', 'bridge')
    guests = hold(host, 'br-theirs')

    guests.keep_only(links.GUESTS, lambda: ())

    assert bridges() == {'br-theirs'}


def test_nobody_is_asked_who_holds_nothing(host: Host) -> None:
    def wanted() -> set[str]:
        raise AssertionError('there is nothing to give up')

    links.HostLinks(str(host.run_path)).keep_only(links.GUESTS, wanted)
