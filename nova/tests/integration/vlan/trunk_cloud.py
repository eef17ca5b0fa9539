"""A cloud of two hosts on a trunk.

A sandbox has what the hosts share: Keystone, Glance, RabbitMQ, PostgreSQL, the scheduler and the
API. Either host has guests; the first serves the networks of one host. Their interfaces on the
trunk, which is the physical network ``trunk``, have different names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import concurrent.futures
import contextlib
import dataclasses
import os
from typing import Any

from lab import broker, compute, database, guest_image, libvirtd, uml, wires
from lab.daemon import Daemon
from lab.sandbox import Sandbox
from nova.tests.integration.cloud import clouds, matrix

WIRE = 'trunk'
#: The interface of each host.
INTERFACES = ('trunk0', 'up7')
SERVICES = ('nova-network', 'nova-compute')
SHARED_SERVICES = ('nova-scheduler', 'nova-api')
#: Keystone, Glance, RabbitMQ and PostgreSQL, which the hosts find on their loopback address.
PORTS = (5000, 9292, broker.PORT, database.PORT)
START_TIMEOUT_S = 120
#: The guests of the matrix. A host is the gateway of their networks, and Debian's user-mode-linux
#: has no ``inet`` tables to keep them apart: so they may reach each other and all others.
MATRIX = matrix.build_mixes(matrix.VLAN)
LABELS = ('red', 'blue', 'dhcp', 'wide', 'taken')
MATRIX_LABELS = [lan.label for lan in matrix.networks_of(MATRIX)]
PAIRS = [f'{one}:{other}' for one in MATRIX_LABELS for other in (*MATRIX_LABELS, *LABELS)]
#: Nothing but VLANs keeps guests apart, and projects without a network get one on a VLAN.
OPTIONS = {
    'firewall': {'driver': 'noop'},
    'network': {
        'network_manager': 'VlanManager',
        'vlan_start': '200',
        'host_table': 'false',
        'forward_between': ','.join(PAIRS),
    },
}


@dataclasses.dataclass
class Cloud(clouds.Cloud):
    """``sandbox`` has what is shared; ``hosts`` have the guests. ``ports`` are the switch's, one
    for each host."""

    hosts: tuple[Sandbox, Sandbox] = dataclasses.field(kw_only=True)
    switch: wires.Switch = dataclasses.field(kw_only=True)
    ports: tuple[str, str] = dataclasses.field(kw_only=True)
    daemons: dict[tuple[str, str], Daemon] = dataclasses.field(kw_only=True)

    def guest_hosts(self) -> Sequence[Sandbox]:
        return self.hosts

    def network(self, label: str, cidr: str, *options: str) -> dict[str, Any]:
        """One more network on the trunk, by ``nova-manage``."""
        place = ('--kind', 'vlan', '--physical-network', WIRE)
        return self.serve_first(label, cidr, *place, *options)

    def serve_first(self, label: str, cidr: str, *options: str) -> dict[str, Any]:
        """One more network; the first host serves it unless every host does."""
        made = compute.create_network(self.sandbox, label, cidr, *options)
        if made['kind'] != 'flat' and not made['multi_host']:
            host = ('--host', self.hosts[0].name)
            made = compute.manage_json(self.sandbox, 'network', 'modify', made['uuid'], *host)
        self.networks[label] = made
        return made

    def wait_up(self) -> None:
        """Wait until the services of the hosts have reported."""
        compute.wait_reports(self.sandbox, list(self.daemons.values()), START_TIMEOUT_S)

    def log(self) -> str:
        daemons = '\n'.join(daemon.tail(60) for daemon in self.daemons.values())
        return f'{super().log()}\n{daemons}'


def make_host(name: str) -> Sandbox:
    """With the machine's kernel, if that has VLANs."""
    return Sandbox(name) if uml.has_8021q() else uml.UmlHost(name)


@contextlib.contextmanager
def running() -> Iterator[Cloud]:
    """The cloud, with the guest's image and no network; gone in the end."""
    suffix = os.getpid()
    hosts = (make_host(f'vlan-one-{suffix}'), make_host(f'vlan-two-{suffix}'))
    switch = wires.Switch(f'vlan-wire-{suffix}')
    settings = build_settings('')
    with contextlib.ExitStack() as undo:
        undo.callback(switch.down)
        switch.up([WIRE])
        for host in hosts:
            undo.callback(host.down)
            host.up()
        ports = tuple(
            switch.plug(WIRE, host, interface)
            for host, interface in zip(hosts, INTERFACES, strict=True)
        )
        daemons: dict[tuple[str, str], Daemon] = {}
        with concurrent.futures.ThreadPoolExecutor() as workers:
            kernels = [workers.submit(start_host, host) for host in hosts]
            shared = undo.enter_context(
                clouds.running('vlan', settings, SHARED_SERVICES, start_servers)
            )
            for host in hosts:
                undo.enter_context(wires.shared_ports(host, shared, PORTS))
            for kernel in kernels:
                kernel.result()
            started = [
                workers.submit(start_services, host, interface)
                for host, interface in zip(hosts, INTERFACES, strict=True)
            ]
            for found in started:
                daemons |= found.result()
        compute.wait_reports(shared, list(daemons.values()), START_TIMEOUT_S)
        cloud = Cloud(
            shared,
            settings,
            {},
            image='',
            services=SHARED_SERVICES,
            hosts=hosts,
            switch=switch,
            ports=(ports[0], ports[1]),
            daemons=daemons,
        )
        cloud.image = cloud.upload('tiny', str(guest_image.build()))
        yield cloud


def build_settings(interface: str) -> compute.Settings:
    """:param interface: of the host, on the trunk."""
    options = {group: dict(values) for group, values in OPTIONS.items()}
    if interface:
        options['network']['physical_networks'] = f'{WIRE}:{interface}'
    return compute.Settings(
        database_url=database.URL, transport_url=broker.TRANSPORT_URL, extra=options
    )


def start_servers(shared: Sandbox) -> None:
    broker.start(shared)
    database.start(shared)


def start_host(host: Sandbox) -> None:
    """Everything up to libvirt."""
    if isinstance(host, uml.UmlHost):
        host.boot(memory_mib=2048, ports=PORTS)
    for interface in INTERFACES:
        # so that all frames on the trunk are guests' and services'
        silence = f'net.ipv6.conf.{interface}.disable_ipv6=1'
        host.run(['sysctl', '-qw', silence], check=False)  # each host has one of them
    libvirtd.start(host)


def start_services(host: Sandbox, interface: str) -> dict[tuple[str, str], Daemon]:
    compute.prepare_host(host)
    compute.write_config(host, build_settings(interface))
    return {(host.name, name): compute.start_service(host, name) for name in SERVICES}
