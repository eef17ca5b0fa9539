"""A cloud in a sandbox host, as the tests use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import json
import os
from pathlib import Path
import time
from typing import Any

from lab import clients, compute, guest_image, guest_report, identity, images, libvirtd, rest
from lab.daemon import Daemon
from lab.guest_console import Console
from lab.inventory import Inventory, diff, take
from lab.sandbox import Sandbox, end, wait_until
from nova.tests.integration.virt import frames

WATCH = Path(frames.__file__)
FLAVOR = '1'
BUILD_TIMEOUT_S = 120
REPORT_TIMEOUT_S = 120
READY_TIMEOUT_S = 120
#: How long a cloud waits for a guest to let go of a NIC.
DETACH_TIMEOUT_S = 4
REPORT_TRIES = 3

#: What a first boot may leave on a host, for the boots that follow.
WARM = (
    # the privileged helper stays once it was needed
    r'privsep-helper',
    # ... and so does the image, in the cache
    r'/var/lib/nova/cache/images/',
)


class Server:
    """An instance, by its id."""

    def __init__(self, cloud: Cloud, uuid: str) -> None:
        self._cloud = cloud
        self.uuid = uuid

    def show(self) -> dict[str, Any]:
        found: dict[str, Any] = self._cloud.api.get(f'/servers/{self.uuid}')['server']
        return found

    @property
    def domain(self) -> str:
        """The name of its domain on the host."""
        return str(self.show()['OS-EXT-SRV-ATTR:instance_name'])

    def wait_status(self, *wanted: str) -> dict[str, Any]:
        """Wait for one of these states, and no task."""

        def is_there() -> bool:
            shown = self.show()
            return shown['status'] in wanted and shown['OS-EXT-STS:task_state'] is None

        assert wait_until(is_there, BUILD_TIMEOUT_S, 0.2), (self.show(), self._cloud.log())
        return self.show()

    def interfaces(self) -> list[dict[str, Any]]:
        """Its NICs as the API lists them, in its order."""
        path = f'/servers/{self.uuid}/os-interface'
        found: list[dict[str, Any]] = self._cloud.api.get(path)['interfaceAttachments']
        return found

    def attach(self, **body: Any) -> dict[str, Any]:
        """Attach a NIC; as the API shows it then."""
        path = f'/servers/{self.uuid}/os-interface'
        answer = self._cloud.api.call('POST', path, {'interfaceAttachment': body})
        assert answer.status == 200, (answer.text, self._cloud.log())
        found: dict[str, Any] = answer.json()['interfaceAttachment']
        return found

    def detach(self, port: str) -> None:
        """Have a NIC detached; :meth:`wait_ports` says when it is."""
        path = f'/servers/{self.uuid}/os-interface/{port}'
        assert self._cloud.api.call('DELETE', path).status == 202

    def wait_ports(self, *wanted: str) -> None:
        """Wait until it has these NICs and no others."""

        def found() -> list[str]:
            return [nic['port_id'] for nic in self.interfaces()]

        assert wait_until(lambda: found() == list(wanted), 60, 0.2), (found(), self._cloud.log())

    def console(self) -> str:
        body: dict[str, Any] = {'os-getConsoleOutput': {}}
        answer = self._cloud.api.call('POST', f'/servers/{self.uuid}/action', body)
        return str(answer.json()['output']) if answer.status == 200 else ''

    def report(self) -> guest_report.Report:
        """The guest's own first report of its first boot, by way of the API."""
        reported = wait_until(lambda: bool(self.reports()), REPORT_TIMEOUT_S, 0.5)
        assert reported, self.console()[-4000:]
        return self.reports()[0]

    def reports(self) -> list[guest_report.Report]:
        """All its reports until now. Where IPv6 took a little longer, it is in the second."""
        return guest_report.parse_reports(self.console())

    def settled_reports(self, console: Console) -> Iterator[guest_report.Report]:
        """Its last report, and then some for which its guest asks the networks again: on a busy
        host it may have missed an answer."""
        yield self.reports()[-1]
        for _ in range(REPORT_TRIES):
            yield from guest_report.parse_reports(console.run('afresh; report', 60).output)

    def delete(self) -> None:
        """Delete it and wait until the API does not know it any more."""
        self._cloud.api.call('DELETE', f'/servers/{self.uuid}')
        self.wait_gone()

    def wait_gone(self) -> None:
        path = f'/servers/{self.uuid}'
        gone = wait_until(lambda: self._cloud.api.call('GET', path).status == 404, 60, 0.2)
        assert gone, (self.show(), self._cloud.log())


