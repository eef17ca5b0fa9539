"""Wait until a server answers, or its process is gone: wait_answer.py URL SECONDS PID

Runs inside a sandbox, where the server's address is.  With ``http://HOST:PORT/...`` any HTTP
answer counts, also an error; with ``tcp://HOST:PORT`` a connection is enough.
Exit code 0 = it answers, 1 = not in time, 2 = the process is gone.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def answers(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    try:
        if parts.scheme == 'tcp':
            socket.create_connection((parts.hostname, parts.port), timeout=5).close()
        else:
            urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def main() -> int:
    url, seconds, pid = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answers(url):
            return 0
        if not os.path.exists(f'/proc/{pid}'):
            return 2
        time.sleep(0.1)
    return 1


if __name__ == '__main__':
    sys.exit(main())
