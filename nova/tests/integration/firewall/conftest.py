"""Hosts with bridges, and guests that are nothing but the far ends of their NICs: frames are put
in and looked for there, one by one, without a network stack of the guest that could interfere.

The test runs in the namespace of the first host, with the privileged functions in its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import functools
import json
import os
import re
import secrets
import select
import shutil
import socket
import subprocess
import time

from pyroute2 import netns
import pytest

from lab import links, sandbox
from nova import privileged
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import iptables, nftables, rules
from nova.privileged import link as privileged_link
from nova.privileged import nft as privileged_nft
from nova.tests.integration.firewall import libvirt_ports

_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h


def run(*command: str, check: bool = True, stdin: str | None = None) -> str:
    """The command's output."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, input=stdin
    )
    if check and done.returncode != 0:
        raise AssertionError(f'{command}: {done.stderr or done.stdout}')
    return done.stdout


def without_drops(listing: str) -> str:
    """Rules of nftables without what packets add to them, whenever they come."""
    return re.sub(r'(set drops \{[^{}]*?)\n\s*elements = \{[^{}]*\}', r'\1', listing)


def list_rules() -> str:
    """All rules of nftables, with handles, which are new for whatever is made anew."""
    return without_drops(run('nft', '-a', '-s', 'list', 'ruleset'))


