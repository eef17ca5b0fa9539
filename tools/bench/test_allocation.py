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

from bench.figures import Figures
from nova.db import api as db
from nova.db import migration, records, session
from nova.tests import stores
from nova.tests.integration.db import servers

BOOTS = 96
NICS = 4
ROUNDS = 3
#: How much slower than the floor an allocation may be: SQLAlchemy takes 4 ms to say what the floor
#: says in 1 ms, and reads the networks. SQLite is no other process, so that this is all of it.
LIMIT = 10.0

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


def allocate_bare(
    database: session.Database, networks: Sequence[records.Network]
) -> Callable[[records.Instance], None]:
    """The floor for this database."""
    dialect = database.engine.dialect.name
    is_sqlite, is_mariadb = dialect == 'sqlite', dialect in ('mysql', 'mariadb')
    mark, quote = '?' if is_sqlite else '%s', '`' if is_mariadb else '"'
    insert = (
        f'INSERT INTO virtual_interfaces (uuid, instance_uuid, network_id, {quote}index{quote},'
        f' slot, mac, default_route, created_at, updated_at)'
        f' VALUES ({", ".join([mark] * 9)}) RETURNING id'
    )
    find = (
        f'SELECT id FROM fixed_ips WHERE network_id = {mark} AND vif_id IS NULL AND NOT reserved'
        f' ORDER BY released_at, id LIMIT 1{"" if is_sqlite else " FOR UPDATE SKIP LOCKED"}'
    )
    take = f'UPDATE fixed_ips SET vif_id = {mark} WHERE id = '
    lock = threading.Lock() if is_sqlite else contextlib.nullcontext()

    def work(instance: records.Instance) -> None:
        with lock, contextlib.closing(database.engine.raw_connection()) as connection:
            cursor: Any = connection.cursor()
            if is_sqlite:
                cursor.execute('BEGIN IMMEDIATE')
            for index, network in enumerate(networks):
                cursor.execute(insert, build_row(instance, network, index))
                (vif_id,) = cursor.fetchone()
                if is_mariadb:  # it updates without RETURNING, but not what it reads from
                    cursor.execute(find, (network.id,))
                    cursor.execute(f'{take}{mark}', (vif_id, *cursor.fetchone()))
                else:
                    cursor.execute(f'{take}({find})', (vif_id, network.id))
                assert cursor.rowcount == 1
            cursor.execute('COMMIT') if is_sqlite else connection.commit()

    return work


def build_row(instance: records.Instance, network: records.Network, index: int) -> tuple[Any, ...]:
    number, now = next(_numbers), '2026-01-01 00:00:00'
    mac = f'02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}'
    return stores.new_uuid(), instance.uuid, network.id, index, index, mac, index == 0, now, now


@pytest.mark.parametrize('callers', [1, 8])
def test_allocations_per_second(database: session.Database, figures: Figures, callers: int) -> None:
    networks = [stores.store_network(f'10.{number}.0.0/21') for number in range(NICS)]
    flavor = stores.store_flavor(f'for-{callers}')

    def allocate(instance: records.Instance) -> None:
        db.vifs_allocate(instance.uuid, stores.build_nics(*networks), 0)

    bare = allocate_bare(database, networks)
    floors, ours = [], []
    for _ in range(ROUNDS):
        floors.append(per_second(bare, flavor, callers))
        ours.append(per_second(allocate, flavor, callers))
    name = {'mysql': 'mariadb'}.get(database.engine.dialect.name, database.engine.dialect.name)
    what = f'{name}: boots with {NICS} NICs, {callers} caller(s)'
    figures.compare_rates(what, max(ours), max(floors), LIMIT)
