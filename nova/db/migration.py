"""Bring a database to the schema of this code."""

from __future__ import annotations

import pathlib

from alembic import command, config
from alembic.runtime import migration
import sqlalchemy as sa

from nova.db import session

_HISTORY = pathlib.Path(__file__).parent / 'migrations'


def sync(database: session.Database, revision: str = 'head') -> None:
    """Upgrade the schema to ``revision``; nothing happens when it is there already."""
    command.upgrade(alembic_config(database.engine), revision)


def alembic_config(engine: sa.Engine) -> config.Config:
    """alembic's configuration, without a file."""
    result = config.Config()
    result.set_main_option('script_location', str(_HISTORY).replace('%', '%%'))
    result.attributes['engine'] = engine
    return result


def current(database: session.Database) -> str | None:
    """The revision that the database is at; None when it is empty."""
    with database.engine.connect() as connection:
        return migration.MigrationContext.configure(connection).get_current_revision()
