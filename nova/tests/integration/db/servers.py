"""Database servers for tests: their own data folder, a Unix socket, no port, no trace left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

import sqlalchemy as sa

_START_TIMEOUT_S = 30


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server; yields an SQLAlchemy URL with a ``{name}`` for the database."""
    programs = max(pathlib.Path('/usr/lib/postgresql').glob('*/bin'))
    with _folder('postgres') as folder:
        _as('postgres', [programs / 'initdb', '--auth=trust', '--no-sync', '-D', folder / 'data'])
        server = [
            *(programs / 'postgres', '-D', folder / 'data', '-k', folder),
            *('-c', 'listen_addresses=', '-c', 'fsync=off', '-c', 'max_connections=200'),
        ]
        url = f'postgresql+psycopg2://postgres@/{{name}}?host={folder}'
        with _running('postgres', server, folder / '.s.PGSQL.5432', url.format(name='postgres')):
            yield url


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """A MariaDB server; yields an SQLAlchemy URL with a ``{name}`` for the database."""
    with _folder('mysql') as folder:
        data = f'--datadir={folder}/data'
        install = [
            'mariadb-install-db',
            '--no-defaults',
            '--auth-root-authentication-method=normal',
        ]
        _as('mysql', [*install, '--skip-test-db', data])
        server = [
            *('mariadbd', '--no-defaults', data, '--skip-networking', f'--socket={folder}/s'),
            *(f'--pid-file={folder}/pid', '--innodb-flush-log-at-trx-commit=0'),
            *('--max-connections=200',),
        ]
        url = f'mysql+pymysql://root@localhost/{{name}}?unix_socket={folder}/s&charset=utf8mb4'
        with _running('mysql', server, folder / 's', url.format(name='mysql')):
            yield url


@contextlib.contextmanager
def _folder(user: str) -> Iterator[pathlib.Path]:
    # a short name: the path of a Unix socket has room for 107 characters
    folder = pathlib.Path(tempfile.mkdtemp(prefix='nova-db-'))
    shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _as(user: str, command: Sequence[object]) -> None:
    subprocess.run(
        [str(word) for word in command], user=user, check=True, capture_output=True, cwd='/'
    )


@contextlib.contextmanager
def _running(
    user: str, command: Sequence[object], address: pathlib.Path, url: str
) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            user=user,
            group=pwd.getpwnam(user).pw_gid,
            cwd='/',
            stdout=log,
            stderr=log,
        )
        try:
            _wait(address, url)
            yield
        finally:
            process.terminate()
            process.wait(_START_TIMEOUT_S)


def _wait(address: pathlib.Path, url: str) -> None:
    """Wait until the server listens at ``address`` and takes a session at ``url``."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    while time.monotonic() < deadline:
        # PyMySQL leaves its socket open when nobody listens, so it is not asked before
        if _is_listening(address):
            with contextlib.suppress(sa.exc.OperationalError), engine.connect():
                return
        time.sleep(0.05)
    raise TimeoutError(f'no server at {address} within {_START_TIMEOUT_S} s')


def _is_listening(address: pathlib.Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(address)) == 0
