"""Programs that the privileged functions start, and wait for."""

from __future__ import annotations

from collections.abc import Collection
import errno
import os
import select
import subprocess
from typing import BinaryIO

#: Where programs are looked for: not what the environment says, which sudo may or may not have
#: cleaned.
_SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


def start(*command: str, text: str = '', timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code.

    :param text: what it reads from its standard input.
    :raises OSError: ENOENT, it is not installed; ETIMEDOUT, it was ended after ``timeout_s``.
    """
    with _open_memory() as given, _open_memory() as printed, _open_memory() as said:
        given.write(text.encode())
        given.seek(0)
        try:
            process = subprocess.Popen(
                command, stdin=given, stdout=printed, stderr=said, env={'PATH': _SEARCH_PATH}
            )
        except FileNotFoundError as exc:
            raise OSError(errno.ENOENT, f'{command[0]} is not installed') from exc
        with process:
            if not _ends(process.pid, timeout_s):
                process.kill()
                raise OSError(errno.ETIMEDOUT, f'{command[0]} did not end in {timeout_s} s')
        answers = (_read(printed), _read(said))
        return subprocess.CompletedProcess(command, process.returncode, *answers)


def _open_memory() -> BinaryIO:
    """A file in memory. Unlike a pipe, nobody has to read it while the program runs, so that there
    is nothing to do but to wait for its end (man 2 memfd_create)."""
    return open(os.memfd_create('nova'), 'w+b')


def _read(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors='replace')


def _ends(pid: int, timeout_s: float) -> bool:
    """Whether a child has ended within this time. Python itself would look for it again and again,
    a millisecond or more apart (man 2 pidfd_open)."""
    descriptor = os.pidfd_open(pid)
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(timeout_s * 1000))
    finally:
        os.close(descriptor)


def run(
    *command: str, text: str = '', accepted: Collection[int] = (0,), timeout_s: float = 60
) -> str:
    """Run a program to its end; returns what it printed.

    :param accepted: the exit codes that are none of an error.
    :raises OSError: as for :func:`start`; EIO, another exit code, with what it said, or with the
        code if it said nothing.
    """
    done = start(*command, text=text, timeout_s=timeout_s)
    if done.returncode not in accepted:
        reason = done.stderr.strip() or f'it ended with {done.returncode}'
        raise OSError(errno.EIO, f'{command[0]}: {reason}'[:2000])
    return done.stdout
