"""What joins sandbox hosts: a switch, and servers that several hosts share.

The switch is a sandbox itself, with a bridge for each wire, so that it is found and removed like
any other; a port of it is one end of a veth pair, whose other end is an interface of a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import subprocess
import sys

from lab import relay
from lab.sandbox import Sandbox, SandboxError


class Switch:
    """A switch whose wires carry whatever frames, tagged or not, to all hosts on them."""

    def __init__(self, name: str) -> None:
        self.sandbox = Sandbox(name)
        self._ports = 0

    def up(self, wires: Iterable[str]) -> None:
        """Start it with these wires.  Raises SandboxError."""
        self.sandbox.up()
        for wire in wires:
            bridge = ['ip', 'link', 'add', wire, 'type', 'bridge', 'forward_delay', '0']
            self.sandbox.run([*bridge, 'mcast_snooping', '0'])
            self.sandbox.run(['ip', 'link', 'set', wire, 'up'])

    def down(self) -> None:
        self.sandbox.down()

    def plug(self, wire: str, host: Sandbox, device: str) -> str:
        """Give a host the interface ``device``, which is down, on a wire.

        :returns: the name of the port, of use for ``tcpdump`` or ``ip link set PORT down``
        """
        self._ports += 1
        port = f'port{self._ports}'
        peer = ['peer', 'name', port, 'netns', str(first_process(self.sandbox))]
        ends = ['name', device, 'netns', str(first_process(host)), 'type', 'veth', *peer]
        done = subprocess.run(
            ['ip', 'link', 'add', *ends], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SandboxError(f'no wire from {host.name} to {wire}: {done.stderr.strip()}')
        self.sandbox.run(['ip', 'link', 'set', port, 'master', wire, 'up'])
        return port


def first_process(host: Sandbox) -> int:
    process = host.process()
    if process is None:
        raise SandboxError(f'sandbox {host.name} is not up')
    return process.pid


@contextlib.contextmanager
def shared_ports(here: Sandbox, there: Sandbox, ports: Iterable[int]) -> Iterator[None]:
    """Let these TCP ports of the loopback address ``here`` be those ``there``."""
    pids = (first_process(here), first_process(there))
    numbers = [str(number) for number in (*pids, *ports)]
    # it ends with whoever made it, even if that is killed
    command = ['setpriv', '--pdeathsig', 'KILL', sys.executable, '-I', relay.__file__, *numbers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline().strip() != 'ready':
                raise SandboxError(f'ports of {there.name} cannot be had in {here.name}')
            yield
        finally:
            process.kill()
