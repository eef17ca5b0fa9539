"""Random lives of instances against a model: order is kept, no address is shared, none is lost.

A sequence is a few steps (boot, attach, detach, addFixedIp, removeFixedIp, delete) through the
network service, on one database that goes on from sequence to sequence, so that each starts where
others have left holes. ``NOVA_SEQUENCES`` says how many there are; many (``tox -e sequences``) are
shared out to all processors, to each a world of its own. ``NOVA_SEQUENCES_SEED`` repeats a run that
failed.

The database is SQLite in memory: what is proven here is the service's bookkeeping. Other
databases and callers at the same time: ``nova/tests/integration/db``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import dataclasses
import multiprocessing
import os
import random

import pytest

from nova import context as nova_context
from nova import exception, rpc
from nova.db import api as db
from nova.db import migration, records, session
from nova.network import manager, reach, topology
from nova.tests import stores

CONTEXT = nova_context.service_context()
SEQUENCES = int(os.environ.get('NOVA_SEQUENCES', '300'))
SEED = int(os.environ.get('NOVA_SEQUENCES_SEED', '1'))
#: Fewer are not worth another process.
SHARE = 500
MAX_NICS = 4
#: Of IPv4, and of IPv6 where a network has both families.
CIDRS = (
    ('10.0.0.0/29', None),
    ('10.1.0.0/28', '2001:db8:1::/64'),
    ('10.2.0.0/28', None),
)


@dataclasses.dataclass
class Nic:
    index: int
    network: str
    addresses: list[str]


@dataclasses.dataclass
class Guest:
    """An instance as it should be."""

    instance: records.Instance
    nics: dict[str, Nic] = dataclasses.field(default_factory=dict)
    given: int = 0
    """Indexes that were given; the next NIC gets this one or a higher one."""


class World:
    """The service, and the model of what it should hold."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.flavor = stores.store_flavor()
        self.networks = [stores.store_network(v4, cidr_v6=v6) for v4, v6 in CIDRS]
        self.guests: list[Guest] = []
        self.refused = 0
        self.service = manager.NetworkService(
            options=topology.HostOptions(
                host='one', run_path='/run/nova', dhcp_domain='novalocal', dhcp_lease_time_s=600
            ),
            apply=lambda _state, _within: {},
            apply_reach=lambda _wanted, _afresh: None,
            reach_options=reach.Options(),
            apply_metadata=lambda _wanted, _within: {},
            mac_attempts=3,
            quarantine_s=0,
            service_down_time_s=60,
            random_source=source,
        )

    def request(self) -> records.RequestedNetwork:
        return records.RequestedNetwork(network_uuid=self.source.choice(self.networks).uuid)

    def boot(self) -> None:
        instance = stores.store_instance(self.flavor)
        guest = Guest(instance)
        requested = tuple(self.request() for _ in range(self.source.randint(0, 3)))
        try:
            allocated = self.service.allocate_for_instance(
                CONTEXT,
                instance_uuid=instance.uuid,
                project_id=instance.project_id,
                requested_networks=requested,
                instance_host='one',
            )
        except exception.NoMoreFixedIps:
            self.refused += 1
            assert db.vifs_of_instances([instance.uuid])[instance.uuid] == ()
            db.instance_destroy(instance.uuid)
            return
        assert [vif.network.id for vif in allocated] == [r.network_uuid for r in requested]
        for vif in allocated:
            guest.nics[vif.id] = Nic(vif.index, vif.network.id, list(vif.addresses))
        guest.given = len(requested)
        self.guests.append(guest)

    def pick(self) -> Guest | None:
        return self.source.choice(self.guests) if self.guests else None

    def pick_nic(self) -> tuple[Guest, str] | None:
        having = [guest for guest in self.guests if guest.nics]
        if not having:
            return None
        guest = self.source.choice(having)
        return guest, self.source.choice(sorted(guest.nics))

    def attach(self) -> None:
        guest = self.pick()
        if guest is None:
            return
        try:
            vif = self.service.attach_interface(
                CONTEXT,
                instance_uuid=guest.instance.uuid,
                project_id=guest.instance.project_id,
                requested_network=self.request(),
                max_nics=MAX_NICS,
            )
        except exception.QuotaExceeded:
            assert len(guest.nics) == MAX_NICS
            return
        except exception.NoMoreFixedIps:
            self.refused += 1
            return
        assert vif.index >= guest.given
        guest.given = vif.index + 1
        guest.nics[vif.id] = Nic(vif.index, vif.network.id, list(vif.addresses))

    def detach(self) -> None:
        if (picked := self.pick_nic()) is not None:
            guest, vif_id = picked
            self.service.detach_interface(CONTEXT, vif_id=vif_id)
            self.service.detach_interface(CONTEXT, vif_id=vif_id)
            del guest.nics[vif_id]

    def add_address(self) -> None:
        if (picked := self.pick_nic()) is None:
            return
        guest, vif_id = picked
        try:
            vif = self.service.add_fixed_ip(CONTEXT, vif_id=vif_id)
        except exception.NoMoreFixedIps:
            self.refused += 1
            return
        assert list(vif.addresses[:-1]) == guest.nics[vif_id].addresses
        guest.nics[vif_id].addresses = list(vif.addresses)

    def remove_address(self) -> None:
        if (picked := self.pick_nic()) is None:
            return
        guest, vif_id = picked
        addresses = guest.nics[vif_id].addresses
        if len(addresses) > 1:
            address = self.source.choice(addresses)
            self.service.remove_fixed_ip(CONTEXT, vif_id=vif_id, address=address)
            addresses.remove(address)

    def delete(self) -> None:
        if (guest := self.pick()) is not None:
            self.service.deallocate_for_instance(CONTEXT, instance_uuid=guest.instance.uuid)
            assert db.instance_destroy(guest.instance.uuid)
            self.guests.remove(guest)

    def check(self) -> None:
        stored = db.vifs_of_instances([guest.instance.uuid for guest in self.guests])
        for guest in self.guests:
            vifs = stored[guest.instance.uuid]
            expected = sorted(guest.nics.items(), key=lambda entry: entry[1].index)
            assert [
                (vif.uuid, Nic(vif.index, vif.network_uuid, list(vif.addresses))) for vif in vifs
            ] == expected
            assert len({vif.slot for vif in vifs}) == len(vifs)
            assert all(vif.slot is not None and vif.slot < MAX_NICS for vif in vifs)
            assert sum(vif.default_route for vif in vifs) <= 1
        on_networks = db.vifs_of_networks([network.uuid for network in self.networks])
        held = [
            (uuid, address)
            for uuid, vifs in on_networks.items()
            for vif in vifs
            for address in vif.addresses
        ]
        assert len(held) == len(set(held)), 'an address is shared'
        assert len(held) == sum(
            len(nic.addresses) for guest in self.guests for nic in guest.nics.values()
        )

    def check_none_is_lost(self) -> None:
        """Every address of every network can be given out again."""
        while self.guests:
            self.delete()
        for network in self.networks:
            guest = stores.store_instance(self.flavor)
            size = sum(1 for _ in _addresses(network))
            vif = self.service.attach_interface(
                CONTEXT,
                instance_uuid=guest.uuid,
                project_id=guest.project_id,
                requested_network=records.RequestedNetwork(network_uuid=network.uuid),
                max_nics=MAX_NICS,
            )
            for _ in range(size - 1):
                self.service.add_fixed_ip(CONTEXT, vif_id=vif.id)
            with pytest.raises(exception.NoMoreFixedIps):
                self.service.add_fixed_ip(CONTEXT, vif_id=vif.id)


