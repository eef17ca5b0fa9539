"""The console log of a guest.

virtlogd, which is root, writes to it what the guest writes to its serial port. It keeps the file to
itself and rotates it by size: ``console.log.0`` holds what came before ``console.log``.
"""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path

#: Gives the last bytes, at most so many, of the file of that path; raises OSError.
ReadFile = Callable[[str, int], bytes]


def read_file(path: str, max_bytes: int) -> bytes:
    """The :data:`ReadFile` of a service that is root itself."""
    with open(path, 'rb') as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
        return file.read(max_bytes)


def read_log(path: Path, max_bytes: int, read: ReadFile) -> bytes:
    """The last ``max_bytes`` bytes of the log, reaching back into the rotated one.

    :raises FileNotFoundError: there is no log.
    """
    tail = read(str(path), max_bytes)
    if len(tail) == max_bytes:
        return tail
    try:
        return read(f'{path}.0', max_bytes - len(tail)) + tail
    except FileNotFoundError:
        return tail
