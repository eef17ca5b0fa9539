"""Allocations of four NICs per second, against the same statements sent bare.

The floor is one transaction with the statements that cannot be done without: a row for each NIC
and an address taken from each network, by the driver itself without SQLAlchemy. Time is that of
the wall, since a database works in other processes; both sides run in turn in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import contextlib
import itertools
import pathlib
import threading
import time
from typing import Any

import pytest

from nova.db import api as db
from nova.db import migration, records, session
from nova.tests import stores
from nova.tests.integration.db import servers

BOOTS = 96
NICS = 4
#: How much slower than the floor an allocation by one caller may be. Measured on a loaded machine:
#: 2 (SQLite), 4 (PostgreSQL), 8 (MariaDB).
LIMIT = 12.0

_numbers = itertools.count(1)


@contextlib.contextmanager
def sqlite(folder: pathlib.Path) -> Iterator[str]:
    yield f'sqlite:///{folder}/{{name}}.sqlite'


@pytest.fixture(scope='module', params=['sqlite', 'postgresql', 'mariadb'])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[session.Database]:
    """An empty database on each kind of server."""
    start: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {
        'sqlite': lambda: sqlite(tmp_path_factory.mktemp('sqlite')),
        'postgresql': servers.postgresql,
        'mariadb': servers.mariadb,
    }
    with start[request.param]() as url:
        # the servers' own databases will do: they die with the test
        name = {'postgresql': 'postgres', 'mariadb': 'mysql'}.get(request.param, 'nova')
        made = session.configure(url.format(name=name), max_pool_size=20)
        migration.sync(made)
        yield made
        made.dispose()


def per_second(work: Callable[[records.Instance], None], flavor: records.Flavor, of: int) -> float:
    """Calls of ``work`` per second, each with an instance of its own, from ``of`` threads."""
    instances = [stores.store_instance(flavor) for _ in range(BOOTS)]

    def run(mine: Sequence[records.Instance]) -> None:
        for instance in mine:
            work(instance)

    with concurrent.futures.ThreadPoolExecutor(of) as pool:
        start = time.monotonic()
        for done in [pool.submit(run, instances[i::of]) for i in range(of)]:
            done.result()  # who fails is not fast
        return BOOTS / (time.monotonic() - start)


def allocate_bare(database: session.Database, networks: Sequence[records.Network]) -> Any:
    """The floor for this database."""
    dialect = database.engine.dialect.name
    mark = '?' if dialect == 'sqlite' else '%s'
    skip = '' if dialect == 'sqlite' else ' FOR UPDATE SKIP LOCKED'
    quote = '`' if dialect in ('mysql', 'mariadb') else '"'
    insert = (
        f'INSERT INTO virtual_interfaces (uuid, instance_uuid, network_id, {quote}index{quote},'
        f' slot, mac, default_route, created_at, updated_at) VALUES ({", ".join([mark] * 9)})'
    )
    find = (
        f'SELECT id FROM fixed_ips WHERE network_id = {mark} AND vif_id IS NULL AND NOT reserved'
        f' ORDER BY released_at, id LIMIT 1{skip}'
    )
    last = f'SELECT id FROM virtual_interfaces WHERE uuid = {mark}'
    take = f'UPDATE fixed_ips SET vif_id = {mark} WHERE id = {mark}'
    lock = threading.Lock() if dialect == 'sqlite' else contextlib.nullcontext()

    def work(instance: records.Instance) -> None:
        with lock, contextlib.closing(database.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            if dialect == 'sqlite':
                cursor.execute('BEGIN IMMEDIATE')
            for index, network in enumerate(networks):
                uuid, number = stores.new_uuid(), next(_numbers)
                mac = (
                    f'02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}'
                )
                now = '2026-01-01 00:00:00'
                row = (uuid, instance.uuid, network.id, index, index, mac, index == 0, now, now)
                cursor.execute(insert, row)
                cursor.execute(last, (uuid,))
                (vif_id,) = cursor.fetchone()
                cursor.execute(find, (network.id,))
                (address_id,) = cursor.fetchone()
                cursor.execute(take, (vif_id, address_id))
            cursor.execute('COMMIT') if dialect == 'sqlite' else connection.commit()

    return work


def test_allocations_per_second(
    database: session.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = [stores.store_network(f'10.{number}.0.0/21') for number in range(NICS)]
    flavor = stores.store_flavor()

    def allocate(instance: records.Instance) -> None:
        db.vifs_allocate(instance.uuid, stores.build_nics(*networks), 0)

    bare = allocate_bare(database, networks)
    lines, ratios = [], []
    for threads in (1, 8):
        floors, ours = [], []
        for _ in range(3):
            floors.append(per_second(bare, flavor, threads))
            ours.append(per_second(allocate, flavor, threads))
        floor, rate = max(floors), max(ours)
        ratios.append(floor / rate)
        lines.append(
            f'{database.engine.dialect.name}, {threads} caller(s): {rate:.0f} boots of {NICS} NICs'
            f' per second, bare {floor:.0f}, ratio {floor / rate:.1f}'
        )
    with capsys.disabled():
        print('', *lines, sep='\n')
    assert ratios[0] < LIMIT
