"""network_data.json for every number and kind of NICs."""

from __future__ import annotations

from collections.abc import Callable
import json

import pytest

from nova.metadata import network_data
from nova.network import model
from nova.tests.unit.metadata import samples
from nova.tests.unit.virt import instances

EVERYWHERE = {'0.0.0.0', '::'}


def render(info: model.NetworkInfo) -> str:
    return json.dumps(network_data.build_network_data(info), indent=1) + '\n'


@pytest.mark.parametrize('nics', [0, 1, 2, 3, 8])
def test_static(golden: Callable[[str, str], None], nics: int) -> None:
    golden(f'metadata/network-data-static-{nics}.json', render(samples.make_flat(nics)))


@pytest.mark.parametrize('nics', [0, 1, 2, 3, 8])
def test_dhcp(golden: Callable[[str, str], None], nics: int) -> None:
    golden(f'metadata/network-data-dhcp-{nics}.json', render(instances.make_network_info(nics)))


def test_mixed(golden: Callable[[str, str], None]) -> None:
    golden('metadata/network-data-mixed.json', render(samples.make_mixed()))


def test_announced(golden: Callable[[str, str], None]) -> None:
    golden('metadata/network-data-announced.json', render(samples.make_announced()))


def defaults(info: model.NetworkInfo, everywhere: str) -> list[tuple[str, str]]:
    """(link, gateway) of each default route."""
    return [
        (network['link'], route['gateway'])
        for network in network_data.build_network_data(info)['networks']
        for route in network.get('routes', [])
        if route['network'] == everywhere
    ]


@pytest.mark.parametrize('nics', [1, 2, 3, 8])
def test_one_default_route_for_each_family(nics: int) -> None:
    info = samples.make_flat(nics)

    assert defaults(info, '0.0.0.0') == [(info[0].device, '10.0.0.1')]
    # the NIC with the default route has no IPv6 gateway here
    assert defaults(info, '::') == ([(info[1].device, 'fd00:1::1')] if nics > 1 else [])


def test_no_gateway_is_no_default_route() -> None:
    subnet = model.Subnet(cidr='10.9.0.0/24')
    info = model.NetworkInfo((instances.make_vif(0, subnets=(subnet,), addresses=('10.9.0.4',)),))

    assert network_data.choose_default(info, 4) is None
    assert network_data.build_network_data(info)['networks'][0]['routes'] == []


def test_the_same_network_twice() -> None:
    """Two NICs, two links, two addresses: nothing is known by its network."""
    one = samples.make_flat_vif(0)
    two = instances.make_vif(1, subnets=one.network.subnets, addresses=('10.0.0.77',))
    info = model.NetworkInfo((one, two))

    data = network_data.build_network_data(info)

    assert [n['ip_address'] for n in data['networks']] == ['10.0.0.10', '10.0.0.77']
    assert [n['link'] for n in data['networks']] == [one.device, two.device]
    assert len({n['id'] for n in data['networks']}) == 2


def test_dns_once_each() -> None:
    services = network_data.build_network_data(samples.make_flat(3))['services']

    addresses = [service['address'] for service in services]
    assert addresses == ['192.0.2.0', '192.0.2.200', '192.0.2.1', '2001:db8::1', '192.0.2.2']
