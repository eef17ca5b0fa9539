"""The guard of the unit tests refuses what it says it refuses."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

import pytest

from nova.tests.unit import conftest

HERE = pathlib.Path(__file__).parent


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect(path)


ATTEMPTS: dict[str, Callable[[], object]] = {
    'subprocess': lambda: subprocess.run(['/bin/true'], check=True),
    'shell': lambda: os.system('true'),  # noqa: S605
    'fork': os.fork,
    'posix_spawn': lambda: os.posix_spawn('/bin/true', ['true'], {}),
    'exec': lambda: os.execv('/bin/true', ['true']),
    'inet socket': lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    'inet6 socket': lambda: socket.socket(socket.AF_INET6),
    'netlink socket': lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    'packet socket': lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    'name': lambda: socket.getaddrinfo('localhost', 80),
    'unix connect': lambda: _connect('/run/nowhere'),
    'sleep': lambda: time.sleep(0),
    'write': lambda: (HERE / 'never').write_text(''),
    'append': lambda: (HERE / 'never').open('a'),
    'os.open': lambda: os.open(HERE / 'never', os.O_CREAT | os.O_WRONLY),
    'mkdir': lambda: (HERE / 'never').mkdir(),
    'remove': lambda: (HERE / 'never').unlink(),
    'rename': lambda: (HERE / 'never').rename(HERE / 'neither'),
    'symlink': lambda: (HERE / 'never').symlink_to('/'),
    'chmod': lambda: (HERE / 'never').chmod(0o600),
    'rmtree': lambda: shutil.rmtree(HERE / 'never'),
    'temporary file': lambda: tempfile.mkstemp(dir='/tmp'),
    'database': lambda: sqlite3.connect(HERE / 'never'),
    'database uri': lambda: sqlite3.connect(f'file:{HERE}/never?mode=rwc', uri=True),
}


@pytest.mark.parametrize('attempt', ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_refuses(no_machine: conftest.Guard, attempt: Callable[[], object]) -> None:
    with pytest.raises(conftest.Forbidden):
        attempt()
    assert len(no_machine.refused) == 1
    no_machine.refused.clear()
    assert not (HERE / 'never').exists()


def test_a_broad_handler_does_not_hide_it(no_machine: conftest.Guard) -> None:
    with pytest.raises(conftest.Forbidden), contextlib.suppress(Exception):
        subprocess.run(['/bin/true'], check=True)
    no_machine.refused.clear()


def test_writing_outside_of_tmp_path_by_a_directory_descriptor(
    no_machine: conftest.Guard, tmp_path: pathlib.Path
) -> None:
    inside = os.open(tmp_path, os.O_RDONLY)
    outside = os.open(HERE, os.O_RDONLY)
    try:
        os.mkdir('never', dir_fd=inside)
        with pytest.raises(conftest.Forbidden):
            os.mkdir('never', dir_fd=outside)
    finally:
        os.close(inside)
        os.close(outside)
    no_machine.refused.clear()


def test_allows_what_stays_in_tmp_path(tmp_path: pathlib.Path) -> None:
    path = tmp_path / 'a' / 'b'
    path.parent.mkdir()
    path.write_text('text')
    path.rename(tmp_path / 'c')
    sqlite3.connect(tmp_path / 'db').close()
    shutil.rmtree(path.parent)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['c', 'db']


def test_allows_memory_databases_socket_pairs_and_reading() -> None:
    sqlite3.connect(':memory:').close()
    sqlite3.connect('file::memory:?cache=shared', uri=True).close()
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b'x')
        assert right.recv(1) == b'x'
    assert __doc__ in pathlib.Path(__file__).read_text()
    assert time.monotonic() > 0
