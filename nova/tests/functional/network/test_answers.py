"""Who asks is known by network and source address, and by nothing else."""

from __future__ import annotations

import json

import pytest

from nova.db import api as db
from nova.db import records, session
from nova.network import answers, model
from nova.network import api as network_api
from nova.tests import stores

API = network_api.API(max_nics_per_server=8)
ANSWERS = answers.Answers('novalocal')


@pytest.fixture
def flavor(database: session.Database) -> records.Flavor:
    return stores.store_flavor()


def make_network(number: int) -> records.Network:
    return API.create_network(
        network_api.NetworkSpec(label=f'net-{number}', cidr=f'10.{number}.0.0/29')
    )


def make_instance(
    flavor: records.Flavor, seed: int, *networks: records.Network
) -> tuple[records.Instance, model.NetworkInfo]:
    instance = stores.store_instance(flavor)
    wanted = [
        records.WantedNic(
            uuid=f'{seed:08x}-0000-4000-8000-{index:012x}',
            index=index,
            network_uuid=network.uuid,
            mac=f'fa:16:3e:00:{seed:02x}:{index:02x}',
            default_route=index == 0,
        )
        for index, network in enumerate(networks)
    ]
    db.vifs_allocate(instance.uuid, wanted, 0)
    return instance, API.network_infos([instance.uuid])[instance.uuid]


def test_each_nic_of_each_instance_gets_its_own(flavor: records.Flavor) -> None:
    red, blue = make_network(1), make_network(2)
    made = [make_instance(flavor, seed, red, blue) for seed in (1, 2)]

    for instance, network_info in made:
        for vif in network_info:
            answer = ANSWERS.find(
                vif.network.id, vif.addresses[0], 'openstack/latest/meta_data.json'
            )
            assert answer is not None
            assert json.loads(answer)['uuid'] == instance.uuid


def test_a_nic_is_known_by_its_link_local_address(flavor: records.Flavor) -> None:
    red, blue = make_network(1), make_network(2)
    instance, (vif,) = make_instance(flavor, 1, red)

    answer = ANSWERS.find(red.uuid, vif.link_local, 'openstack/latest/meta_data.json')

    assert answer is not None
    assert json.loads(answer)['uuid'] == instance.uuid
    assert ANSWERS.find(blue.uuid, vif.link_local, '') is None
    for stranger in ('fe80::1', 'fe80::f816:3eff:fe00:ffff', 'fd00::f816:3eff:fe00:100'):
        assert ANSWERS.find(red.uuid, stranger, '') is None


def test_an_address_on_another_network_is_nobody(flavor: records.Flavor) -> None:
    red, blue = make_network(1), make_network(2)
    _, (vif,) = make_instance(flavor, 1, red)

    assert ANSWERS.find(red.uuid, vif.addresses[0], '') is not None
    assert ANSWERS.find(blue.uuid, vif.addresses[0], '') is None


def test_an_address_that_is_free_again_is_nobody(flavor: records.Flavor) -> None:
    red = make_network(1)
    instance, (vif,) = make_instance(flavor, 1, red)

    db.vifs_deallocate(instance.uuid)

    assert ANSWERS.find(red.uuid, vif.addresses[0], '') is None


def test_what_is_not_there(flavor: records.Flavor) -> None:
    red = make_network(1)
    _, (vif,) = make_instance(flavor, 1, red)

    assert ANSWERS.find(red.uuid, vif.addresses[0], 'openstack/latest/passwords') is None
