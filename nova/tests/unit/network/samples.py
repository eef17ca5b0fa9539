"""Networks and NICs for tests: no two share a MAC address, a range, a DHCP server or a gateway."""

from __future__ import annotations

import datetime
from typing import Any

from nova.db import records
from nova.network import model, topology

HOST = 'net1'
EPOCH = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def network(number: int, **changes: Any) -> records.Network:
    """Network ``number`` (from 0): 10.<number>.0.0/24, whose DHCP server is not its gateway when
    the number is odd."""
    prefix = f'10.{number}.0'
    values: dict[str, Any] = {
        'id': number + 1,
        'uuid': f'{number:08x}-0000-4000-8000-000000000000',
        'label': f'net-{number}',
        'kind': model.NetworkKind.FLAT_DHCP,
        'project_id': None,
        'cidr': f'{prefix}.0/24',
        'gateway': f'{prefix}.1',
        'dhcp_server': f'{prefix}.{1 + number % 2}',
        'dhcp_start': f'{prefix}.3',
        'dhcp_end': f'{prefix}.254',
        'dns': (f'192.0.2.{number}', f'198.51.100.{number}'),
        'bridge': f'brt{number}',
        'physical_network': None,
        'vlan': None,
        'mtu': 1400 + number,
        'multi_host': False,
        'host': HOST,
        'created_at': EPOCH,
        'updated_at': EPOCH,
    }
    return records.Network(**(values | changes))


def vif(number: int, on: records.Network, **changes: Any) -> records.Vif:
    """NIC ``number`` (from 0) of an instance of its own, on the network ``on``."""
    values: dict[str, Any] = {
        'id': number + 1,
        'uuid': f'00000000-0000-4000-9000-{number:012x}',
        'instance_uuid': f'00000000-0000-4000-a000-{number:012x}',
        'network_uuid': on.uuid,
        'index': 0,
        'mac': f'fa:16:3e:00:{number // 256:02x}:{number % 256:02x}',
        'default_route': True,
        'tag': None,
        'addresses': (f'{str(on.cidr).rpartition(".")[0]}.{10 + number}',),
        'hostname': f'vm-{number}',
    }
    return records.Vif(**(values | changes))


def options(run_path: str = '/run/nova', **changes: Any) -> topology.HostOptions:
    """Options of the host that serves the networks."""
    values: dict[str, Any] = {
        'host': HOST,
        'run_path': run_path,
        'dhcp_domain': 'novalocal',
        'dhcp_lease_time_s': 86400,
        'physical_networks': {},
    }
    return topology.HostOptions(**(values | changes))


def state(
    options: topology.HostOptions, *nics: records.Vif, networks: tuple[records.Network, ...]
) -> topology.HostState:
    """What the host needs for ``nics``."""
    by_network = {n.uuid: tuple(v for v in nics if v.network_uuid == n.uuid) for n in networks}
    return topology.plan_host(networks, by_network, options)
