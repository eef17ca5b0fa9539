"""The functional tests of the database, on the servers that clouds of several hosts use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from nova.db import migration, models, session
from nova.tests.integration.db import servers


@pytest.fixture(scope='session', params=['postgresql', 'mariadb'])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a running server, with a ``{name}`` for the database."""
    start = {'postgresql': servers.postgresql, 'mariadb': servers.mariadb}[request.param]
    with start() as url:
        yield url


@pytest.fixture(scope='session')
def prepared_url(server_url: str) -> Iterator[str]:
    """The URL of a database with the present schema; to make one takes longer than most tests."""
    system = server_url.format(name='postgres' if server_url.startswith('postgresql') else 'mysql')
    _execute(system, 'CREATE DATABASE nova')
    url = server_url.format(name='nova')
    made = session.Database(url)
    migration.sync(made)
    made.dispose()
    yield url
    _execute(system, 'DROP DATABASE nova')


@pytest.fixture
def database(prepared_url: str) -> Iterator[session.Database]:
    """The database that ``nova.db.api`` works on, with nothing in it."""
    made = session.configure(prepared_url)
    yield made
    with made.writer() as connection:
        for table in reversed(models.Base.metadata.sorted_tables):
            connection.execute(table.delete())
    made.dispose()


def _execute(url: str, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level='AUTOCOMMIT', poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