@pytest.fixture(scope='session', autouse=True)
def _prerequisites() -> None:
    missing = [name for name in ('ip', 'nft', 'conntrack') if shutil.which(name) is None]
    if os.geteuid() != 0:
        pytest.skip('needs root')
    if missing:
        pytest.skip(f'needs {", ".join(missing)}')
    sandbox.load_modules()


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

    def until(self, last: bytes, timeout_s: float = 20) -> list[bytes]:
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
    """A host. ``plugged`` is called with each device that becomes a port, which is the time at
    which libvirt would load its filters."""

    def __init__(self, host: str, far: str, undo: contextlib.ExitStack) -> None:
        self.host, self.far, self._undo = host, far, undo
        self.plugged: Callable[[str], None] = lambda _device: None
        self._count = 0
        for name in (host, far):
            self._add_namespace(name)
        run('ip', '-n', host, 'link', 'set', 'lo', 'up')
        # A bridge says twice that it leaves the group of snoopers: not a second apart, in a test.
        for setting in ('ipv4/conf/default/igmpv3', 'ipv6/conf/default/mldv2'):
            self.run('sysctl', '-qw', f'net/{setting}_unsolicited_report_interval=10')

    def _add_namespace(self, name: str) -> None:
        run('ip', 'netns', 'add', name)
        self._undo.callback(run, 'ip', 'netns', 'del', name)

    def namespace(self) -> str:
        """A namespace that goes with the host."""
        name = f'nt-{secrets.token_hex(4)}'
        self._add_namespace(name)
        return name

    def run(self, *command: str, check: bool = True, stdin: str | None = None) -> str:
        """The output of a command in the host's namespace."""
        return run('ip', 'netns', 'exec', self.host, *command, check=check, stdin=stdin)

    def bridge(self, name: str) -> str:
        """A bridge as the services make it; returns its own MAC address."""
        with inside(self.host):
            privileged_link.close()
            privileged_link.ensure_bridge(name, f'nova:{name}', None, None)
            privileged_link.close()
        # or what is sent to groups would be kept from those who do not listen
        run('ip', '-n', self.host, 'link', 'set', name, 'type', 'bridge', 'mcast_snooping', '0')
        shown = json.loads(run('ip', '-n', self.host, '-j', 'link', 'show', name))
        return str(shown[0]['address'])

    def port(
        self,
        device: str,
        bridge: str,
        where: str | None = None,
        *,
        early: Callable[[Port], None] = lambda _port: None,
    ) -> Port:
        """A port of a bridge, called ``device`` on the host, whose far end is in the namespace
        ``where``, or in that of all others; ``early`` is called before the bridge gets it."""
        self._count += 1
        far, inner = f'far{self._count}', where or self.far
        ends = ('type', 'veth', 'peer', 'name', far, 'netns', inner)
        run('ip', '-n', self.host, 'link', 'add', device, *ends)
        for where, name in ((inner, far), (self.host, device)):
            run('ip', '-n', where, 'link', 'set', name, 'addrgenmode', 'none')
            run('ip', '-n', where, 'link', 'set', name, 'up')
        self._wait_up(inner, far)
        self._wait_up(self.host, device)
        made = Port(device, far, self._listen(inner, far))
        self.plugged(device)
        early(made)
        run('ip', '-n', self.host, 'link', 'set', device, 'master', bridge)
        return made

    def wire(self, other: World, bridge: str) -> None:
        """Join the bridges of this name of both hosts, by a port called ``up`` and its name."""
        end = f'up{bridge}'
        ends = ('type', 'veth', 'peer', 'name', end, 'netns', other.host)
        run('ip', '-n', self.host, 'link', 'add', end, *ends)
        for where in (self.host, other.host):
            run('ip', '-n', where, 'link', 'set', end, 'addrgenmode', 'none')
            run('ip', '-n', where, 'link', 'set', end, 'up')
            run('ip', '-n', where, 'link', 'set', end, 'master', bridge)
        for where in (self.host, other.host):
            self._wait_up(where, end)

    @staticmethod
    def _wait_up(where: str, device: str) -> None:
        links.wait_up(device, functools.partial(run, 'ip', 'netns', 'exec', where))

    def ear(self, device: str) -> Port:
        """What passes a device of the host itself; on a bridge, what the host gets to hear."""
        return Port(device, device, self._listen(self.host, device))

    def _listen(self, where: str, device: str) -> socket.socket:
        with inside(where):
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            sender.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
            sender.bind((device, _ETH_P_ALL))
        self._undo.callback(sender.close)
        return sender

    def learned(self, bridge: str) -> set[str]:
        """The addresses that the bridge has seen."""
        entries = json.loads(run('bridge', '-n', self.host, '-j', 'fdb', 'show', 'br', bridge))
        return {entry['mac'] for entry in entries if 'permanent' not in entry.get('state', '')}

    def forget_learned(self, bridge: str) -> None:
        run('ip', '-n', self.host, 'link', 'set', bridge, 'type', 'bridge', 'fdb_flush')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A driver as the suites run it, by the name of its column in the page of attacks.

    ``make`` gives it, on this host, after starting what it needs (whose end is put on the stack).
    ``missing`` says why it cannot run here. ``unheld`` are the rows of the attacks, as the page
    calls them, that its mechanism cannot hold, with the reason. ``snapshot`` is all that it may
    have made on the host, with what is new for whatever is made anew. ``lose`` removes all of it,
    as somebody else might. ``needs_bridged_packets``: without br_netfilter it refuses all that is
    new. ``needs_tracking``: groups are in force only while br_netfilter hands bridged packets to
    iptables. ``sees``: whether the mechanism can tell a frame from one that is allowed. ``frames``:
    how many random ones are tried between two changes, the more the longer a change takes.
    """

    name: str
    make: Callable[[World, contextlib.ExitStack], firewall_driver.FirewallDriver]
    missing: Callable[[], str | None] = lambda: None
    snapshot: Callable[[], str] = list_rules
    lose: Callable[[], object] = lambda: run('nft', 'flush', 'ruleset')
    needs_tracking: bool = False
    sees: Callable[[bytes], bool] = lambda _frame: True
    frames: int = 25
    unheld: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs_bridged_packets: bool = False


def _build_iptables(backend: str) -> Case:
    programs = [f'{name}-{backend}' for name in ('iptables', 'ip6tables')]

    def snapshot() -> str:
        found = [list_rules(), run('ipset', 'save')]
        for program in programs if backend == 'legacy' else ():
            text = run(f'{program}-save')
            found.append(re.sub(r'(?m)^#.*\n| \[\d+:\d+\]$', '', text))
        return '\n'.join(found)

    def lose() -> None:
        for program in programs if backend == 'legacy' else ():
            run(program, '-t', 'mangle', '-F')
            run(program, '-t', 'mangle', '-X')
        run('nft', 'flush', 'ruleset')

    def missing() -> str | None:
        lacking = [name for name in (*programs, 'ipset') if shutil.which(name) is None]
        return f'needs {", ".join(lacking)}' if lacking else None

    return Case(
        name=f'iptables-{backend}',
        make=lambda _world, _undo: iptables.IptablesFirewall(backend),
        missing=missing,
        snapshot=snapshot,
        lose=lose,
        needs_bridged_packets=True,
    )


#: Every driver that has to pass the suites.
CASES = (
    Case(name='nftables', make=lambda _world, _undo: nftables.NftablesFirewall()),
    _build_iptables('legacy'),
    _build_iptables('nft'),
    Case(
        name='nwfilter',
        make=libvirt_ports.make,
        missing=libvirt_ports.missing,
        needs_tracking=True,
        unheld=libvirt_ports.UNHELD,
        sees=libvirt_ports.sees,
        frames=50,
    ),
)


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
        made = make_world(undo)
        privileged.network.set_client_mode(False)
        undo.callback(privileged.network.set_client_mode, True)
        undo.enter_context(inside(made.host))
        _close()
        undo.callback(_close)
        yield made


@pytest.fixture
def other_host(world: World) -> Iterator[World]:
    """Another host, without links either and without a firewall."""
    with contextlib.ExitStack() as undo:
        yield make_world(undo)


def make_world(undo: contextlib.ExitStack) -> World:
    host, far = (f'nt-{secrets.token_hex(4)}' for _ in range(2))
    return World(host, far, undo)


def _close() -> None:
    privileged_link.close()
    privileged_nft.close()


@pytest.fixture(params=CASES, ids=lambda case: str(case.name))
def case(request: pytest.FixtureRequest) -> Case:
    """A driver that can run here."""
    found: Case = request.param
    if reason := found.missing():
        pytest.skip(reason)
    return found


@pytest.fixture
def undo() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def driver(world: World, case: Case, undo: contextlib.ExitStack) -> firewall_driver.FirewallDriver:
    """A driver on a host without guests."""
    made = case.make(world, undo)
    made.init_host({}, rules.Ruleset())
    return made
