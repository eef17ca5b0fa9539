"""One writer for many callers, who wait for what they asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import threading
from typing import Generic, TypeVar

Change = TypeVar('Change')


class Writer(Generic[Change]):
    """Has changes carried out one batch at a time. What comes in meanwhile is the next batch, so
    that many changes cost little more than one.

    :param write: carries a batch out and returns what became of the changes that failed, by their
        places.
    """

    def __init__(self, write: Callable[[Sequence[Change]], Mapping[int, Exception]]) -> None:
        self._write = write
        self._writing = threading.Lock()
        self._queue = threading.Lock()
        self.waiting: list[_Ticket[Change]] = []

    def submit(self, changes: Sequence[Change]) -> Mapping[int, Exception]:
        """Have these carried out; returns what failed, by place.

        Raises whatever ``write`` raised.
        """
        ticket = _Ticket(changes)
        with self._queue:
            self.waiting.append(ticket)
        with self._writing:
            if ticket.failures is None:
                self._write_what_waits()
        if ticket.error is not None:
            raise ticket.error
        return ticket.failures or {}

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing is written meanwhile."""
        with self._writing:
            yield

    def _write_what_waits(self) -> None:
        with self._queue:
            tickets, self.waiting = self.waiting, []
        try:
            failures = self._write([change for ticket in tickets for change in ticket.changes])
        except Exception as exc:
            # Whoever waits has to hear of it, and not only the one who happens to write.
            for ticket in tickets:
                ticket.error, ticket.failures = exc, {}
            return
        place = 0
        for ticket in tickets:
            places = range(place, place + len(ticket.changes))
            ticket.failures = {at - place: failures[at] for at in places if at in failures}
            place = places.stop


class _Ticket(Generic[Change]):
    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.failures: Mapping[int, Exception] | None = None
        self.error: Exception | None = None
