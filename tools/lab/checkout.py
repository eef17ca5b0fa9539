"""Where things are in this source tree."""

from __future__ import annotations

from pathlib import Path

#: The root of the source tree.
ROOT = Path(__file__).resolve().parents[2]
#: Everything that running things leaves in the tree; git ignores it.
RUN = ROOT / '.run'
#: Slow results worth keeping between runs: guest images, database templates, QEMU's capabilities.
CACHE = RUN / 'cache'
#: The Python environment that tools/install makes.
VENV = RUN / 'venv'


def venv_command(name: str) -> str:
    """The path of a command of the Python environment, whether it exists yet or not."""
    return str(VENV / 'bin' / name)
