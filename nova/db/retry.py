"""Transactions that the database gave up for another one are run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from oslo_db import api as oslo_db_api

P = ParamSpec('P')
R = TypeVar('R')


def on_deadlock(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function``, which is one whole transaction, again when it lost a deadlock."""
    wrap = oslo_db_api.wrap_db_retry(
        max_retries=10, retry_interval=0.05, inc_retry_interval=True, retry_on_deadlock=True
    )
    return cast(Callable[P, R], wrap(function))
