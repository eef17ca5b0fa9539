"""A cloud of two sandbox hosts on two wires.

The first host has everything, each service a process of its own, over RabbitMQ and PostgreSQL; the
second runs guests and serves networks. ``eth1`` and ``eth2`` of either are on the wires ``red`` and
``blue``, which are physical networks of these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import os
from typing import Any

from lab import broker, compute, database, guest_image, libvirtd, wires
from lab.daemon import Daemon
from lab.inventory import diff, take
from lab.sandbox import Sandbox, wait_until
from nova.tests.integration.cloud import clouds

#: The services of the second host.
SERVICES = ('nova-network', 'nova-compute')
WIRES = {'red': 'eth1', 'blue': 'eth2'}
#: Keystone, Glance, RabbitMQ, PostgreSQL: what the second host finds at the first.
PORTS = (5000, 9292, broker.PORT, database.PORT)


@dataclasses.dataclass
class Cloud(clouds.Cloud):
    """Two hosts; ``sandbox`` is the first. ``switch`` has the wires, each a bridge of its name."""

    second: Sandbox = dataclasses.field(kw_only=True)
    switch: wires.Switch = dataclasses.field(kw_only=True)
    daemons: dict[tuple[str, str], Daemon] = dataclasses.field(kw_only=True)

    @property
    def hosts(self) -> tuple[Sandbox, Sandbox]:
        """The first and the second."""
        return self.sandbox, self.second

    def guest_hosts(self) -> Sequence[Sandbox]:
        return self.hosts

    @contextlib.contextmanager
    def only_on(self, host: Sandbox) -> Iterator[None]:
        """New guests go there."""
        others = [other.name for other in self.hosts if other is not host]
        for name in others:
            compute.manage(self.sandbox, 'service', 'disable', name)
        try:
            yield
        finally:
            for name in others:
                compute.manage(self.sandbox, 'service', 'enable', name)

    def boot_on(self, host: Sandbox, labels: Sequence[str], **fields: Any) -> clouds.Server:
        """A server that runs there."""
        with self.only_on(host):
            server = self.create(labels, **fields)
            server.wait_status('ACTIVE')
        assert self.host_of(server) is host
        return server

    def boot_on_each(self, labels: Sequence[str]) -> tuple[clouds.Server, clouds.Server]:
        """A server on either host, in their order; both are built at the same time."""
        made = [self.create(labels) for _ in self.hosts]
        for server in made:
            server.wait_status('ACTIVE')
        by_host = {self.host_of(server).name: server for server in made}
        assert len(by_host) == len(self.hosts), 'the scheduler spreads equal servers'
        one, two = (by_host[host.name] for host in self.hosts)
        return one, two

    @contextlib.contextmanager
    def deleted(self, *servers: clouds.Server) -> Iterator[None]:
        """The servers are deleted in the end."""
        try:
            yield
        finally:
            for server in servers:
                server.delete()

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """What is done inside leaves both hosts and the database as they were."""

        def found() -> list[str]:
            after = take(self.second)
            return diff(before, after, allow=clouds.WARM)

        before = take(self.second)
        with super().unchanged():
            yield
        wait_until(lambda: not found(), 10, 0.5)
        assert found() == []

    def log(self) -> str:
        """The end of the logs of either host."""
        second = (self.second.tail(compute.log_path(name), 60) for name in SERVICES)
        return '\n'.join([super().log(), *second])


def build_settings(extra: compute.Options | None = None) -> compute.Settings:
    """:param extra: options by group, of both hosts."""
    groups = {group: dict(options) for group, options in (extra or {}).items()}
    interfaces = ','.join(f'{wire}:{device}' for wire, device in WIRES.items())
    groups.setdefault('network', {})['physical_networks'] = interfaces
    return compute.Settings(
        database_url=database.URL, transport_url=broker.TRANSPORT_URL, extra=groups
    )


@contextlib.contextmanager
def running(
    name: str, networks: Mapping[str, Sequence[str]], extra: compute.Options | None = None
) -> Iterator[Cloud]:
    """The cloud, with these networks and the guest's image; gone in the end.

    :param name: of the sandboxes, with a suffix each; short.
    :param networks: label -> range and further options of ``nova-manage network create``.
    :param extra: options by group, of both hosts.
    """
    settings = build_settings(extra)
    second = Sandbox(f'{name}-two-{os.getpid()}')
    switch = wires.Switch(f'{name}-wire-{os.getpid()}')
    with contextlib.ExitStack() as undo:
        undo.callback(switch.down)
        switch.up(WIRES)
        undo.callback(second.down)
        second.up()

        def prepare(first: Sandbox) -> None:
            for host in (first, second):
                for wire, device in WIRES.items():
                    switch.plug(wire, host, device)
            broker.start(first)
            database.start(first)

        daemons: dict[tuple[str, str], Daemon] = {}
        first = undo.enter_context(
            clouds.running(f'{name}-one', settings, compute.SEPARATE, prepare, daemons)
        )
        undo.enter_context(wires.shared_ports(second, first, PORTS))
        libvirtd.start(second)
        for daemon in compute.start_services(second, settings, SERVICES, sync=False):
            daemons[second.name, daemon.name] = daemon
        made = {
            label: compute.create_network(first, label, *options)
            for label, options in networks.items()
        }
        cloud = Cloud(
            first,
            settings,
            made,
            image='',
            services=compute.SEPARATE,
            second=second,
            switch=switch,
            daemons=daemons,
        )
        cloud.image = cloud.upload('tiny', str(guest_image.build()))
        yield cloud
