"""Print every row of a database as JSON, {table: [{column: value}]}: dump_database.py URL

Run by the Python environment's interpreter.
"""

from __future__ import annotations

import importlib
import json
import sqlite3
import sys
from typing import Any

SQLITE = 'sqlite:///'
Rows = dict[str, list[dict[str, Any]]]


def rows_by_table(url: str) -> Rows:
    return dump_file(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else dump_server(url)


def dump_file(path: str) -> Rows:
    """Without SQLAlchemy, which takes far longer to start than to read; and this is asked often."""
    connection = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
    connection.row_factory = sqlite3.Row
    connection.execute('BEGIN')
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
    return {
        name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]
        for (name,) in names.fetchall()
        if not name.startswith('sqlite_')  # SQLite's own, such as the last number that was given
    }


def dump_server(url: str) -> Rows:
    sqlalchemy = importlib.import_module('sqlalchemy')
    engine = sqlalchemy.create_engine(url)
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(table.select())]
            for table in metadata.sorted_tables
        }


if __name__ == '__main__':
    json.dump(rows_by_table(sys.argv[1]), sys.stdout, default=str)
