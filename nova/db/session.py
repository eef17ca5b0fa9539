"""The engine, and transactions on it.

SQLite runs in WAL mode and every writing transaction starts with BEGIN IMMEDIATE: one that began
deferred and wrote later could fail at once however long the busy timeout
(https://www.sqlite.org/lang_transaction.html). SQLite's own waiting is unfair, so that one process
queues its writers before they reach it.

oslo.db opens an SQLite file for each transaction. Whoever closes it last writes the whole log back
and removes it (https://www.sqlite.org/wal.html), so that one connection is kept open beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import sqlite3
import threading
from typing import Any, cast

from oslo_db import options as db_options
from oslo_db.sqlalchemy import engines
import sqlalchemy as sa
from sqlalchemy import orm

_WRITES = 'nova_writes'


class Database:
    """One database with its engine.

    :param url: an SQLAlchemy URL (``sqlite:////path``, ``postgresql+psycopg2://``,
        ``mysql+pymysql://``).
    :param engine_options: passed to oslo.db's ``create_engine``.
    """

    def __init__(self, url: str, **engine_options: Any) -> None:
        self.engine: sa.Engine = engines.create_engine(url, sqlite_fk=True, **engine_options)
        self._writer_queue: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        self._kept = _Kept(self.engine.url.database)
        if self.engine.dialect.name == 'sqlite':
            self._writer_queue = threading.RLock()
            _prepare_sqlite(self.engine, self._kept)

    @contextlib.contextmanager
    def reader(self) -> Iterator[orm.Session]:
        """A session whose reads see one state of the database."""
        with orm.Session(self.engine) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def writer(self) -> Iterator[orm.Session]:
        """A session that commits when its block ends, and undoes everything when it raises."""
        with self._writer_queue, self.engine.connect() as connection:
            connection = connection.execution_options(**{_WRITES: True})
            with orm.Session(connection) as session, session.begin():
                yield session
            connection.commit()

    def dispose(self) -> None:
        """Close the connections."""
        self.engine.dispose()
        self._kept.close()


def count(db: orm.Session, statement: sa.Update | sa.Delete) -> int:
    """Execute ``statement`` and return how many rows it matched."""
    result = cast(sa.CursorResult[Any], db.execute(statement))
    return result.rowcount


class _Kept:
    """A connection to an SQLite file that is kept open; each process has its own, since one that
    was there before a fork may not be touched (https://www.sqlite.org/howtocorrupt.html)."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._connections: dict[int, sqlite3.Connection] = {}
        self._lock = threading.Lock()

    def open(self) -> None:
        """Have it open. A database in memory has no file."""
        if self._path in (None, '', ':memory:') or os.getpid() in self._connections:
            return
        with self._lock:
            if os.getpid() not in self._connections:
                kept = sqlite3.connect(self._path, check_same_thread=False)
                # a read, since the log is not open before
                kept.execute('SELECT count(*) FROM sqlite_schema').fetchall()
                self._connections[os.getpid()] = kept

    def close(self) -> None:
        with self._lock:
            if kept := self._connections.pop(os.getpid(), None):
                kept.close()


def _prepare_sqlite(engine: sa.Engine, kept: _Kept) -> None:
    @sa.event.listens_for(engine, 'connect')
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.execute('PRAGMA journal_mode=WAL')
        connection.execute('PRAGMA synchronous=NORMAL')
        connection.execute('PRAGMA busy_timeout=30000')
        kept.open()

    @sa.event.listens_for(engine, 'before_cursor_execute', retval=True)
    def _immediate(
        connection: sa.Connection,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        _many: bool,
    ) -> tuple[str, Any]:
        # oslo.db emits the BEGIN itself
        if statement == 'BEGIN' and connection.get_execution_options().get(_WRITES):
            statement = 'BEGIN IMMEDIATE'
        return statement, parameters

    # the first connection was made before these listeners
    engine.dispose()


_database: Database | None = None
_connecting = threading.Lock()


def configure(url: str, **engine_options: Any) -> Database:
    """Make the database that :func:`database` returns, in place of any earlier one."""
    global _database
    with _connecting:
        if _database is not None:
            _database.dispose()
        _database = Database(url, **engine_options)
        return _database


def configure_from(conf: Any) -> Database:
    """Like :func:`configure`, from the ``[database]`` options of oslo.db."""
    conf.register_opts(db_options.database_opts, 'database')
    group = conf.database
    return configure(
        group.connection,
        connection_recycle_time=group.connection_recycle_time,
        max_pool_size=group.max_pool_size,
        max_overflow=group.max_overflow,
        pool_timeout=group.pool_timeout,
        max_retries=group.max_retries,
        retry_interval=group.retry_interval,
    )


def database() -> Database:
    """The configured database.

    :raises RuntimeError: :func:`configure` was not called.
    """
    if _database is None:
        raise RuntimeError('the database is not configured')
    return _database
