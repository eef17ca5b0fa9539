"""A host and its guests as network namespaces.

The test itself runs in the host's namespace, with the privileged functions in its own process;
judges are other instruments: ``ip -j``, ``/proc``, and busybox's DHCP client in a guest namespace
behind a veth pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any

from pyroute2 import netns
import pytest

from lab import links
from nova import privileged
import nova.conf
from nova.network import topology
from nova.network.linux import host as linux_host
from nova.privileged import dnsmasq as privileged_dnsmasq
from nova.privileged import link as privileged_link
from nova.tests.unit.network import samples

CONF = nova.conf.CONF

METADATA = {'169.254.169.254/32', 'fe80::a9fe:a9fe/128'}
_LINK_VALUES = ('info_data', 'info_slave_data')
_RUNNING = ('state', 'topology_change', 'topology_change_detected', 'topology_change_ack')

_SCRIPT = """#!/bin/sh
case $1 in
bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    ;;
esac
{
    echo "event=$1"
    env | grep -E '^(ip|mask|router|dns|mtu|domain|hostname|serverid|lease)='
    echo
} >>EVENTS
"""


def run(*command: str, check: bool = True) -> str:
    """The command's output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f'{command}: {done.stderr or done.stdout}')
    return done.stdout


@pytest.fixture(scope='session', autouse=True)
def _prerequisites() -> None:
    missing = [name for name in ('ip', 'dnsmasq', 'busybox') if shutil.which(name) is None]
    if os.geteuid() != 0:
        pytest.skip('needs root')
    if missing:
        pytest.skip(f'needs {", ".join(missing)}')


class Machine:
    """A namespace."""

    def __init__(self) -> None:
        self.name = f'nt-{secrets.token_hex(4)}'
        run('ip', 'netns', 'add', self.name)

    def run(self, *command: str, check: bool = True) -> str:
        return run('ip', 'netns', 'exec', self.name, *command, check=check)

    def remove(self) -> None:
        run('ip', 'netns', 'del', self.name)


class Guest(Machine):
    """A namespace with one interface, ``eth0``, in a bridge of the host."""

    def __init__(self, folder: pathlib.Path, bridge: str, mac: str) -> None:
        super().__init__()
        self.port = f'p{secrets.token_hex(4)}'
        self._events = folder / f'{self.name}.events'
        self._script = folder / f'{self.name}.sh'
        self._script.write_text(_SCRIPT.replace('EVENTS', str(self._events)))
        self._script.chmod(0o755)
        peer = ('peer', 'name', 'eth0', 'address', mac, 'netns', self.name)
        run('ip', 'link', 'add', self.port, 'type', 'veth', *peer)
        run('ip', 'link', 'set', self.port, 'master', bridge, 'up')
        self.run('ip', 'link', 'set', 'eth0', 'up')
        links.wait_up('eth0', self.run)
        links.wait_up(self.port, run)

    def lease(self, tries: int = 8) -> dict[str, str] | None:
        """What the DHCP client was given; None when nobody answered."""
        self._events.unlink(missing_ok=True)
        self.run(*self._client(tries), '-n', '-q', check=False)
        bound = [event for event in self.events() if event['event'] == 'bound']
        return bound[-1] if bound else None

    @contextlib.contextmanager
    def client(self) -> Iterator[subprocess.Popen[bytes]]:
        """A DHCP client that stays."""
        self._events.unlink(missing_ok=True)
        process = subprocess.Popen(
            ['ip', 'netns', 'exec', self.name, *self._client(3)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _client(self, tries: int) -> list[str]:
        wanted = ('-O', 'mtu', '-O', 'router', '-O', 'dns')
        timing = ('-t', str(tries), '-T', '1')
        return ['busybox', 'udhcpc', '-f', '-i', 'eth0', '-s', str(self._script), *wanted, *timing]

    def events(self) -> list[dict[str, str]]:
        if not self._events.exists():
            return []
        blocks = self._events.read_text().strip().split('\n\n')
        return [dict(line.split('=', 1) for line in block.splitlines()) for block in blocks]

    def remove(self) -> None:
        run('ip', 'link', 'del', self.port, check=False)
        super().remove()


@dataclasses.dataclass(frozen=True)
class Host:
    """The host under test."""

    name: str
    run_path: pathlib.Path
    networks: linux_host.HostNetworks

    @property
    def options(self) -> topology.HostOptions:
        return samples.options(str(self.run_path))

    def links(self) -> dict[str, dict[str, Any]]:
        """All devices by name, with all that is set and nothing that runs on by itself."""
        found = json.loads(run('ip', '-j', '-d', 'address'))
        for link in found:
            link.pop('operstate')
            link['flags'] = sorted(set(link['flags']) - {'NO-CARRIER', 'LOWER_UP', 'M-DOWN'})
            for values in (link.get('linkinfo', {}).get(key, {}) for key in _LINK_VALUES):
                for key in [key for key in values if key in _RUNNING or key.endswith('_timer')]:
                    del values[key]
        return {link['ifname']: link for link in found}

    def addresses(self, name: str) -> set[str]:
        """Those of the network; that of the metadata service is the same on all."""
        found = self.links()[name]['addr_info']
        return {f'{entry["local"]}/{entry["prefixlen"]}' for entry in found} - METADATA

    def pid(self, uuid: str) -> int | None:
        return privileged_dnsmasq.running_pid(f'{self.run_path}/networks/{uuid}/dnsmasq.pid')


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with nothing but ``lo``; the test runs in it."""
    with contextlib.ExitStack() as undo:
        # below /run, since the DHCP server reads its files as another user
        run_path = pathlib.Path(tempfile.mkdtemp(prefix='nova-test-', dir='/run'))
        undo.callback(shutil.rmtree, run_path)
        run_path.chmod(0o755)
        name = f'nt-{secrets.token_hex(4)}'
        run('ip', 'netns', 'add', name)
        undo.callback(run, 'ip', 'netns', 'del', name)
        outside = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        undo.callback(os.close, outside)
        undo.enter_context(_privileged_here(run_path))
        netns.setns(name)
        undo.callback(netns.setns, outside)
        run('ip', 'link', 'set', 'lo', 'up')
        undo.callback(_stop_servers, run_path)
        yield Host(name, run_path, linux_host.HostNetworks(str(run_path)))


@contextlib.contextmanager
def _privileged_here(run_path: pathlib.Path) -> Iterator[None]:
    """The privileged functions run in the process of the test."""
    CONF.set_override('run_path', str(run_path))
    for context in (privileged.network, privileged.guest_files):
        context.set_client_mode(False)
    privileged_link.close()
    try:
        yield
    finally:
        privileged_link.close()
        for context in (privileged.network, privileged.guest_files):
            context.set_client_mode(True)
        CONF.clear_override('run_path')


def _stop_servers(run_path: pathlib.Path) -> None:
    for pid_file in run_path.glob('networks/*/dnsmasq.pid'):
        pid = privileged_dnsmasq.running_pid(str(pid_file))
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def guest(host: Host) -> Iterator[Callable[[str, str], Guest]]:
    """``guest(bridge, mac)`` makes a guest there."""
    with contextlib.ExitStack() as undo:

        def make(bridge: str, mac: str) -> Guest:
            made = Guest(host.run_path, bridge, mac)
            undo.callback(made.remove)
            return made

        yield make


def wait_for(condition: Callable[[], Any], timeout_s: float = 10) -> Any:
    """The first true result of ``condition``."""
    end = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'not so after {timeout_s} s')
        time.sleep(0.02)
    return result
