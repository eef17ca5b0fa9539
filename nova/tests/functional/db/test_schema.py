"""The migrations give the schema that the models describe."""

from __future__ import annotations

import pathlib

from alembic import autogenerate
from alembic.runtime import migration as alembic_migration
import sqlalchemy as sa

from nova.db import migration, models, session


def differences(database: session.Database) -> list[object]:
    with database.engine.connect() as connection:
        context = alembic_migration.MigrationContext.configure(connection)
        return list(autogenerate.compare_metadata(context, models.Base.metadata))


def test_migrations_give_the_models(database: session.Database) -> None:
    assert differences(database) == []


def test_the_comparison_sees_a_missing_table(database: session.Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text('DROP TABLE services'))
    assert differences(database) != []


def test_a_second_sync_changes_nothing(database: session.Database) -> None:
    before = migration.current(database)
    migration.sync(database)
    assert before is not None
    assert migration.current(database) == before


def test_an_empty_database_has_no_revision(tmp_path: pathlib.Path) -> None:
    empty = session.Database(f'sqlite:///{tmp_path}/empty.sqlite')
    assert migration.current(empty) is None
    empty.dispose()


def test_sqlite_is_in_wal_mode_and_checks_references(database: session.Database) -> None:
    with database.reader() as db:
        assert db.scalar(sa.text('PRAGMA journal_mode')) == 'wal'
        assert db.scalar(sa.text('PRAGMA foreign_keys')) == 1


def test_instance_ids_do_not_come_back(database: session.Database) -> None:
    with database.reader() as db:
        made = db.scalar(sa.text("SELECT sql FROM sqlite_master WHERE name = 'instances'"))
    assert 'AUTOINCREMENT' in str(made).upper()
