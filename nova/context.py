"""Who asks, carried with every call through the services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from oslo_context import context


class RequestContext(context.RequestContext):
    """The identity behind a request and the id that ties its log lines together.

    ``user_auth`` is the auth plugin of keystoneauth with the token that the user sent, for asking
    other services what this user may see. It stays in the process that took the request.
    """

    user_auth: Any = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any], **kwargs: Any) -> Self:
        """The context of a WSGI request that keystonemiddleware has let in."""
        made: Self = super().from_environ(environ, **kwargs)
        made.user_auth = environ.get('keystone.token_auth')
        return made

    def elevated(self) -> Self:
        """The same request with administrator's rights, for what a service does on its own."""
        values = self.to_dict()
        values['is_admin'] = True
        values['roles'] = sorted({*self.roles, 'admin'})
        return type(self).from_dict(values)


def service_context() -> RequestContext:
    """The context of work that no request asked for."""
    return RequestContext(is_admin=True, roles=['admin'], overwrite=False)


def from_primitive(values: dict[str, Any]) -> RequestContext:
    """A context as it came over RPC."""
    return RequestContext.from_dict(values)
