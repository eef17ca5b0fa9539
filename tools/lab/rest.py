"""Calling the Compute API from inside a sandbox, without any client library.

A command line client takes a second or more to start; this takes a tenth, and shows exactly what
the API answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
import sys
from typing import Any

from lab import http_request, identity
from lab.identity import ADMIN, Login
from lab.sandbox import Sandbox, SandboxError


@dataclass(frozen=True)
class Response:
    """An HTTP answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


def send(
    sandbox: Sandbox, method: str, url: str, headers: Mapping[str, str], body: Any = None
) -> Response:
    """One request from inside; every HTTP status is an answer.  CommandError without one."""
    wanted = {'method': method, 'url': url, 'headers': dict(headers), 'body': body}
    command = [sys.executable, '-I', http_request.__file__]
    found = json.loads(sandbox.run(command, stdin=json.dumps(wanted)).stdout)
    return Response(found['status'], found['headers'], found['body'])


class Api:
    """The Compute API, as one user; the token is fetched once."""

    def __init__(
        self, sandbox: Sandbox, login: Login = ADMIN, *, microversion: str | None = None
    ) -> None:
        self._sandbox = sandbox
        self._headers = {'X-Auth-Token': fetch_token(sandbox, login)}
        if microversion is not None:
            self._headers['OpenStack-API-Version'] = f'compute {microversion}'

    def call(self, method: str, path: str, body: Any = None) -> Response:
        """One request; ``path`` begins with a slash, e.g. ``/servers/detail``."""
        url = identity.COMPUTE_URL + path
        return send(self._sandbox, method, url, self._headers, body)

    def get(self, path: str) -> Any:
        """The data of a GET; SandboxError unless it is a 200."""
        response = self.call('GET', path)
        if response.status != 200:
            raise SandboxError(f'GET {path}: {response.status} {response.text}')
        return response.json()


def fetch_token(sandbox: Sandbox, login: Login) -> str:
    domain = {'id': 'default'}
    user = {'name': login.user, 'password': identity.PASSWORD, 'domain': domain}
    auth = {
        'identity': {'methods': ['password'], 'password': {'user': user}},
        'scope': {'project': {'name': login.project, 'domain': domain}},
    }
    response = send(sandbox, 'POST', f'{identity.URL}/auth/tokens', {}, {'auth': auth})
    if response.status != 201:
        raise SandboxError(f'no token for {login.user}: {response.status} {response.text}')
    return response.headers['x-subject-token']
