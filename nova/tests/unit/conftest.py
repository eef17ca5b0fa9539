"""A unit test is a computation: the guard fails one that reaches for the machine.

While a unit test runs (its fixtures included), starting a process, opening a socket, resolving a
name, sleeping and changing a file outside of pytest's temporary folder raise :class:`Forbidden`.
It derives from BaseException, so that no broad handler of the code under test hides it; and
should one hide it nevertheless, the test fails when it ends.

The guard is an audit hook (PEP 578), so that it sees what the interpreter does, whoever asked for
it and under whatever name it was imported. Time may be read but not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
import pathlib
import socket
import sys
import time
from typing import Any, NoReturn

import pytest

from nova.tests import conftest as shared

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_PROCESS = {
    'os.exec',
    'os.fork',
    'os.forkpty',
    'os.posix_spawn',
    'os.spawn',
    'os.system',
    'pty.spawn',
    'subprocess.Popen',
}
_NETWORK = {
    'socket.bind',
    'socket.connect',
    'socket.getaddrinfo',
    'socket.gethostbyaddr',
    'socket.gethostbyname',
    'socket.getnameinfo',
    'socket.sendmsg',
    'socket.sendto',
}
#: Events that change the file system -> (place of a path, place of its dir_fd or None) in their
#: arguments (https://docs.python.org/3/library/audit_events.html).
_FILES: dict[str, tuple[tuple[int, int | None], ...]] = {
    'os.chmod': ((0, 2),),
    'os.chown': ((0, 3),),
    'os.link': ((0, 2), (1, 3)),
    'os.mkdir': ((0, 2),),
    'os.remove': ((0, 1),),
    'os.rename': ((0, 2), (1, 3)),
    'os.rmdir': ((0, 1),),
    'os.setxattr': ((0, None),),
    'os.symlink': ((1, 2),),
    'os.truncate': ((0, None),),
    'os.utime': ((0, 3),),
    'shutil.chown': ((0, None),),
    'shutil.move': ((0, None), (1, None)),
    'shutil.rmtree': ((0, None),),
}


class Forbidden(BaseException):
    """The unit test reached for the machine."""


class Guard:
    """Judges audit events. Inactive until :attr:`roots` are set; refuses, and remembers that it
    did, while they are."""

    def __init__(self) -> None:
        self.roots: tuple[str, ...] | None = None
        self.refused: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """For :func:`sys.addaudithook`, which never gives a hook back: it stays for the process."""
        if self.roots is None:
            return
        if event in _PROCESS:
            self.refuse(f'started a process: {arguments[0] if arguments else event}')
        elif event == 'socket.__new__' and arguments[1] != socket.AF_UNIX:
            self.refuse(f'opened a socket of family {arguments[1]}')
        elif event in _NETWORK:
            self.refuse(f'used the network: {event}{arguments[1:]}')
        elif event == 'time.sleep':  # raised since Python 3.13
            self.refuse(f'slept {arguments[0]} s')
        elif event == 'open' and arguments[2] & _WRITE_FLAGS:
            self._check(arguments[0])
        elif event == 'sqlite3.connect':
            self._check_database(arguments[0])
        elif event in _FILES:
            for place, folder_place in _FILES[event]:
                folder = arguments[folder_place] if folder_place is not None else -1
                self._check(arguments[place], folder)

    def refuse(self, what: str) -> NoReturn:
        self.refused.append(what)
        raise Forbidden(f'a unit test {what}')

    def _check(self, path: Any, folder: int = -1) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor, which somebody opened before
        base = os.readlink(f'/proc/self/fd/{folder}') if folder >= 0 else os.getcwd()
        full = os.path.normpath(os.path.join(base, os.fsdecode(path)))
        if full == os.devnull or f'{os.sep}__pycache__{os.sep}' in full:
            return
        if not any(full == root or full.startswith(root + os.sep) for root in self.roots or ()):
            self.refuse(f'wrote outside of tmp_path: {full}')

    def _check_database(self, database: Any) -> None:
        name = os.fsdecode(database)
        if name in ('', ':memory:') or 'mode=memory' in name or name.startswith('file::memory:'):
            return
        self._check(name.removeprefix('file:').partition('?')[0])


guard = Guard()
sys.addaudithook(guard.hook)


def _refuse_sleep(seconds: float) -> None:
    guard.refuse(f'slept {seconds} s')


@pytest.fixture(autouse=True)
def no_machine(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Guard]:
    """The guard, active for one test."""
    roots = [tmp_path_factory.getbasetemp()]
    if request.config.getoption('--regenerate'):
        roots.append(shared.DATA)
    monkeypatch.setattr(time, 'sleep', _refuse_sleep)
    guard.refused.clear()
    guard.roots = tuple(str(pathlib.Path(root).resolve()) for root in roots)
    try:
        yield guard
    finally:
        guard.roots = None
    if guard.refused:
        pytest.fail(f'a unit test {"; ".join(guard.refused)}', pytrace=False)
