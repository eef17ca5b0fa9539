"""Printing what is going on, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import time

NAME_WIDTH = 34


def say(text: str = '') -> None:
    print(text, flush=True)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Print a stage's name when it begins, and its seconds when it ends."""
    print(f'  {name + " ...":<{NAME_WIDTH}}', end='', flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        # for whoever reads: whatever ends it, also an interrupt, ends its line
        say(f'FAILED after {time.monotonic() - start:.1f} s')
        raise
    say(f'{time.monotonic() - start:5.1f} s')


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
