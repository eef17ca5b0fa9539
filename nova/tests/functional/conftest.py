"""Fixtures that more than one module of functional tests needs."""

from __future__ import annotations

from collections.abc import Iterator
import pathlib

import pytest

from nova import rpc
from nova.db import migration, session


@pytest.fixture
def database(tmp_path: pathlib.Path) -> Iterator[session.Database]:
    """An empty SQLite database with the present schema, the one that ``nova.db.api`` works on."""
    made = session.configure(f'sqlite:///{tmp_path}/nova.sqlite')
    migration.sync(made)
    yield made
    made.dispose()


@pytest.fixture
def local_services() -> Iterator[rpc.Local]:
    """The services that a test registers, taken away after it."""
    rpc.configure(None, timeout_s=1)
    yield rpc.local
    rpc.local.clear()
