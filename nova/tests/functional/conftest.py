"""Fixtures that more than one module of functional tests needs."""

from __future__ import annotations

from collections.abc import Iterator
import pathlib
import shutil

import pytest

from nova import rpc
from nova.db import migration, session


@pytest.fixture(scope='session')
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The file of an empty SQLite database with the present schema; the migrations run once."""
    path = tmp_path_factory.mktemp('database') / 'nova.sqlite'
    made = session.configure(f'sqlite:///{path}')
    migration.sync(made)
    made.dispose()
    return path


@pytest.fixture
def database(tmp_path: pathlib.Path, empty_database: pathlib.Path) -> Iterator[session.Database]:
    """An empty SQLite database with the present schema, the one that ``nova.db.api`` works on."""
    shutil.copy(empty_database, tmp_path)
    made = session.configure(f'sqlite:///{tmp_path}/{empty_database.name}')
    yield made
    made.dispose()


@pytest.fixture
def local_services() -> Iterator[rpc.Local]:
    """The services that a test registers, taken away after it."""
    rpc.configure(None, timeout_s=1)
    yield rpc.local
    rpc.local.clear()