@dataclasses.dataclass
class Cloud:
    """One host with everything on it.

    :ivar networks: label -> the network as ``nova-manage`` printed it
    """

    sandbox: Sandbox
    settings: compute.Settings
    networks: dict[str, dict[str, Any]]
    image: str
    services: tuple[str, ...] = compute.EMBEDDED

    def __post_init__(self) -> None:
        self.api = rest.Api(self.sandbox, microversion='2.32')
        self.user = rest.Api(self.sandbox, identity.DEMO, microversion='2.32')

    def log(self) -> str:
        """The end of the services' logs."""
        paths = (compute.log_path(name) for name in self.services)
        return '\n'.join(self.sandbox.tail(path, 60) for path in paths)

    def request(
        self, networks: Sequence[dict[str, Any]], api: rest.Api | None = None, **fields: Any
    ) -> rest.Response:
        """POST /servers with these ``networks``; ``fields`` add to the server or replace."""
        server = {
            'name': 'guest',
            'imageRef': self.image,
            'flavorRef': FLAVOR,
            'networks': list(networks),
        }
        return (api or self.api).call('POST', '/servers', {'server': server | fields})

    def create(self, labels: Sequence[str], **fields: Any) -> Server:
        """A server with a NIC on each network, which goes on being built."""
        answer = self.request(
            [{'uuid': self.networks[label]['uuid']} for label in labels], **fields
        )
        assert answer.status == 202, answer.text
        return Server(self, answer.json()['server']['id'])

    @contextlib.contextmanager
    def booted(self, labels: Sequence[str], **fields: Any) -> Iterator[Server]:
        """A server that runs, and is deleted in the end."""
        server = self.create(labels, **fields)
        try:
            server.wait_status('ACTIVE')
            yield server
        finally:
            server.delete()

    def guest_hosts(self) -> Sequence[Sandbox]:
        """Those that run guests. Their names are those of the cloud's hosts."""
        return (self.sandbox,)

    def host_of(self, server: Server) -> Sandbox:
        """Where the server's guest is."""
        name = server.show()['OS-EXT-SRV-ATTR:host']
        return next(host for host in self.guest_hosts() if host.name == name)

    @contextlib.contextmanager
    def console(self, server: Server) -> Iterator[Console]:
        """A server's serial console, once its guest obeys."""
        with Console(self.host_of(server), server.domain) as console:
            console.wait_ready(READY_TIMEOUT_S)
            yield console

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the API answers to a request that it takes."""
        answer = self.api.call('POST', path, body)
        assert answer.status in (200, 202), answer.text
        return dict(answer.json()) if answer.text else {}

    def make_group(self, name: str) -> str:
        """A security group; returns its id."""
        made = self.post('/os-security-groups', {'security_group': {'name': name}})
        return str(made['security_group']['id'])

    def add_rule(self, group: str, **fields: Any) -> str:
        """A rule of a security group; returns its id."""
        body = {'security_group_rule': {'parent_group_id': group, **fields}}
        return str(self.post('/os-security-group-rules', body)['security_group_rule']['id'])

    @contextlib.contextmanager
    def watched(self, device: str) -> Iterator[list[bytes]]:
        """The frames that pass a device of the host meanwhile."""
        process = self.sandbox.popen(['python3', str(WATCH), 'watch', device])
        seen: list[bytes] = []
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == 'ready'
            yield seen
            time.sleep(1)  # the last frame's way through the guest's and the host's queues
        finally:
            seen += [bytes.fromhex(line) for line in end(process).split()]

    def delete_network(self, network: dict[str, Any]) -> None:
        """By ``nova-manage``, which does not wait until the host has forgotten its bridge."""
        compute.manage(self.sandbox, 'network', 'delete', network['uuid'])

        def is_forgotten() -> bool:
            return network['bridge'] not in self.sandbox.output('nft', 'list', 'ruleset')

        assert wait_until(is_forgotten, 30, 0.2), network

    def inventory(self) -> Inventory:
        return take(self.sandbox, self.settings.database_url)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """What is done inside leaves the host and the database as they were."""
        before = self.inventory()
        yield
        # a process that was told to end may take a moment
        wait_until(lambda: not diff(before, self.inventory(), allow=WARM), 10, 0.5)
        found = diff(before, self.inventory(), allow=WARM)
        assert found == [], found

    @contextlib.contextmanager
    def admitting(self, protocol: str, from_port: int = -1, to_port: int = -1) -> Iterator[None]:
        """The group ``default`` lets this in meanwhile, from anywhere (IPv4)."""
        groups = self.api.get('/os-security-groups')['security_groups']
        (group,) = (found['id'] for found in groups if found['name'] == 'default')
        rule = self.add_rule(group, ip_protocol=protocol, from_port=from_port, to_port=to_port)
        try:
            yield
        finally:
            assert self.api.call('DELETE', f'/os-security-group-rules/{rule}').status == 202

    def upload(self, name: str, path: str, disk_format: str = 'qcow2') -> str:
        """Upload an image with the real client; returns its id."""
        options = ['--disk-format', disk_format, '--container-format', 'bare', '--file', path]
        command = ['openstack', 'image', 'create', *options, '--public', name]
        return str(clients.run_json(self.sandbox, *command)['id'])


NETWORKS = {
    'net-a': ('10.10.0.0/24', '--dns', '192.0.2.53'),
    'net-b': ('10.20.0.0/24', '--mtu', '1400'),
    'net-c': ('10.30.0.0/16', '--gateway', '10.30.255.254'),
    'net-d': ('10.40.0.0/28', '--dns', '192.0.2.54', '--dns', '192.0.2.55'),
    'narrow': ('10.50.0.0/30',),
}


@contextlib.contextmanager
def running(
    name: str,
    settings: compute.Settings,
    services: Sequence[str] = compute.EMBEDDED,
    prepare: Callable[[Sandbox], None] = lambda _sandbox: None,
    daemons: dict[tuple[str, str], Daemon] | None = None,
) -> Iterator[Sandbox]:
    """A sandbox host with libvirtd, Keystone, Glance and these services; gone in the end.

    :param prepare: starts what the services need besides.
    :param daemons: gets the services, by the host's name and their own.
    """
    sandbox = Sandbox(f'{name}-{os.getpid()}')
    try:
        sandbox.up()
        keystone, glance = identity.launch(sandbox), images.launch(sandbox)
        libvirtd.start(sandbox)
        prepare(sandbox)
        keystone.wait_answer(identity.URL)
        glance.wait_answer(f'{images.URL}/healthcheck')
        for daemon in compute.start_services(sandbox, settings, services):
            if daemons is not None:
                daemons[sandbox.name, daemon.name] = daemon
        yield sandbox
    finally:
        sandbox.down()


def fill(
    sandbox: Sandbox,
    settings: compute.Settings,
    labels: Sequence[str],
    services: Sequence[str] = compute.EMBEDDED,
) -> Cloud:
    """Networks and the guest's image."""
    made = {label: compute.create_network(sandbox, label, *NETWORKS[label]) for label in labels}
    cloud = Cloud(sandbox, settings, made, image='', services=tuple(services))
    cloud.image = cloud.upload('tiny', str(guest_image.build()))
    return cloud


def message(answer: rest.Response) -> str:
    """The text of an error answer, whose only key names the kind of error."""
    (kind,) = json.loads(answer.text).values()
    return str(kind['message'])