def _addresses(network: records.Network) -> list[str]:
    last = {'/29': 5, '/28': 13}[str(network.cidr)[-3:]]
    return [str(number) for number in range(last)]


def live(seed: int, sequences: int) -> int:
    """Run so many in a new world; how often one of its networks was full."""
    database = session.configure('sqlite://', thread_checkin=False)
    migration.sync(database)
    rpc.configure(None, timeout_s=1)
    try:
        source = random.Random(seed)
        world = World(source)
        rpc.local.add('network', 'one', world.service)
        steps: list[Callable[[], None]] = [
            world.boot,
            world.attach,
            world.attach,
            world.detach,
            world.add_address,
            world.remove_address,
            world.delete,
        ]
        for _ in range(sequences):
            for _ in range(source.randint(2, 6)):
                source.choice(steps)()
            world.check()
        world.check_none_is_lost()
        return world.refused
    finally:
        rpc.local.clear()
        database.dispose()


@pytest.mark.timeout(300 + SEQUENCES)  # a tenth of a second for each is usual on a busy machine
def test_random_lives() -> None:
    workers = min(os.cpu_count() or 1, SEQUENCES // SHARE)
    if workers < 2:
        refused = live(SEED, SEQUENCES)
    else:
        shares = [SEQUENCES // workers + (i < SEQUENCES % workers) for i in range(workers)]
        spawn = multiprocessing.get_context('spawn')
        with futures.ProcessPoolExecutor(workers, spawn) as pool:
            refused = sum(pool.map(live, range(SEED, SEED + workers), shares))
    assert SEQUENCES < 100 or refused, 'no network was ever full'
