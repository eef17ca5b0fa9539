"""Which requests need a token, and what stands in for Keystone in tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import json
from typing import TYPE_CHECKING

from nova.api import faults
from nova.api.views import links

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: Clients read the version documents before they have a token.
VERSION_PATHS = ('', '/', f'/{links.VERSION_PATH}', f'/{links.VERSION_PATH}/')
#: Load balancers have none.
HEALTH_PATH = '/healthcheck'


class PublicPaths:
    """Serves each path of ``public`` by its application, and every other by ``guarded``."""

    def __init__(self, public: Mapping[str, WSGIApplication], guarded: WSGIApplication) -> None:
        self._public = public
        self._guarded = guarded

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        application = self._public.get(environ.get('PATH_INFO', ''), self._guarded)
        return application(environ, start_response)


class BelievedHeaders:
    """``auth_strategy = noauth``: believes ``X-User-Id``, ``X-Project-Id`` and ``X-Roles``, and
    refuses requests without the first two. These are the headers by which keystonemiddleware says
    whom it found, so that nothing behind knows the difference."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get('HTTP_X_USER_ID') and environ.get('HTTP_X_PROJECT_ID'):
            return self._application(environ, start_response)
        body = json.dumps(faults.build_fault(401, 'X-User-Id and X-Project-Id are required.'))
        headers = [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))]
        start_response('401 Unauthorized', headers)
        return [body.encode()]
