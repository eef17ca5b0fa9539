"""A host with bridges, and guests that are nothing but the far ends of their NICs: frames are put
in and looked for there, one by one, without a network stack of the guest that could interfere.

The test runs in the host's namespace, with the privileged functions in its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import time

from pyroute2 import netns
import pytest

from nova import privileged
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import nftables, rules
from nova.privileged import link as privileged_link
from nova.privileged import nft as privileged_nft

_ETH_P_ALL = 3

#: Every driver that has to pass the suites, by its name in the options.
DRIVERS: Mapping[str, Callable[[], firewall_driver.FirewallDriver]] = {
    'nftables': nftables.NftablesFirewall,
}


def run(*command: str, check: bool = True) -> str:
    """The command's output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f'{command}: {done.stderr or done.stdout}')
    return done.stdout


@pytest.fixture(scope='session', autouse=True)
def _prerequisites() -> None:
    missing = [name for name in ('ip', 'nft', 'conntrack') if shutil.which(name) is None]
    if os.geteuid() != 0:
        pytest.skip('needs root')
    if missing:
        pytest.skip(f'needs {", ".join(missing)}')


class Port:
    """The far end of a port of a bridge; ``device`` is its name on the host."""

    def __init__(self, device: str, far: str, sender: socket.socket) -> None:
        self.device = device
        self.far = far
        self.socket = sender

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.socket.send(frame)

    def drain(self) -> list[bytes]:
        """What has come until now."""
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            frame, (_device, _kind, direction, *_rest) = self.socket.recvfrom(65536)
            if direction != socket.PACKET_OUTGOING:
                found.append(frame)
        return found

    def until(self, last: bytes, timeout_s: float = 2) -> list[bytes]:
        """What comes before ``last``."""
        found: list[bytes] = []
        end = time.monotonic() + timeout_s
        while last not in found:
            if time.monotonic() > end:
                raise AssertionError(f'no {last.hex()} at {self.device}; {found}')
            select.select([self.socket], [], [], 0.05)
            found += self.drain()
        return found[: found.index(last)]


class World:
    """The host."""

    def __init__(self, host: str, far: str, undo: contextlib.ExitStack) -> None:
        self._host, self._far, self._undo = host, far, undo
        self._count = 0

    def bridge(self, name: str) -> str:
        """A bridge; returns its own MAC address."""
        run(
            'ip', 'link', 'add', name, 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0'
        )
        run('sysctl', '-qw', f'net.ipv6.conf.{name}.disable_ipv6=1')
        run('ip', 'link', 'set', name, 'up')
        return str(json.loads(run('ip', '-j', 'link', 'show', name))[0]['address'])

    def port(self, device: str, bridge: str) -> Port:
        """A port of a bridge, called ``device`` on the host."""
        self._count += 1
        far = f'far{self._count}'
        run('ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', far, 'netns', self._far)
        for where, name in ((self._far, far), (self._host, device)):
            run('ip', '-n', where, 'link', 'set', name, 'addrgenmode', 'none')
            run('ip', '-n', where, 'link', 'set', name, 'up')
        run('ip', 'link', 'set', device, 'master', bridge)
        with inside(self._far):
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            sender.bind((far, _ETH_P_ALL))
        self._undo.callback(sender.close)
        return Port(device, far, sender)

    def learned(self, bridge: str) -> set[str]:
        """The addresses that the bridge has seen."""
        entries = json.loads(run('bridge', '-j', 'fdb', 'show', 'br', bridge))
        return {entry['mac'] for entry in entries if 'permanent' not in entry.get('state', '')}


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    outside = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    netns.setns(name)
    try:
        yield
    finally:
        netns.setns(outside)
        os.close(outside)


@pytest.fixture
def world() -> Iterator[World]:
    """A host without links; the test runs in it."""
    with contextlib.ExitStack() as undo:
        host, far = (f'nt-{secrets.token_hex(4)}' for _ in range(2))
        for name in (host, far):
            run('ip', 'netns', 'add', name)
            undo.callback(run, 'ip', 'netns', 'del', name)
        privileged.network.set_client_mode(False)
        undo.callback(privileged.network.set_client_mode, True)
        undo.enter_context(inside(host))
        _close()
        undo.callback(_close)
        run('ip', 'link', 'set', 'lo', 'up')
        yield World(host, far, undo)


def _close() -> None:
    privileged_link.close()
    privileged_nft.close()


@pytest.fixture(params=sorted(DRIVERS))
def driver_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def driver(world: World, driver_name: str) -> firewall_driver.FirewallDriver:
    """A driver on a host without guests."""
    made = DRIVERS[driver_name]()
    made.init_host({}, rules.Ruleset())
    return made
