"""What holds on SQLite holds on PostgreSQL and MariaDB."""

# ruff: noqa: F403  the tests of the other tier are collected here, with this tier's database
from __future__ import annotations

from nova.tests.functional.db.test_instances import *
from nova.tests.functional.db.test_network_hosts import *
from nova.tests.functional.db.test_networks import *
from nova.tests.functional.db.test_plugging import *
from nova.tests.functional.db.test_schema import differences, test_migrations_give_the_models
from nova.tests.functional.db.test_security_groups import *
from nova.tests.functional.network.test_vlans import *

__all__ = ['differences', 'test_migrations_give_the_models']
