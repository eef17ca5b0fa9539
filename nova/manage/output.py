"""What the verbs print: tables for people, JSON for programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from typing import Any


def render_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """A table for a terminal: a head line, and a line for each row; None is shown as ``-``."""
    cells = [list(columns)] + [
        ['-' if row[column] is None else str(row[column]) for column in columns] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def print_rows(
    arguments: argparse.Namespace, columns: Sequence[str], rows: Sequence[dict[str, Any]]
) -> None:
    """As JSON if ``--json`` asks for it, else as a table."""
    if arguments.json:
        print(json.dumps(rows, default=str, indent=2))
    else:
        print(render_table(columns, rows))


def print_values(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    """One thing: as JSON if ``--json`` asks for it, else a line for each value."""
    if arguments.json:
        print(json.dumps(values, default=str, indent=2))
    else:
        width = max(len(name) for name in values)
        for name, value in values.items():
            print(f'{name.ljust(width)}  {"-" if value is None else value}')
