"""Transactions that the database gave up for another one are run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from oslo_db import api as oslo_db_api

from nova import exception
from nova.db import session

P = ParamSpec('P')
R = TypeVar('R')


def on_deadlock(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function``, which is one whole transaction, again when it lost a deadlock."""
    wrap = oslo_db_api.wrap_db_retry(
        max_retries=10, retry_interval=0.05, inc_retry_interval=True, retry_on_deadlock=True
    )
    return cast(Callable[P, R], wrap(function))


def alone_at_last(transaction: Callable[[bool], R]) -> R:
    """Run ``transaction``, which takes addresses, and once more when it found none.

    It passes over addresses that others hold at this moment, and of these some may come back: many
    who want several each could all be refused although some of them would fit. So nobody is
    refused before having been alone.

    :param transaction: takes whether it has to be alone on its networks.
    :raises NoMoreFixedIps: there was none then, either.
    """
    try:
        return transaction(False)
    except exception.NoMoreFixedIps:
        if session.database().engine.dialect.name == 'sqlite':
            raise  # whoever writes is alone
        return transaction(True)
