"""``nova-manage db``: the schema."""

from __future__ import annotations

import argparse
from typing import Any

from nova.db import api as db
from nova.db import migration, session
from nova.manage.verbs import Verbs

#: What a new database holds; sizes are those that users of OpenStack know by these names.
_FLAVORS = (
    ('1', 'm1.tiny', 512, 1, 1),
    ('2', 'm1.small', 2048, 1, 20),
    ('3', 'm1.medium', 4096, 2, 40),
    ('4', 'm1.large', 8192, 4, 80),
    ('5', 'm1.xlarge', 16384, 8, 160),
)


def add_verbs(noun: argparse.ArgumentParser) -> None:
    """Add the verbs of this noun, with their arguments, to the command line."""
    verbs = Verbs(noun)
    verbs.add('sync', sync, 'bring the schema up to date; a new database gets flavors')
    verbs.add('version', version, 'print the revision of the schema')


def sync(_conf: Any, _arguments: argparse.Namespace) -> None:
    """Bring the schema up to date; a database that was empty gets flavors."""
    database = session.database()
    new = migration.current(database) is None
    migration.sync(database)
    if new:
        for flavorid, name, memory_mb, vcpus, root_gb in _FLAVORS:
            db.flavor_create(
                flavorid=flavorid, name=name, memory_mb=memory_mb, vcpus=vcpus, root_gb=root_gb
            )
    print(f'The database is at revision {migration.current(database)}.')


def version(_conf: Any, _arguments: argparse.Namespace) -> None:
    """Print the revision of the schema, or ``empty``."""
    print(migration.current(session.database()) or 'empty')
