"""Print every row of a database as JSON, {table: [{column: value}]}: dump_database.py URL

Run by the Python environment's interpreter.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def rows_by_table(url: str) -> dict[str, list[dict[str, Any]]]:
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
