"""The functional tests of the database, on the servers that clouds of several hosts use."""

from __future__ import annotations

from collections.abc import Iterator
import itertools

import pytest
import sqlalchemy as sa

from nova.db import migration, session
from nova.tests.integration.db import servers

_numbers = itertools.count(1)


@pytest.fixture(scope='session', params=['postgresql', 'mariadb'])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a running server, with a ``{name}`` for the database."""
    start = {'postgresql': servers.postgresql, 'mariadb': servers.mariadb}[request.param]
    with start() as url:
        yield url


@pytest.fixture
def database(server_url: str) -> Iterator[session.Database]:
    """An empty database with the present schema, the one that ``nova.db.api`` works on."""
    name = f'nova_{next(_numbers)}'
    system = 'postgres' if server_url.startswith('postgresql') else 'mysql'
    _execute(server_url.format(name=system), f'CREATE DATABASE {name}')
    made = session.configure(server_url.format(name=name))
    migration.sync(made)
    yield made
    made.dispose()
    _execute(server_url.format(name=system), f'DROP DATABASE {name}')


def _execute(url: str, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level='AUTOCOMMIT', poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
