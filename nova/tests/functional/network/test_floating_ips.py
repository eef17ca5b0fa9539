"""Floating IPs on a real database."""

from __future__ import annotations

from collections.abc import Sequence
import concurrent.futures
from typing import Any

import pytest

from nova import context as nova_context
from nova import exception, quota
from nova.db import api as db
from nova.db import records, session
from nova.network import api as network_api
from nova.network import floating_ips, model
from nova.tests import stores

NETWORKS = network_api.API(max_nics_per_server=8)
CONTEXT = nova_context.RequestContext(project_id='red', user_id='u')
OTHER = nova_context.RequestContext(project_id='blue', user_id='u')


class Hosts:
    """Notes which networks were brought in line."""

    def __init__(self) -> None:
        self.refreshed: list[tuple[str, tuple[str, ...]]] = []
        self.broken = False

    def __call__(
        self, context: nova_context.RequestContext, *, host: str, network_uuids: Sequence[str]
    ) -> None:
        if self.broken:
            raise exception.NetworkSetupFailed(network='n', reason='broken')
        self.refreshed.append((host, tuple(network_uuids)))


@pytest.fixture
def hosts() -> Hosts:
    return Hosts()


@pytest.fixture
def api(database: session.Database, hosts: Hosts) -> floating_ips.API:
    db.floating_ips_create(*floating_ips.plan_pool('nova', '192.0.2.8/30'))
    return floating_ips.API(quota.Quotas({'floating_ips': 3}), refresh=hosts)


@pytest.fixture
def flavor(database: session.Database) -> records.Flavor:
    return stores.store_flavor()


def make_network(number: int, **options: Any) -> records.Network:
    network = NETWORKS.create_network(
        network_api.NetworkSpec(label=f'net-{number}', cidr=f'10.{number}.0.0/24', **options)
    )
    return db.network_claim_host(network.uuid, f'host{number}')


def make_nics(
    flavor: records.Flavor, seed: int, *networks: records.Network, default: int = 0
) -> tuple[records.Instance, model.NetworkInfo]:
    instance = stores.store_instance(flavor)
    wanted = [
        records.WantedNic(
            uuid=f'{seed:08x}-0000-4000-8000-{index:012x}',
            index=index,
            network_uuid=network.uuid,
            mac=f'fa:16:3e:00:{seed:02x}:{index:02x}',
            default_route=index == default,
        )
        for index, network in enumerate(networks)
    ]
    db.vifs_allocate(instance.uuid, wanted, 0)
    return instance, NETWORKS.network_infos([instance.uuid])[instance.uuid]


def test_from_the_pool_and_back(api: floating_ips.API) -> None:
    held = api.allocate(CONTEXT, None)

    assert (held.address, held.pool, held.fixed_ip) == ('192.0.2.8', 'nova', None)
    assert api.list_floating_ips(CONTEXT) == (held,)
    assert api.list_floating_ips(OTHER) == ()
    with pytest.raises(exception.FloatingIpNotFound):
        api.get_floating_ip(OTHER, str(held.id))
    with pytest.raises(exception.FloatingIpNotFound):
        api.release(OTHER, str(held.id))
    api.release(CONTEXT, str(held.id))
    assert api.list_floating_ips(CONTEXT) == ()


@pytest.mark.parametrize('number', ['', 'x', '-1', '1' * 40, '7777'])
def test_a_number_that_is_none(api: floating_ips.API, number: str) -> None:
    with pytest.raises(exception.FloatingIpNotFound):
        api.get_floating_ip(CONTEXT, number)


def test_pools_end(api: floating_ips.API) -> None:
    with pytest.raises(exception.FloatingIpPoolNotFound):
        api.allocate(CONTEXT, 'elsewhere')
    for context in (CONTEXT, CONTEXT, OTHER, OTHER):
        api.allocate(context, 'nova')
    with pytest.raises(exception.NoMoreFloatingIps):
        api.allocate(OTHER, 'nova')


def test_the_quota_holds_under_races(api: floating_ips.API) -> None:
    def take(_: int) -> str | None:
        try:
            return api.allocate(CONTEXT, 'nova').address
        except exception.QuotaExceeded:
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as workers:
        taken = [address for address in workers.map(take, range(16)) if address]

    assert len(taken) == len(set(taken)) == 3


def test_it_leads_to_the_nic_with_the_default_route(
    api: floating_ips.API, hosts: Hosts, flavor: records.Flavor
) -> None:
    one, two = make_network(1), make_network(2)
    instance, network_info = make_nics(flavor, 1, one, two, default=1)
    held = api.allocate(CONTEXT, None)

    api.associate(CONTEXT, network_info, held.address, None)

    found = api.get_floating_ip(CONTEXT, str(held.id))
    assert found.fixed_ip == network_info[1].addresses[0]
    assert (found.instance_uuid, found.network_uuid) == (instance.uuid, two.uuid)
    assert hosts.refreshed == [('host2', (two.uuid,))]


def test_what_leads_to_which_server(api: floating_ips.API, flavor: records.Flavor) -> None:
    network = make_network(1)
    servers = [make_nics(flavor, seed, network) for seed in (1, 2, 3)]
    held = [api.allocate(CONTEXT, None) for _ in servers[:2]]
    for one, (_, network_info) in zip(held, servers, strict=False):
        api.associate(CONTEXT, network_info, one.address, None)
    uuids = [instance.uuid for instance, _ in servers]
    found = api.of_servers(uuids)
    assert {uuid: [one.address for one in ones] for uuid, ones in found.items()} == {
        uuids[0]: [held[0].address],
        uuids[1]: [held[1].address],
        uuids[2]: [],
    }


