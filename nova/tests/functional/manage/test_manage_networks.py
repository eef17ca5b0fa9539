"""``nova-manage network`` as an operator types it."""

from __future__ import annotations

import dataclasses

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.network import api as network_api
from nova.network import dhcp, topology
from nova.tests import stores
from nova.tests.functional.manage import commands

command = commands.command
API = network_api.API(max_nics_per_server=3)
HOST = 'net1'


def attach(network: records.Network, address: str | None = None) -> records.Instance:
    instance = stores.store_instance(stores.store_flavor(stores.new_uuid()))
    db.vifs_allocate(instance.uuid, stores.build_nics(network, fixed_ips=[address]), 0)
    return instance


# --- carving

CARVE = ('create', '--label', 'row', '--range', '10.9.0.0/24')


def test_networks_are_carved_out_of_ranges(command: commands.Command) -> None:
    command.answer('network', 'create', '--label', 'first', '--range', '10.9.0.16/28')
    more = ('--num-networks', '3', '--network-size', '16', '--range-v6', 'fd00:9::/60')
    vlans = ('--kind', 'vlan', '--physical-network', 'trunk', '--vlan', '700', '--dns', '192.0.2.1')

    made = command.answer('network', *CARVE, *more, *vlans)

    columns = ('label', 'cidr', 'gateway', 'cidr_v6', 'vlan')
    assert [tuple(network[column] for column in columns) for network in made] == [
        ('row_0', '10.9.0.0/28', '10.9.0.1', 'fd00:9::/64', 700),
        ('row_1', '10.9.0.32/28', '10.9.0.33', 'fd00:9:0:1::/64', 701),
        ('row_2', '10.9.0.48/28', '10.9.0.49', 'fd00:9:0:2::/64', 702),
    ]
    stored = {network.uuid: network for network in db.network_list()}
    assert {stored[network['uuid']].dns for network in made} == {('192.0.2.1',)}
    assert len({stored[network['uuid']].bridge for network in made}) == 3


def test_what_cannot_be_carved_makes_no_network(command: commands.Command) -> None:
    too_many = ('--num-networks', '17', '--network-size', '16')
    refused = command.refusal('network', *CARVE, *too_many)
    assert refused.endswith("Invalid cidr '10.9.0.0/24': only 16 networks of /28 are free in it")
    # the second would have VLAN 4095, which there is not; the first goes again
    vlan = ('--kind', 'vlan', '--physical-network', 'trunk', '--vlan', '4094')
    refused = command.refusal('network', *CARVE, *vlan, '--num-networks', '2')
    assert 'vlan: 4095 is not from 1 to 4094' in refused

    spec = network_api.NetworkSpec(label='row', cidr='10.9.0.0/24')
    for values, count, length, field in (
        ({}, 2, 23, 'network_size'),
        ({}, 0, None, 'num_networks'),
        ({'gateway': '10.9.0.1'}, 2, None, 'gateway'),
        ({'bridge': 'br9'}, 2, None, 'bridge'),
    ):
        whole = dataclasses.replace(spec, **values)  # type: ignore[arg-type]
        with pytest.raises(exception.InvalidInput, match=field):
            API.create_networks(whole, count, length)
    assert db.network_list() == ()


# --- changes


def test_what_can_be_changed_of_a_network(command: commands.Command) -> None:
    network = stores.store_network('10.0.0.0/24')
    command.answer(
        'network',
        *('modify', network.uuid, '--label', 'blue', '--mtu', '1400', '--project', 'p'),
        *('--dns', '192.0.2.7', '--dns', '192.0.2.8', '--route', '198.51.100.0/24,10.0.0.9'),
    )
    changed = db.network_get(network.uuid)
    assert (changed.label, changed.mtu, changed.project_id) == ('blue', 1400, 'p')
    assert changed.dns == ('192.0.2.7', '192.0.2.8')
    assert [(r.cidr, r.gateway) for r in changed.routes] == [('198.51.100.0/24', '10.0.0.9')]

    gone = ('--dns', 'none', '--route', 'none', '--disassociate-project')
    command.answer('network', 'modify', network.uuid, *gone)
    changed = db.network_get(network.uuid)
    assert (changed.dns, changed.routes, changed.project_id) == ((), (), None)
    assert (changed.label, changed.mtu) == ('blue', 1400)

    # one that is right beside one that is wrong
    wrong = ('--label', 'green', '--gateway', '10.0.0.256')
    assert 'Invalid gateway' in command.refusal('network', 'modify', network.uuid, *wrong)


