"""Two hosts with a network service each, on a real database; what a service wants of its host is
recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import dataclasses
import random
import threading
import time

import pytest

from nova import context as nova_context
from nova import exception, rpc
from nova.db import records, session
from nova.network import api as network_api
from nova.network import manager, model, reach, rpcapi, topology
from nova.network.linux import metadata
from nova.tests import stores

CONTEXT = nova_context.service_context()
API = network_api.API(max_nics_per_server=8)


class Recorder:
    """In the place of a host: knows what it was made to be."""

    def __init__(self) -> None:
        self.networks: dict[str, topology.HostNetwork] = {}
        self.calls = 0
        self.broken: set[str] = set()
        self.gate: threading.Event | None = None
        self.reach = reach.Reach()
        self.reach_broken = False
        self.metadata: dict[str, metadata.Place] = {}

    def apply_reach(self, wanted: reach.Reach, afresh: bool) -> None:
        if self.reach_broken:
            raise exception.NetworkSetupFailed(network='forwarding', reason='broken')
        self.reach = wanted

    def apply_metadata(
        self, wanted: Mapping[str, metadata.Place], within: Collection[str] | None
    ) -> dict[str, exception.NetworkSetupFailed]:
        for uuid in [u for u in self.metadata if within is None or u in within]:
            del self.metadata[uuid]
        self.metadata |= wanted
        return {}

    def apply(
        self, state: topology.HostState, within: Collection[str] | None
    ) -> dict[str, exception.NetworkSetupFailed]:
        self.calls += 1
        if self.gate is not None:
            self.gate.wait(10)
        wanted = {network.uuid: network for network in state.networks}
        for uuid in [u for u in self.networks if within is None or u in within]:
            del self.networks[uuid]
        self.networks |= {u: n for u, n in wanted.items() if u not in self.broken}
        return {
            u: exception.NetworkSetupFailed(network=n.label, reason='broken')
            for u, n in wanted.items()
            if u in self.broken
        }

    def served(self) -> dict[str, list[str | None]]:
        return {
            network.label: [reservation.address for reservation in network.dhcp.reservations]
            for network in self.networks.values()
        }


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, 'it does not become so'
        time.sleep(0.01)


@dataclasses.dataclass
class Cloud:
    """Two hosts with a network service each."""

    hosts: dict[str, Recorder]
    services: dict[str, manager.NetworkService]

    def add(self, host: str, seed: int, quarantine_s: int = 0) -> None:
        self.hosts[host] = Recorder()
        options = topology.HostOptions(
            host=host, run_path='/run/nova', dhcp_domain='novalocal', dhcp_lease_time_s=600
        )
        self.services[host] = manager.NetworkService(
            options=options,
            apply=self.hosts[host].apply,
            apply_reach=self.hosts[host].apply_reach,
            reach_options=reach.Options(),
            apply_metadata=self.hosts[host].apply_metadata,
            mac_attempts=3,
            quarantine_s=quarantine_s,
            service_down_time_s=60,
            random_source=random.Random(seed),
        )
        rpc.local.add(rpcapi.TOPIC, host, self.services[host])


@pytest.fixture
def cloud(database: session.Database, local_services: rpc.Local) -> Cloud:
    made = Cloud({}, {})
    made.add('one', 1)
    made.add('two', 2)
    return made


@pytest.fixture
def flavor(database: session.Database) -> records.Flavor:
    return stores.store_flavor()


def make_network(number: int, **changes: object) -> records.Network:
    values = {'label': f'net-{number}', 'cidr': f'10.{number}.0.0/29', **changes}
    return API.create_network(network_api.NetworkSpec(**values))  # type: ignore[arg-type]


def allocate(
    service: manager.NetworkService,
    instance: records.Instance,
    *networks: records.Network,
    fixed_ips: tuple[str | None, ...] = (),
) -> model.NetworkInfo:
    requested = tuple(
        records.RequestedNetwork(
            network_uuid=network.uuid, fixed_ip=fixed_ips[i] if fixed_ips else None
        )
        for i, network in enumerate(networks)
    )
    return service.allocate_for_instance(
        CONTEXT,
        instance_uuid=instance.uuid,
        project_id=instance.project_id,
        requested_networks=requested,
        instance_host='compute1',
    )
