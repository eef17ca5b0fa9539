"""The console log of a guest.

virtlogd, which is root, appends to it what the guest writes to its serial port, and rotates it by
size: ``console.log.0`` holds what came before ``console.log``. The driver makes the first file,
so that it belongs to the service's user; those that virtlogd makes belong to root.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_empty_log(path: Path) -> None:
    """Make the log, empty, readable by the service's user only."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))


def read_tail(path: Path, max_bytes: int) -> bytes:
    """The last ``max_bytes`` bytes of the log, reaching back into the rotated one.

    :raises FileNotFoundError: there is no log.
    :raises PermissionError: the log was rotated, and this is not root.
    """
    tail = _tail(path, max_bytes)
    if len(tail) < max_bytes:
        rotated = path.with_name(f'{path.name}.0')
        if rotated.exists():
            tail = _tail(rotated, max_bytes - len(tail)) + tail
    return tail


def _tail(path: Path, max_bytes: int) -> bytes:
    with path.open('rb') as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - max_bytes))
        return file.read(max_bytes)
