"""Send one HTTP request from inside a sandbox.

Reads a JSON object with ``method``, ``url``, ``headers`` and ``body`` (any JSON value or null) on
stdin; prints one with ``status``, ``headers`` (lower-case names) and ``body`` (text).
"""

from __future__ import annotations

import json
import sys
from typing import Any
import urllib.error
import urllib.request

TIMEOUT_S = 120


def send(wanted: dict[str, Any]) -> dict[str, Any]:
    body = wanted['body']
    request = urllib.request.Request(
        wanted['url'],
        data=None if body is None else json.dumps(body).encode(),
        headers={'Content-Type': 'application/json', **wanted['headers']},
        method=wanted['method'],
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return describe(response)
    except urllib.error.HTTPError as error:
        return describe(error)


def describe(response: Any) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in response.headers.items()}
    text = response.read().decode(errors='replace')
    return {'status': response.status, 'headers': headers, 'body': text}


if __name__ == '__main__':
    json.dump(send(json.load(sys.stdin)), sys.stdout)
