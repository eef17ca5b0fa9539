"""cloud-init understands the drive of every guest of the matrix as the guest itself does.

The cases are those that real guests go through (``nova/tests/integration/cloud/matrix.py``).
"""

from __future__ import annotations

import datetime
import json
from typing import Any
import uuid

import netaddr
import pytest

from nova.db import records
from nova.network import info, model, network_spec
from nova.tests.functional.metadata import cloud_init
from nova.tests.integration.cloud import matrix

#: Reads ``{case: {"data": network_data.json, "macs": {mac: name}}}``; writes, for each case, what
#: cloud-init makes of each NIC: ``{case: {mac: {"mtu": …, "subnets": […]}}}``.
SCRIPT = """
import json, sys
from cloudinit.net import network_state
from cloudinit.sources.helpers import openstack
found = {}
for case, given in json.load(sys.stdin).items():
    config = openstack.convert_net_json(given['data'], known_macs=given['macs'])
    state = network_state.parse_net_config_data(config)
    found[case] = {nic['mac_address']: nic for nic in state.iter_interfaces()}
json.dump(found, sys.stdout)
"""
CASES = matrix.build_cases(*matrix.KINDS)


def build_info(case: matrix.Case) -> model.NetworkInfo:
    """The guest's NICs as the network service would give them."""
    return model.NetworkInfo(
        tuple(
            _build_vif(index, lan, has_route=index == case.default_nic(4))
            for index, lan in enumerate(case.lans)
        )
    )


def _build_vif(index: int, lan: matrix.Lan, *, has_route: bool) -> model.VIF:
    fields = lan.fields() | ({'vlan': 100 + lan.number} if lan.kind == matrix.VLAN else {})
    spec = network_spec.NetworkSpec(**({'cidr': None} | fields))
    plan = network_spec.plan_network(spec, str(uuid.UUID(int=lan.number + 1)))
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    stored = {field: getattr(plan.network, field) for field in plan.network.__slots__}
    network = info.build_network(
        records.Network(**stored, id=1, host='one', created_at=now, updated_at=now)
    )
    mac = f'fa:16:3e:00:00:0{index}'
    addresses = []
    if lan.cidr(4):
        addresses.append(next(a for a, reserved in plan.addresses if not reserved))
    if lan.cidr(6):
        addresses.append(model.mac_address_v6(str(lan.cidr(6)), mac))
    return model.VIF(
        id=str(uuid.UUID(int=(1 + index) << 124)),
        index=index,
        mac=mac,
        network=network,
        addresses=tuple(addresses),
        default_route=has_route,
    )


@pytest.fixture(scope='module')
def understood() -> dict[str, dict[str, Any]]:
    """By case and MAC address, what cloud-init made of it; one process for all."""
    given = {case.id: cloud_init.build_given(build_info(case)) for case in CASES}
    found: dict[str, dict[str, Any]] = json.loads(cloud_init.run(SCRIPT, given))
    return found


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.id)
def test_cloud_init_makes_of_each_nic_what_the_guest_has(
    understood: dict[str, dict[str, Any]], case: matrix.Case
) -> None:
    nics = understood[case.id]
    vifs = build_info(case)
    assert sorted(nics) == [vif.mac for vif in vifs]
    for vif, lan in zip(vifs, case.lans, strict=True):
        nic = nics[vif.mac]
        assert nic['name'] == f'eth{vif.index}'
        assert nic['mtu'] == lan.mtu
        assert sorted(_describe(subnet) for subnet in nic['subnets']) == _wanted(vif, lan)
    for version in (4, 6):
        wanted = [case.default_nic(version)] if case.lans[0].kind == matrix.FLAT else []
        assert _default_nics(vifs, nics, version) == [i for i in wanted if i is not None]


#: cloud-init's words for what a router announces.
TYPES = {
    'slaac': 'ipv6_slaac',
    'stateless': 'ipv6_dhcpv6-stateless',
    'stateful': 'ipv6_dhcpv6-stateful',
}


def _wanted(vif: model.VIF, lan: matrix.Lan) -> list[str]:
    """A word for each family: how it is configured, or the address."""
    if lan.kind == matrix.FLAT:
        return sorted(vif.addresses)
    return sorted((['dhcp4'] if lan.cidr(4) else []) + ([TYPES[lan.mode]] if lan.mode else []))


def _describe(subnet: dict[str, Any]) -> str:
    kind = str(subnet['type'])
    return str(subnet['address']).partition('/')[0] if kind.startswith('static') else kind


def _default_nics(vifs: model.NetworkInfo, nics: dict[str, Any], version: int) -> list[int]:
    """The NICs with a default route, one entry for each route."""
    return [
        vif.index
        for vif in vifs
        for subnet in nics[vif.mac]['subnets']
        for route in subnet.get('routes', [])
        if route['prefix'] == 0 and netaddr.IPAddress(route['gateway']).version == version
    ]