def test_another_gateway(command: commands.Command) -> None:
    """The DHCP server stays where it is, and tells its clients of the router."""
    network = db.network_claim_host(stores.store_network('10.0.0.0/29').uuid, HOST)
    old, new = str(network.gateway), '10.0.0.6'
    attach(network)
    assert old == network.dhcp_server

    command.answer('network', 'modify', network.uuid, '--gateway', new)

    changed = db.network_get(network.uuid)
    assert (changed.gateway, changed.dhcp_server) == (new, old)
    (planned,) = plan(changed).networks
    assert not planned.forwards
    told = dhcp.render_config(planned.dhcp)
    assert f'dhcp-option=tag:routed,option:router,{new}\n' in told
    # the metadata service is still where the DHCP server is
    metadata = f'169.254.169.254/32,{old}'
    assert f'dhcp-option=option:classless-static-route,{metadata}\n' in told

    command.answer('network', 'modify', network.uuid, '--gateway', old)
    changed = db.network_get(network.uuid)
    assert changed.gateway == old
    assert plan(changed).networks[0].forwards
    # nobody gets the other one, as some guests may not have heard that it is none any more
    held = [attach(changed) for _ in range(3)]
    with pytest.raises(exception.NoMoreFixedIps):
        attach(changed)
    with pytest.raises(exception.FixedIpInvalid, match='reserved'):
        attach(changed, new)
    assert len(held) == 3


def test_a_gateway_that_guests_could_not_follow(command: commands.Command) -> None:
    network = stores.store_network('10.0.0.0/29')
    still, v6, wide = (
        API.create_network(network_api.NetworkSpec(label='net', **values))
        for values in (
            {'cidr': '10.1.0.0/29', 'enable_dhcp': False},
            {'cidr': None, 'cidr_v6': 'fd00:1::/64'},
            {'cidr': '10.2.0.0/29', 'multi_host': True},
        )
    )
    instance, other = attach(network, '10.0.0.4'), attach(still)
    before = db.network_list()

    taken = command.refusal('network', 'modify', network.uuid, '--gateway', '10.0.0.4')
    assert '10.0.0.4 is already in use' in taken
    for which, gateway, text in (
        (network, '10.0.0.7', 'Invalid gateway'),
        (network, '10.0.1.1', 'Invalid gateway'),
        (network, 'none', 'in use by 1 interface'),
        (still, '10.1.0.6', 'in use by 1 interface'),
        (v6, '10.3.0.1', 'no IPv4 range'),
        (wide, '10.2.0.6', 'each host is the gateway'),
    ):
        with pytest.raises(exception.NovaException, match=text):
            API.modify_network(which.uuid, gateway=gateway)
    assert db.network_list() == before

    for attached in (instance, other):
        db.vifs_deallocate(attached.uuid)
    assert command.answer('network', 'modify', network.uuid, '--gateway', 'none')['gateway'] is None
    assert API.modify_network(still.uuid, gateway='10.1.0.6').gateway == '10.1.0.6'


def plan(network: records.Network) -> topology.HostState:
    options = topology.HostOptions(
        host=HOST, run_path='/run', dhcp_domain='novalocal', dhcp_lease_time_s=600
    )
    return topology.plan_host([network], db.vifs_of_networks([network.uuid]), options)
