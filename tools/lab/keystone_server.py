"""Serve Keystone: run by the Python environment's interpreter with ADDRESS:PORT.

One thread: SQLite answers several with "database is locked".
"""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    listen = sys.argv[1]
    sys.argv = ['keystone']  # importing the application parses the command line
    application = importlib.import_module('keystone.wsgi.api').application
    importlib.import_module('waitress').serve(application, listen=listen, threads=1)


if __name__ == '__main__':
    main()
