"""Sandbox hosts: hosts made of namespaces, over a copy-on-write view of this machine.

A sandbox has its own network, mounts, processes, host name and System V objects.  It sees the
machine's files; what it changes stays in memory and is gone with it.  No name or device of it
exists on the machine, so sandboxes of several checkouts never meet.

State is in ``.run/sandbox/NAME/`` of the checkout; ``.run/share/NAME/`` is a directory that both
sides may write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
from dataclasses import dataclass
import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

from lab import checkout, sandbox_init

#: A host name (RFC 1123), short enough for every place that shows it.
NAME_FORMAT = re.compile(r'[a-z]([a-z0-9-]{0,30}[a-z0-9])?')
STATES = checkout.RUN / 'sandbox'
SHARES = checkout.RUN / 'share'
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
#: Names a file to which each sandbox, when taken down, adds a line "COUNT NAME".
GUEST_TALLY = 'NOVA_GUEST_TALLY'
#: libvirt writes this to a guest's log each time it starts QEMU for it.
GUEST_START = 'starting up libvirt version'
#: Become a user with all his groups.  Dying with the parent comes last: a change of user ends it.
AS_USER = 'exec setpriv --reuid "$0" --regid "$(id -g "$0")" --init-groups --pdeathsig KILL -- "$@"'
#: Enter the directory if it exists inside, then become the command.
IN_DIRECTORY = 'cd "$1" 2>/dev/null || cd /; shift; exec "$@"'
#: Start a command that outlives us: stdout and stderr to a file, print its process id.
IN_BACKGROUND = (
    'log=$1; shift; mkdir -p "${log%/*}"; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!'
)


class SandboxError(Exception):
    """A sandbox could not be made, entered or removed; the text says why."""


class CommandError(SandboxError):
    """A command in a sandbox failed; the text has the command and what it printed."""


@dataclass(frozen=True)
class Process:
    """The first process of a sandbox, as the machine sees it."""

    pid: int
    start: int
    boot: str
    pid_namespace: str
    since: float

    def is_alive(self) -> bool:
        """Whether it still runs; another process with the same number does not count."""
        try:
            stat = Path(f'/proc/{self.pid}/stat').read_text().rpartition(')')[2].split()
        except OSError:
            return False
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        return stat[0] not in 'ZX' and int(stat[19]) == self.start and boot == self.boot


class Sandbox:
    """One sandbox host, running or not.  Making the object does nothing."""

    def __init__(self, name: str) -> None:
        if not NAME_FORMAT.fullmatch(name):
            raise SandboxError(f'{name!r} is not a host name of small letters, digits and dashes')
        self.name = name
        self.state = STATES / name
        self.share = SHARES / name

    def __repr__(self) -> str:
        return f'Sandbox({self.name!r})'

    # --- life -------------------------------------------------------------------------

    def process(self) -> Process | None:
        """Its first process, or None when it is not running."""
        try:
            process = Process(**json.loads((self.state / 'state.json').read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return process if process.is_alive() else None

    def is_up(self) -> bool:
        return self.process() is not None

    def up(self, *, kvm: bool = False) -> None:
        """Start it.  Raises SandboxError, also when it is running already."""
        if os.geteuid() != 0:
            raise SandboxError('sandboxes need root')
        with self._locked():
            if self.is_up():
                raise SandboxError(f'sandbox {self.name} is already up')
            self._remove_files()
            (self.state / 'mnt').mkdir(parents=True)
            self.share.mkdir(parents=True)
            load_modules()
            answer = self._start_init(kvm)
            if answer != 'ready':
                self._stop()
                self._remove_files()
                raise SandboxError(f'sandbox {self.name}: {answer or "its first process died"}')

    def down(self) -> None:
        """End all its processes and remove every trace; nothing happens if there is none."""
        with self._locked():
            self._tally_guests()
            self._stop()
            self._remove_files()

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        STATES.mkdir(parents=True, exist_ok=True)
        return checkout.locked(STATES / '.lock')

    def _start_init(self, kvm: bool) -> str:
        plan = {
            'name': self.name,
            'checkout': str(checkout.ROOT),
            'share': str(self.share),
            'state': str(self.state),
            'kvm': kvm,
        }
        init = subprocess.Popen(
            [sys.executable, '-I', '-S', sandbox_init.__file__, json.dumps(plan)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={'PATH': PATH, 'LANG': 'C.UTF-8'},
            text=True,
        )
        try:
            # Its first process holds the other end until it is ready or dead.
            answer, _ = init.communicate(timeout=START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return f'not ready after {START_TIMEOUT_S:.0f} s'
        return answer.strip()

    def _stop(self) -> None:
        process = self.process()
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        # The kernel ends a process namespace's first process after all the others.
        while process.is_alive():
            if time.monotonic() > deadline:
                raise SandboxError(f'process {process.pid} of {self.name} does not end')
            time.sleep(0.01)

    def _tally_guests(self) -> None:
        """Note how many guests were started here, for the summary of a test run."""
        process, path = self.process(), os.environ.get(GUEST_TALLY)
        if process is None or path is None:
            return
        with Path(path).open('a') as tally:
            tally.write(f'{self._guest_logs(process).count(GUEST_START)} {self.name}\n')

    def _guest_logs(self, process: Process) -> str:
        """What libvirt wrote of its guests."""
        logs = Path(f'/proc/{process.pid}/root/var/log/libvirt/qemu').glob('*.log')
        return ''.join(log.read_text(errors='replace') for log in logs)

    def _remove_files(self) -> None:
        for path in (self.share, self.state):
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # only if it was the last one

    # --- work inside ------------------------------------------------------------------

    def argv(self, command: Sequence[str], *, user: str = 'root', cwd: str = '/') -> list[str]:
        """The command line that runs a command inside, with its terminal and exit code.

        The command is killed when whoever waits for it is.
        """
        process = self.process()
        if process is None:
            raise SandboxError(f'sandbox {self.name} is not up')
        return [
            *('nsenter', f'--target={process.pid}', '--mount', '--uts', '--ipc', '--net'),
            *('--pid', '--cgroup', '--root', '--', *as_user(command, user, cwd)),
        ]

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        user: str = 'root',
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout_s: float | None = 120.0,
        cwd: str = '/',
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and wait; stdout and stderr are in the answer.

        :param check: raise CommandError when it fails
        :param env: added to a clean environment
        :raises SandboxError: it did not end in time, or the sandbox is not up
        """
        try:
            done = subprocess.run(
                self.argv(command, user=user, cwd=cwd),
                env=clean_environment(user, env),
                input=stdin if stdin is not None else '',
                capture_output=True,
                text=True,
                errors='replace',
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise CommandError(f'{" ".join(command)}: not done after {timeout_s} s') from exc
        if check and done.returncode != 0:
            raise CommandError(describe_failure(command, done))
        return done

    def output(self, *command: str) -> str:
        """What a command prints; CommandError when it fails."""
        return self.run(command).stdout

    def popen(
        self,
        command: Sequence[str],
        *,
        user: str = 'root',
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command inside with pipes for stdin and stdout; stderr goes to stdout.

        Whoever starts it ends it, by ``end`` or ``kill_group``.
        """
        return subprocess.Popen(
            self.argv(command, user=user),
            env=clean_environment(user, env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            process_group=0,
        )

    def spawn(
        self,
        command: Sequence[str],
        log: str,
        *,
        user: str = 'root',
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Start a service inside that outlives the caller.

        :param log: a file inside, to which its stdout and stderr are added
        :returns: its process id, as seen inside
        """
        background = ('/bin/sh', '-c', IN_BACKGROUND, 'sh', log, *command)
        return int(self.run(background, user=user, env=env).stdout)

    def kill(self, pid: int, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to a process inside; a process that is gone is no error."""
        self.run(['kill', f'-{int(number)}', str(pid)], check=False)

    def process_is_alive(self, pid: int) -> bool:
        """Whether a process inside, known by its number inside, still runs."""
        state = self.run(['ps', '-o', 'stat=', '-p', str(pid)], check=False).stdout
        return bool(state.strip()) and not state.startswith('Z')

    def wait_process_end(self, pid: int, timeout_s: float) -> bool:
        """Wait until a process inside is gone; False if it is still there after the time."""
        return wait_until(lambda: not self.process_is_alive(pid), timeout_s)

    def write_file(self, path: str, text: str, *, mode: int = 0o644, owner: str = 'root') -> None:
        """Write a file inside, by a process inside: symbolic links lead where they should."""
        script = (
            'umask 077; mkdir -p -m 755 "${1%/*}"; cat >"$1" && chown "$2" "$1" && chmod "$3" "$1"'
        )
        command = ['/bin/sh', '-c', script, 'sh', path, f'{owner}:', f'{mode:o}']
        self.run(command, stdin=text)

    def read_file(self, path: str) -> str:
        """The text of a file inside; CommandError when there is none."""
        return self.output('cat', path)

    def tail(self, path: str, lines: int = 30) -> str:
        """The last lines of a file inside; a note when there is none."""
        done = self.run(['tail', '-n', str(lines), path], check=False)
        return done.stdout if done.returncode == 0 else f'(no {path})\n'


def as_user(command: Sequence[str], user: str, cwd: str) -> list[str]:
    """The command line that runs a command as a user, in a directory if it is there."""
    return [*('/bin/sh', '-c', AS_USER, user, '/bin/sh', '-c', IN_DIRECTORY, 'sh', cwd), *command]


def load_modules() -> None:
    """What the services inside want of the machine's kernel and cannot load themselves. Where it
    is built in, or there are no modules, nothing happens."""
    if shutil.which('modprobe', path=PATH) is not None:
        subprocess.run(['modprobe', '-q', 'br_netfilter'], check=False, env={'PATH': PATH})


def clean_environment(user: str, extra: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of commands inside: nothing of the caller's own reaches a test."""
    home = '/root' if user == 'root' else f'/var/lib/{user}'
    base = {'PATH': PATH, 'LANG': 'C.UTF-8', 'HOME': home, 'USER': user, 'LOGNAME': user}
    return base | dict(extra or {})


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a command of ``Sandbox.popen``, and all that it started and did not give a session of
    its own: a shell's children outlive it otherwise, and hold its pipes."""
    if process.returncode is None:  # else its number may be somebody else's by now
        os.killpg(process.pid, signal.SIGKILL)


def end(process: subprocess.Popen[str], timeout_s: float = 20.0) -> str:
    """Kill a command of ``Sandbox.popen``, and all that it started; returns what it had printed.

    Raises subprocess.TimeoutExpired if somebody else holds its output.
    """
    with process:  # whatever happens, its pipes are closed
        kill_group(process)
        output, _ = process.communicate(timeout=timeout_s)
    return output


def describe_failure(command: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    """Command, exit code, stdout and stderr in fixed lines."""
    return (
        f'command: {" ".join(command)}\nexit code: {done.returncode}\n'
        f'stdout: {done.stdout.strip()[-4000:]}\nstderr: {done.stderr.strip()[-4000:]}'
    )


def wait_until(is_so: Callable[[], bool], timeout_s: float, interval_s: float = 0.1) -> bool:
    """Ask again and again until the answer is yes; False when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        if is_so():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_s)


def list_sandboxes() -> list[Sandbox]:
    """All sandboxes of this checkout, running or dead."""
    if not STATES.is_dir():
        return []
    names = sorted(path.name for path in STATES.iterdir() if path.is_dir())
    return [Sandbox(name) for name in names if NAME_FORMAT.fullmatch(name)]


def count_processes(process: Process) -> int:
    """How many processes a sandbox has, its first one included."""
    count = 0
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                count += os.readlink(entry / 'ns/pid') == process.pid_namespace
    return count
