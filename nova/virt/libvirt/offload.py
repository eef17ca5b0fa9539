"""How the driver runs what blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar('T')


class Offload(Protocol):
    """Runs a blocking call so that the caller's other work goes on: ``tpool.execute`` under
    eventlet."""

    def __call__(self, function: Callable[..., T], /, *args: Any) -> T: ...


def call_directly(function: Callable[..., T], /, *args: Any) -> T:
    """The :class:`Offload` of a program that has nothing else to do."""
    return function(*args)
