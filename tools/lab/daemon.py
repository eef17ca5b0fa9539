"""A service process in a sandbox: started, watched, stopped, its log at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import signal
import sys
import time

from lab import wait_answer
from lab.sandbox import Sandbox, SandboxError

#: How long a service may take to end after SIGTERM before it is killed.
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Daemon:
    """A running service; ``pid`` is the number inside, ``log`` a file inside.

    ``since`` is when it was started, in seconds since 1970.
    """

    sandbox: Sandbox
    name: str
    pid: int
    log: str
    since: float

    @classmethod
    def start(
        cls,
        sandbox: Sandbox,
        name: str,
        command: Sequence[str],
        *,
        log: str,
        user: str = 'root',
        env: Mapping[str, str] | None = None,
    ) -> Daemon:
        """Start it and return at once."""
        since = time.time()
        pid = sandbox.spawn(command, log, user=user, env=env)
        return cls(sandbox, name, pid, log, since)

    def is_alive(self) -> bool:
        return self.sandbox.process_is_alive(self.pid)

    def wait_answer(self, url: str, timeout_s: float = 60.0) -> None:
        """Wait until it answers at an http: or tcp: URL; SandboxError has the end of its log."""
        command = [sys.executable, '-I', wait_answer.__file__, url, str(timeout_s), str(self.pid)]
        done = self.sandbox.run(command, check=False, timeout_s=timeout_s + 30)
        if done.returncode != 0:
            why = 'it ended' if done.returncode == 2 else f'not in {timeout_s:.0f} s'
            raise SandboxError(f'{self.name} does not serve {url}: {why}\n{self.tail()}')

    def stop(self) -> None:
        """Ask it to end, kill it if it does not; nothing happens if it is gone."""
        self.sandbox.kill(self.pid)
        if not self.sandbox.wait_process_end(self.pid, STOP_TIMEOUT_S):
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.sandbox.kill(self.pid, signal.SIGKILL)
        self.sandbox.wait_process_end(self.pid, STOP_TIMEOUT_S)

    def tail(self, lines: int = 30) -> str:
        """The end of its log, with a headline."""
        return f'--- the end of {self.log} ---\n{self.sandbox.tail(self.log, lines)}'
