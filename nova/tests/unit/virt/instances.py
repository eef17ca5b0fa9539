"""Instances for the tests: every NIC differs from every other in all that it has."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from nova.db import records
from nova.network import model

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def make_instance(**changes: Any) -> records.Instance:
    """An instance with some of its fields changed; ``flavor`` may be a dict of the flavor's."""
    flavor = records.Flavor(
        id=3, flavorid='42', name='m1.small', memory_mb=2048, vcpus=2, root_gb=20
    )
    instance = records.Instance(
        id=0x2A,
        uuid='7d0a5b1e-52f5-4c3c-9c14-0c4de7e3a001',
        project_id='4f2c9a0d5b8e4d6fa1b2c3d4e5f60718',
        user_id='0918f7e6d5c4b3a2918070605040302f',
        display_name='web & <db>',
        hostname='web-db',
        image_ref='c1b5a7f2-0d53-4f0e-8d6f-5a1b2c3d4e5f',
        flavor=flavor,
        vm_state=records.VmState.BUILDING,
        task_state=records.TaskState.SPAWNING,
        power_state=records.PowerState.NOSTATE,
        host='compute1',
        key_name=None,
        user_data=None,
        config_drive=False,
        locked=False,
        availability_zone=None,
        metadata={},
        requested_networks=(),
        reservation_id='r-abc',
        launch_index=0,
        created_at=NOW,
        updated_at=NOW,
        launched_at=None,
    )
    changes['flavor'] = dataclasses.replace(flavor, **changes.get('flavor', {}))
    return dataclasses.replace(instance, **changes)


def make_vif(index: int, **changes: Any) -> model.VIF:
    """NIC ``index``. Odd ones have an MTU and IPv6, the second has two addresses; ``subnets`` of
    its network may be given."""
    subnets = changes.pop('subnets', None)
    ipv4 = model.Subnet(
        cidr=f'10.{index}.0.0/{24 - index}',
        gateway=f'10.{index}.0.1',
        dhcp_server=f'10.{index}.0.2',
    )
    ipv6 = model.Subnet(
        cidr=f'fd00:{index:x}::/64',
        gateway=f'fd00:{index:x}::1',
        ipv6_mode=model.Ipv6Mode.STATEFUL,
        ra_server=f'fe80::{index:x}',
    )
    network = model.Network(
        id=f'22222222-0000-4000-8000-{index:012x}',
        label=f'net{index}',
        kind=model.NetworkKind.FLAT_DHCP,
        bridge=f'br{100 + index}',
        mtu=1400 + index if index % 2 else None,
        subnets=((ipv4, ipv6) if index % 2 else (ipv4,)) if subnets is None else subnets,
    )
    addresses = [f'10.{index}.0.{10 + index}']
    if index == 1:
        addresses += [f'10.{index}.0.200', f'fd00:{index:x}::10']
    vif = model.VIF(
        id=f'{index:x}1111111-{index:04x}-4000-8000-{index:012x}',
        index=index,
        mac=f'fa:16:3e:00:{0x10 + index:02x}:{index:02x}',
        addresses=tuple(addresses),
        network=network,
        default_route=index == 0,
    )
    return dataclasses.replace(vif, **changes)


def make_network_info(nics: int) -> model.NetworkInfo:
    return model.NetworkInfo(tuple(make_vif(index) for index in range(nics)))
