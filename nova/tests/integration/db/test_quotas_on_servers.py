"""Quotas on PostgreSQL and MariaDB, whose transactions run side by side."""

# ruff: noqa: F403  the tests of the other tier are collected here, with this tier's database
from __future__ import annotations

from nova.tests.functional.db.test_quotas import *
