"""Where things are in this source tree."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
from pathlib import Path

#: The root of the source tree.
ROOT = Path(__file__).resolve().parents[2]
#: Everything that running things leaves in the tree; git ignores it.
RUN = ROOT / '.run'
#: Slow results worth keeping between runs: guest images, database templates, QEMU's capabilities.
CACHE = RUN / 'cache'
#: The Python environment that tools/install makes.
VENV = RUN / 'venv'


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; ``path`` is the lock's file, in a directory that exists."""
    with path.open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def venv_command(name: str) -> str:
    """The path of a command of the Python environment, whether it exists yet or not."""
    return str(VENV / 'bin' / name)
