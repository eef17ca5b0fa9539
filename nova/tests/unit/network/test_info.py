from __future__ import annotations

import random

import pytest

from nova.network import info, model
from nova.tests.unit.network import samples


def test_a_network_as_its_guests_see_it() -> None:
    network = samples.network(1, physical_network='physnet1', vlan=7)

    assert info.build_network(network) == model.Network(
        id=network.uuid,
        label='net-1',
        kind=model.NetworkKind.FLAT_DHCP,
        bridge='brt1',
        subnets=(
            model.Subnet(
                cidr='10.1.0.0/24',
                gateway='10.1.0.1',
                dhcp_server='10.1.0.2',
                dns=('192.0.2.1', '198.51.100.1'),
            ),
        ),
        mtu=1401,
        vlan=7,
        physical_network='physnet1',
        host=samples.HOST,
    )


@pytest.mark.parametrize('count', [0, 1, 2, 3, 8])
def test_nics_are_in_the_order_of_their_index(count: int) -> None:
    networks = [samples.network(n) for n in range(count)]
    vifs = [
        samples.vif(n, network, index=n, default_route=n == 0, tag=f'tag-{n}')
        for n, network in enumerate(networks)
    ]
    mixed = random.Random(count).sample(vifs, count)

    built = info.build_network_info(mixed, {network.uuid: network for network in networks})

    assert built == model.NetworkInfo(
        tuple(
            model.VIF(
                id=vif.uuid,
                index=n,
                mac=vif.mac,
                network=info.build_network(networks[n]),
                addresses=(f'10.{n}.0.{10 + n}',),
                default_route=n == 0,
                tag=f'tag-{n}',
            )
            for n, vif in enumerate(vifs)
        )
    )
