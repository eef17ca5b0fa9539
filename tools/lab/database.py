"""PostgreSQL in a sandbox, for more than one service process; on the loopback address only."""

from __future__ import annotations

from pathlib import Path

from lab import template
from lab.daemon import Daemon
from lab.sandbox import Sandbox, SandboxError

USER = 'postgres'
STATE = '/var/lib/lab-postgresql'
DATA = f'{STATE}/data'
LOG = f'{STATE}/server.log'
PORT = 5432
NAME = 'nova'
URL = f'postgresql+psycopg2://{NAME}@127.0.0.1:{PORT}/{NAME}'
#: Its data dies with the sandbox: nothing is worth waiting for a disk.
OPTIONS = {
    'listen_addresses': '127.0.0.1',
    'port': str(PORT),
    'unix_socket_directories': STATE,
    'fsync': 'off',
    'full_page_writes': 'off',
    'max_connections': '200',
}


def start(sandbox: Sandbox) -> Daemon:
    """Start it with an empty database, and wait until it serves.  Raises SandboxError."""
    programs = newest_programs()
    template.provide(
        sandbox, 'postgresql', STATE, [str(programs), NAME], lambda: fill(sandbox, programs)
    )
    daemon = launch(sandbox, programs)
    daemon.wait_answer(f'tcp://127.0.0.1:{PORT}')
    return daemon


def newest_programs() -> Path:
    """Where Debian keeps the server's programs."""
    found = sorted(
        Path('/usr/lib/postgresql').glob('*/bin'), key=lambda path: int(path.parent.name)
    )
    if not found:
        raise SandboxError('PostgreSQL is not installed: run tools/install --tests')
    return found[-1]


def launch(sandbox: Sandbox, programs: Path) -> Daemon:
    options = [word for key, value in OPTIONS.items() for word in ('-c', f'{key}={value}')]
    command = [str(programs / 'postgres'), '-D', DATA, *options]
    return Daemon.start(sandbox, 'postgresql', command, log=LOG, user=USER)


def fill(sandbox: Sandbox, programs: Path) -> None:
    """A cluster whose one role and one database are called NAME, without passwords."""
    sandbox.run(['install', '-d', '-o', USER, '-g', USER, STATE])
    initdb = [str(programs / 'initdb'), '-D', DATA, '-U', NAME, '--auth=trust', '--no-sync']
    sandbox.run([*initdb, '--encoding=UTF8', '--locale=C'], user=USER)
    single = [str(programs / 'postgres'), '--single', '-D', DATA, 'postgres']
    sandbox.run(single, user=USER, stdin=f'CREATE DATABASE {NAME}\n')
