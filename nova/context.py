"""Who asks, carried with every call through the services."""

from __future__ import annotations

from typing import Any, Self

from oslo_context import context


class RequestContext(context.RequestContext):
    """The identity behind a request and the id that ties its log lines together."""

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
