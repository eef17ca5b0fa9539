"""``nova-manage service forget`` as an operator types it."""

from __future__ import annotations

import datetime

import sqlalchemy as sa

from nova.db import api as db
from nova.db import models, records, session
from nova.network import api as network_api
from nova.tests import stores
from nova.tests.functional.manage import commands

command = commands.command
BINARIES = ('nova-compute', 'nova-network')


def store_host(name: str, network: records.Network) -> None:
    """A host with its services, which serves the network to its guests."""
    for binary in BINARIES:
        db.service_report(name, binary)
    db.compute_node_report(
        name, hypervisor_type='QEMU', hypervisor_version=7, vcpus=8, memory_mb=512, disk_gb=4
    )
    db.network_host_claim(network.uuid, name, 0)


def lose(database: session.Database, name: str) -> None:
    """The host has said nothing for an hour."""
    long_ago = models.utcnow() - datetime.timedelta(hours=1)
    with database.writer() as connection:
        connection.execute(
            sa.update(models.Service)
            .where(models.Service.host == name)
            .values(last_seen_at=long_ago)
        )


def test_a_lost_host_is_forgotten_with_its_addresses(
    command: commands.Command, database: session.Database
) -> None:
    spec = network_api.NetworkSpec(label='wide', cidr='10.0.0.0/29', multi_host=True)
    wide = network_api.API(max_nics_per_server=3).create_network(spec)
    for name in ('one', 'two'):
        store_host(name, wide)
    held = db.network_get(wide.uuid).hosts
    assert 'nova-compute, nova-network is up' in command.refusal('service', 'forget', 'one')
    assert 'nowhere' in command.refusal('service', 'forget', 'nowhere')

    lose(database, 'one')
    instance = stores.store_instance(stores.store_flavor())
    db.instance_update(instance.uuid, host='one')
    assert '1 instance(s)' in command.refusal('service', 'forget', 'one')
    assert db.network_get(wide.uuid).hosts == held
    db.instance_destroy(instance.uuid)

    command.answer('service', 'forget', 'one')

    assert {service.host for service in db.service_list()} == {'two'}
    assert [node.host for node in db.compute_node_list()] == ['two']
    assert db.network_get(wide.uuid).hosts == {'two': held['two']}
    # a guest may have it
    guest = stores.store_instance(stores.store_flavor('flavor-2'))
    nics = stores.build_nics(wide, fixed_ips=[held['one']])
    db.vifs_allocate(guest.uuid, nics, 0)
    # and the host may come back
    store_host('one', wide)
    assert db.network_get(wide.uuid).hosts['one'] not in (None, *held.values())
