"""Many callers and one writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import threading

import pytest

from nova.network.firewall import writer


def test_what_comes_in_meanwhile_is_one_batch() -> None:
    batches: list[list[str]] = []
    writing, go_on = threading.Event(), threading.Event()

    def write(changes: Sequence[str]) -> Mapping[int, Exception]:
        batches.append(list(changes))
        writing.set()
        assert go_on.wait(10)
        return {at: ValueError(name) for at, name in enumerate(changes) if name.startswith('bad')}

    made = writer.Writer(write)
    results: dict[str, list[str]] = {}

    def submit(*changes: str) -> None:
        results[changes[0]] = [str(exc) for exc in made.submit(changes).values()]

    first = threading.Thread(target=submit, args=('first',))
    first.start()
    assert writing.wait(10)
    others = [threading.Thread(target=submit, args=words) for words in (('a', 'bad 1'), ('bad 2',))]
    for thread in others:
        thread.start()
    while len(made.waiting) < len(others):
        assert threading.active_count() > len(others)
    go_on.set()
    for thread in (first, *others):
        thread.join(10)
    assert [sorted(batch) for batch in batches] == [['first'], ['a', 'bad 1', 'bad 2']]
    assert results == {'first': [], 'a': ['bad 1'], 'bad 2': ['bad 2']}


def test_whoever_waits_hears_what_went_wrong() -> None:
    def write(changes: Sequence[str]) -> Mapping[int, Exception]:
        raise OSError('broken')

    made = writer.Writer(write)
    for _time in range(2):
        with pytest.raises(OSError, match='broken'):
            made.submit(['a'])