def test_it_moves_and_both_networks_are_told(
    api: floating_ips.API, hosts: Hosts, flavor: records.Flavor
) -> None:
    one, two = make_network(1), make_network(2)
    instance, network_info = make_nics(flavor, 1, one, two)
    held = api.allocate(CONTEXT, None)
    api.associate(CONTEXT, network_info, held.address, None)

    api.associate(CONTEXT, network_info, held.address, network_info[1].addresses[0])

    assert [uuids for _, uuids in hosts.refreshed] == [(one.uuid,), (one.uuid,), (two.uuid,)]
    api.disassociate(CONTEXT, instance.uuid, held.address)
    assert api.get_floating_ip(CONTEXT, str(held.id)).fixed_ip is None
    assert hosts.refreshed[-1] == ('host2', (two.uuid,))


def test_what_it_cannot_lead_to(api: floating_ips.API, flavor: records.Flavor) -> None:
    instance, network_info = make_nics(flavor, 1, make_network(1))
    first, second = api.allocate(CONTEXT, None), api.allocate(CONTEXT, None)

    with pytest.raises(exception.FixedIpInvalid, match='does not have it'):
        api.associate(CONTEXT, network_info, first.address, '10.9.0.9')
    with pytest.raises(exception.FixedIpInvalid, match='no IPv4 address'):
        api.associate(CONTEXT, model.NetworkInfo(), first.address, None)
    with pytest.raises(exception.FloatingIpNotFound):
        api.associate(OTHER, network_info, first.address, None)
    api.associate(CONTEXT, network_info, first.address, None)
    with pytest.raises(exception.FixedIpInvalid, match='another floating IP'):
        api.associate(CONTEXT, network_info, second.address, None)
    with pytest.raises(exception.FloatingIpNotFound):
        api.disassociate(CONTEXT, instance.uuid, second.address)


def test_it_does_not_lead_behind_another_router(
    api: floating_ips.API, flavor: records.Flavor
) -> None:
    network = make_network(1, gateway='10.1.0.254', dhcp_server='10.1.0.1')
    _instance, network_info = make_nics(flavor, 1, network)
    held = api.allocate(CONTEXT, None)
    with pytest.raises(exception.FixedIpInvalid, match='no gateway of ours'):
        api.associate(CONTEXT, network_info, held.address, None)
    assert api.get_floating_ip(CONTEXT, str(held.id)).fixed_ip is None


def test_a_host_that_fails_leaves_it_free(
    api: floating_ips.API, hosts: Hosts, flavor: records.Flavor
) -> None:
    _, network_info = make_nics(flavor, 1, make_network(1))
    held = api.allocate(CONTEXT, None)
    hosts.broken = True

    with pytest.raises(exception.NetworkSetupFailed):
        api.associate(CONTEXT, network_info, held.address, None)

    assert api.get_floating_ip(CONTEXT, str(held.id)).fixed_ip is None


def test_it_never_leads_to_the_next_owner_of_an_address(
    api: floating_ips.API, flavor: records.Flavor
) -> None:
    network = make_network(1)
    instance, network_info = make_nics(flavor, 1, network)
    held = api.allocate(CONTEXT, None)
    api.associate(CONTEXT, network_info, held.address, None)

    db.vifs_deallocate(instance.uuid)
    other = stores.store_instance(flavor)
    again = records.WantedNic(
        uuid='99999999-0000-4000-8000-000000000000',
        index=0,
        network_uuid=network.uuid,
        mac='fa:16:3e:00:99:00',
        default_route=True,
        fixed_ip=network_info[0].addresses[0],
    )
    db.vifs_allocate(other.uuid, [again], 0)

    assert api.get_floating_ip(CONTEXT, str(held.id)).instance_uuid is None
    second = api.allocate(CONTEXT, None)
    api.associate(CONTEXT, NETWORKS.network_infos([other.uuid])[other.uuid], second.address, None)
    assert api.get_floating_ip(CONTEXT, str(second.id)).instance_uuid == other.uuid


def test_a_network_can_go_after_it(api: floating_ips.API, flavor: records.Flavor) -> None:
    network = make_network(1)
    instance, network_info = make_nics(flavor, 1, network)
    held = api.allocate(CONTEXT, None)
    api.associate(CONTEXT, network_info, held.address, None)
    db.vifs_deallocate(instance.uuid)

    db.network_delete(network.uuid)

    assert api.get_floating_ip(CONTEXT, str(held.id)).fixed_ip is None


def test_pools_are_made_and_taken_apart(api: floating_ips.API) -> None:
    held = api.allocate(CONTEXT, None)
    with pytest.raises(exception.FloatingIpExists):
        db.floating_ips_create(*floating_ips.plan_pool('more', '192.0.2.11'))
    db.floating_ip_delete('192.0.2.11')
    db.floating_ips_create(*floating_ips.plan_pool('more', '192.0.2.11'))
    assert api.list_pools(CONTEXT) == ('more', 'nova')
    with pytest.raises(exception.FloatingIpNotFound):
        db.floating_ip_delete(held.address)
    for text in ('192.0.2.0/8', 'x', 'fd00::/126'):
        with pytest.raises(exception.InvalidCidr):
            floating_ips.plan_pool('nova', text)
    with pytest.raises(exception.InvalidName):
        floating_ips.plan_pool('a"b', '192.0.2.1')
