"""What is special about SQLite files."""

from __future__ import annotations

import os
import pathlib

import sqlalchemy as sa

from nova.db import session


def test_the_log_of_sqlite_outlives_a_transaction(tmp_path: pathlib.Path) -> None:
    """Else each would write it back into the file."""
    database = session.Database(f'sqlite:///{tmp_path}/nova.sqlite')
    with database.writer() as db:
        db.execute(sa.text('CREATE TABLE t (n INTEGER)'))
    log = tmp_path / 'nova.sqlite-wal'
    size = log.stat().st_size
    with database.writer() as db:
        db.execute(sa.text('INSERT INTO t VALUES (1)'))
    assert log.stat().st_size > size
    database.dispose()
    assert not log.exists()
    with database.reader() as db:  # as after a change of the configuration
        assert db.scalar(sa.text('SELECT n FROM t')) == 1
    database.dispose()


def test_a_process_that_was_forked_off_has_its_own_connections(tmp_path: pathlib.Path) -> None:
    database = session.Database(f'sqlite:///{tmp_path}/nova.sqlite')
    with database.writer() as db:
        db.execute(sa.text('CREATE TABLE t (n INTEGER)'))
    child = os.fork()
    if not child:
        try:
            with database.writer() as db:
                db.execute(sa.text('INSERT INTO t VALUES (1)'))
            database.dispose()
            os._exit(0)
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (tmp_path / 'nova.sqlite-wal').exists()  # the parent holds it
    with database.reader() as db:
        assert db.scalar(sa.text('SELECT n FROM t')) == 1
    database.dispose()
