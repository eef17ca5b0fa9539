"""Wait until services have reported: wait_reports.py CONFIG SECONDS HOST/BINARY=SINCE...

SINCE is in seconds since 1970.  Runs inside a sandbox, and reads the database that CONFIG names:
``nova-manage`` would take seconds of processor time for each look, while services are starting
that need it.  Exit code 1 when the time is over.
"""

from __future__ import annotations

from collections.abc import Mapping
import configparser
import datetime
import importlib
import sqlite3
import sys
import time
from typing import Any

INTERVAL_S = 0.2
QUERY = 'SELECT host, "binary", last_seen_at FROM services'


def read_url(path: str) -> str:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(path)
    return parser['database']['connection']


def connect(url: str) -> Any:
    """A connection to a database of SQLite or PostgreSQL."""
    if url.startswith('sqlite:///'):
        return sqlite3.connect(url.removeprefix('sqlite:///'))
    return importlib.import_module('psycopg2').connect(url.replace('+psycopg2', ''))


def last_seen(connection: Any) -> dict[str, float]:
    """When each service reported, in seconds since 1970, by ``HOST/BINARY``."""
    cursor = connection.cursor()
    cursor.execute(QUERY)
    return {f'{host}/{binary}': parse_moment(moment) for host, binary, moment in cursor.fetchall()}


def parse_moment(moment: str | datetime.datetime) -> float:
    """A moment as it is stored, which is in UTC."""
    found = datetime.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp()


def have_reported(seen: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    return all(seen.get(service, 0.0) > since for service, since in wanted.items())


def wait(url: str, timeout_s: float, wanted: Mapping[str, float]) -> bool:
    deadline = time.monotonic() + timeout_s
    connection = connect(url)
    while True:
        seen = last_seen(connection)
        connection.rollback()
        if have_reported(seen, wanted):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL_S)


def main() -> None:
    config, timeout_s, *services = sys.argv[1:]
    pairs = (service.rpartition('=') for service in services)
    wanted = {service: float(since) for service, _, since in pairs}
    sys.exit(0 if wait(read_url(config), float(timeout_s), wanted) else 1)


if __name__ == '__main__':
    main()
