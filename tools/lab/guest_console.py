"""Typing commands at the serial console of a test guest.

The guest obeys shell commands, one a line, and says ``NOVA-CMD-DONE rc=N`` after each
(``guest/init``).  The console must be a pseudo-terminal of libvirt's, as ``virsh ttyconsole``
names it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
import os
import re
import select
import time
from types import TracebackType

from lab.sandbox import Sandbox, SandboxError, end

#: Both directions of a terminal device, over our stdout and stdin.
RELAY = 'stty -F "$1" raw -echo; cat "$1" & exec cat >"$1"'
#: The guest's terminal takes no longer line (N_TTY_BUF_SIZE of the kernel).
LONGEST_LINE = 4000


class ConsoleError(Exception):
    """The guest did not answer in time; the text has what it printed."""


@dataclass(frozen=True)
class Answer:
    """What a command in the guest gave: its exit code, and what it printed (both streams)."""

    code: int
    output: str


class Console:
    """A guest's serial console; use it in a ``with`` statement."""

    def __init__(self, sandbox: Sandbox, domain: str) -> None:
        """Attach to a libvirt domain by its name.  Raises CommandError if it does not run."""
        tty = sandbox.output('virsh', '-c', 'qemu:///system', 'ttyconsole', domain).strip()
        if not tty.startswith('/dev/pts/'):
            raise SandboxError(f'the serial console of {domain} is no terminal: {tty!r}')
        self._relay = sandbox.popen(['/bin/sh', '-c', RELAY, 'sh', tty])
        self._received = ''
        self._count = 0

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # All of it: the half that reads the terminal would take the next one's first words.
        end(self._relay)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the guest obeys; it may still be booting."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(ConsoleError):
                self.run(':', timeout_s=2.0)
                return
            if time.monotonic() > deadline:
                raise ConsoleError(f'the guest does not obey: {self._received[-2000:]!r}')

    def run(self, command: str, timeout_s: float = 60.0) -> Answer:
        """Run one line of shell in the guest.  Raises ConsoleError after the time."""
        self._count += 1
        # The number tells this command's answer from a late one of an earlier command.
        line = f'echo NOVA-ID {self._count}; {command}\n'
        if len(line) > LONGEST_LINE or '\n' in command:
            raise ValueError('a command is one line of at most 4000 characters')
        assert self._relay.stdin is not None
        self._relay.stdin.write(line)
        self._relay.stdin.flush()
        wanted = re.compile(
            rf'^NOVA-ID {self._count}\n(.*?)^NOVA-CMD-DONE rc=(\d+)\n', re.MULTILINE | re.DOTALL
        )
        deadline = time.monotonic() + timeout_s
        while (found := wanted.search(self._received)) is None:
            self._receive(deadline)
        self._received = self._received[found.end() :]
        return Answer(int(found[2]), found[1])

    def _receive(self, deadline: float) -> None:
        assert self._relay.stdout is not None
        number = self._relay.stdout.fileno()
        left = deadline - time.monotonic()
        ready = select.select([number], [], [], left)[0] if left > 0 else []
        data = os.read(number, 65536) if ready else b''
        if not data:
            raise ConsoleError(f'no answer from the guest: {self._received[-2000:]!r}')
        self._received += data.decode(errors='replace').replace('\r', '')
