"""Hosts with a kernel of their own: user-mode-linux in a sandbox.

For what the machine's kernel has not, which is IEEE 802.1Q here and there: this is Debian's
user-mode-linux, with the drivers of a real one.  libvirtd, QEMU (without KVM) and the services run
in it unmodified; system calls are some ten times slower.

A host is a sandbox first, whose files it sees, and whose network interfaces are the wires that its
own lead to: ``up`` makes the sandbox, then somebody plugs interfaces into it, then ``boot``
starts the kernel, which has interfaces of the same names.  ``down`` takes all of it away.

Besides, it has an interface LINK, by which commands reach it (uml_agent.py).

Sources: the kernel's Documentation/virt/uml/user_mode_linux_howto_v2.rst, for the command line and
the vector network drivers; Documentation/networking/ip-sysctl.rst for ``route_localnet``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import json
from pathlib import Path
import subprocess
import sys

from lab import checkout, uml_agent, uml_call
from lab.sandbox import CommandError, Process, Sandbox, SandboxError, as_user, wait_until

KERNEL = Path('/usr/bin/linux.uml')
MODULES = Path('/usr/lib/uml/modules')
INIT = Path(__file__).with_name('uml_init')
REGISTERS = Path(__file__).with_name('uml_registers.c')
#: In the sandbox: what the kernel prints.
CONSOLE = '/var/log/uml-console.log'
#: Between the sandbox and its kernel only (RFC 2544 sets the range apart for laboratories).
LINK = 'lab0'
OUTSIDE, INSIDE = '198.18.0.1', '198.18.0.2'
BOOT_TIMEOUT_S = 120.0


def is_installed() -> bool:
    """Whether this machine has user-mode-linux (``tools/install --tests`` installs it)."""
    return KERNEL.exists()


class UmlHost(Sandbox):
    """A host with a kernel of its own.  Making the object does nothing."""

    def boot(self, *, memory_mib: int = 1536, ports: Iterable[int] = ()) -> None:
        """Start the kernel in the sandbox, which is up, and wait until it runs commands.

        :param ports: of the sandbox's loopback address, which are those of the host's as well
        :raises SandboxError: it does not start; the text has what it printed
        """
        wires = self._wires()
        self._prepare_modules()
        self._make_link(ports)
        for wire in wires:
            self._bridge_to_tap(wire)
        self._start_kernel(memory_mib, wires)
        if not wait_until(self._answers, BOOT_TIMEOUT_S, 0.2):
            raise SandboxError(f'the kernel of {self.name} does not answer\n{self.console()}')
        for number, wire in enumerate(wires, start=1):
            self.run(['ip', 'link', 'set', f'vec{number}', 'name', wire])
        self._share_ports(ports)

    def argv(self, command: Sequence[str], *, user: str = 'root', cwd: str = '/') -> list[str]:
        """As a sandbox's; the command runs on the host's own kernel."""
        return self._around([*call_argv(), *as_user(command, user, cwd)])

    def console(self, lines: int = 40) -> str:
        """The last lines that the kernel printed."""
        return self._run_around('tail', '-n', str(lines), CONSOLE)

    # --- steps

    def _around(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command in the sandbox around the kernel."""
        return super().argv(command)

    def _run_around(self, *command: str) -> str:
        done = subprocess.run(
            self._around(command), capture_output=True, text=True, errors='replace', check=False
        )
        if done.returncode != 0:
            raise CommandError(f'{" ".join(command)}: {done.stderr.strip()}')
        return done.stdout

    def _wires(self) -> list[str]:
        """The interfaces that were plugged into the sandbox, in order."""
        links = json.loads(self._run_around('ip', '-j', 'link', 'show'))
        return [link['ifname'] for link in links if link['ifname'] != 'lo']

    def _prepare_modules(self) -> None:
        """Where the kernel's modprobe looks for them."""
        self._run_around('mkdir', '-p', '/lib/modules')
        for version in MODULES.iterdir():
            self._run_around('ln', '-sfn', str(version), f'/lib/modules/{version.name}')

    def _make_link(self, ports: Iterable[int]) -> None:
        self._run_around('ip', 'tuntap', 'add', LINK, 'mode', 'tap')
        self._run_around('ip', 'address', 'add', f'{OUTSIDE}/30', 'dev', LINK)
        self._run_around('ip', 'link', 'set', LINK, 'up')
        if ports:
            self._run_around('sysctl', '-qw', f'net.ipv4.conf.{LINK}.route_localnet=1')
            self._run_around(
                'nft',
                'add table ip lab;'
                'add chain ip lab prerouting { type nat hook prerouting priority -100; };'
                f'add rule ip lab prerouting iifname {LINK} tcp dport {{ {comma(ports)} }}'
                ' dnat to 127.0.0.1',
            )

    def _bridge_to_tap(self, wire: str) -> None:
        """The kernel has one end of a tap device, the other is bridged to the wire."""
        tap, bridge = f'{wire}-t', f'{wire}-b'
        self._run_around('ip', 'tuntap', 'add', tap, 'mode', 'tap')
        options = ['type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0']
        self._run_around('ip', 'link', 'add', bridge, *options)
        for device in (wire, tap, bridge):
            # The sandbox itself says nothing on the wire, not even that it looks for routers.
            self._run_around('sysctl', '-qw', f'net.ipv6.conf.{device}.disable_ipv6=1')
        for device in (wire, tap):
            self._run_around('ip', 'link', 'set', device, 'master', bridge, 'up')
        self._run_around('ip', 'link', 'set', bridge, 'up')

    def _start_kernel(self, memory_mib: int, wires: Sequence[str]) -> None:
        taps = [LINK, *(f'{wire}-t' for wire in wires)]
        arguments = [
            f'mem={memory_mib}M',
            *('root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'quiet', 'selinux=0'),
            *('con=null', 'con0=null,fd:1', 'umid=uml', 'uml_dir=/run/uml'),
            *(
                f'vec{number}:transport=tap,ifname={tap},depth=128,gro=1'
                for number, tap in enumerate(taps)
            ),
            f'init={INIT}',
            f'host={self.name}',
            f'agent={uml_agent.__file__}',
            f'checkout={checkout.ROOT}',
            f'share={self.share}',
            f'link={LINK}',
            f'address={INSIDE}/30',
        ]
        # Its memory is a file in TMPDIR; it makes room for it by the page.
        settings = ['TMPDIR=/dev/shm', f'LD_PRELOAD={self._registers()}']
        background = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null &'
        command = ['env', *settings, str(KERNEL), *arguments]
        self._run_around('/bin/sh', '-c', background, 'sh', CONSOLE, *command)

    def _registers(self) -> str:
        library = '/run/uml-registers.so'
        self._run_around('gcc', '-O2', '-shared', '-fPIC', '-o', library, str(REGISTERS))
        return library

    def _answers(self) -> bool:
        if 'Kernel panic' in self.console():
            raise SandboxError(f'the kernel of {self.name} ended\n{self.console()}')
        return self.run(['true'], check=False).returncode == 0

    def _share_ports(self, ports: Iterable[int]) -> None:
        """Lead connections to these ports of the host's loopback address to the sandbox's.

        By the old iptables: this kernel's nftables translates no addresses.
        """
        if not ports:
            return
        self.run(['sysctl', '-qw', f'net.ipv4.conf.{LINK}.route_localnet=1'])
        nat = ['iptables-legacy', '-t', 'nat', '-A']
        target = ['-j', 'DNAT', '--to-destination', OUTSIDE]
        which = ['-d', '127.0.0.1', '-p', 'tcp', '-m', 'multiport', '--dports', comma(ports)]
        self.run([*nat, 'OUTPUT', *which, *target])
        self.run([*nat, 'POSTROUTING', '-o', LINK, '-s', '127.0.0.1', '-j', 'MASQUERADE'])

    def _guest_logs(self, process: Process) -> str:
        logs = self.run(['/bin/sh', '-c', 'cat /var/log/libvirt/qemu/*.log'], check=False)
        return logs.stdout


def call_argv() -> list[str]:
    return [sys.executable, '-I', '-S', uml_call.__file__, INSIDE]


def comma(ports: Iterable[int]) -> str:
    return ','.join(str(port) for port in ports)


def has_8021q() -> bool:
    """Whether the machine's own kernel knows VLANs."""
    probe = ['ip', 'link', 'add', 'link', 'lo', 'name', 'lab-vlan', 'type', 'vlan', 'id', '1']
    command = ['unshare', '--net', '/bin/sh', '-c', f'ip link set lo up; {" ".join(probe)}']
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
