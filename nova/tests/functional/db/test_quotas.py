"""Limits on what the instances of a project hold, also when many ask at once."""

from __future__ import annotations

import concurrent.futures

import pytest

from nova import exception
from nova.db import api as db
from nova.db import quotas, records, session
from nova.tests import stores


@pytest.fixture
def flavor(database: session.Database) -> records.Flavor:
    for project in ('one', 'two'):
        db.security_group_default(project)
    return stores.store_flavor()


def held(instances: list[records.Instance]) -> tuple[int, int]:
    """NICs and addresses."""
    found = db.vifs_of_instances([instance.uuid for instance in instances])
    vifs = [vif for vifs in found.values() for vif in vifs]
    return len(vifs), sum(len(vif.addresses) for vif in vifs)


def test_a_hundred_attaches_against_a_limit_of_ten(flavor: records.Flavor) -> None:
    network = stores.store_network('10.0.0.0/24')
    instances = [stores.store_instance(flavor, project_id='one') for _ in range(10)]
    limits = quotas.NicLimits(interfaces=10)

    def attach(number: int) -> bool:
        (nic,) = stores.build_nics(network)
        try:
            db.vif_attach(instances[number % 10].uuid, nic, 0, max_nics=16, limits=limits)
        except exception.QuotaExceeded:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(attach, range(100))) == 10
    assert held(instances) == (10, 10)


def test_a_boot_is_refused_whole(flavor: records.Flavor) -> None:
    network = stores.store_network('10.0.0.0/24')
    first, second, other = (
        stores.store_instance(flavor, project_id=project) for project in ('one', 'one', 'two')
    )
    limits = quotas.NicLimits(interfaces=3)
    db.vifs_allocate(first.uuid, stores.build_nics(network, network), 0, limits)
    with pytest.raises(exception.QuotaExceeded, match='interfaces: allowed 3, asked for 4'):
        db.vifs_allocate(second.uuid, stores.build_nics(network, network), 0, limits)
    assert held([first, second]) == (2, 2)
    db.vifs_allocate(other.uuid, stores.build_nics(network, network), 0, limits)
    db.vifs_allocate(second.uuid, stores.build_nics(network), 0, limits)


def test_further_addresses_count(flavor: records.Flavor) -> None:
    network = stores.store_network('10.0.0.0/24')
    instance = stores.store_instance(flavor, project_id='one')
    limits = quotas.NicLimits(interfaces=1, fixed_ips=3)
    (nic,) = stores.build_nics(network)
    db.vifs_allocate(instance.uuid, [nic], 0, limits)
    for _ in range(2):
        vif = db.vif_add_address(nic.uuid, 0, limits)
    with pytest.raises(exception.QuotaExceeded, match='fixed_ips'):
        db.vif_add_address(nic.uuid, 0, limits)
    db.vif_remove_address(nic.uuid, vif.addresses[1])
    assert len(db.vif_add_address(nic.uuid, 0, limits).addresses) == 3
