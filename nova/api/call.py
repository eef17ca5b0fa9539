"""A request as its handler sees it, and what the handler answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from nova import context as nova_context
from nova.api import microversion, ports
from nova.api.views import links


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An authenticated, authorized and validated request.

    ``query`` holds the last value of each query parameter, ``body`` the JSON object (``{}`` where
    the operation takes none). ``can`` tells whether the caller passes a further policy rule, by
    which a view shows more or less.
    """

    context: nova_context.RequestContext
    version: microversion.Version
    query: Mapping[str, str]
    body: Mapping[str, Any]
    urls: links.Links
    can: Callable[[str], bool]
    compute: ports.ComputeApi
    network: ports.NetworkApi
    groups: ports.SecurityGroupApi
    max_limit: int

    @property
    def limit(self) -> int:
        """How many members the answer to this list request may hold: what the query asks for, up
        to the configured most."""
        asked = self.query.get('limit')
        return min(int(asked), self.max_limit) if asked is not None else self.max_limit

    def next_page(self, path: str, marker: str) -> list[links.Link]:
        """The link to what follows the member ``marker``."""
        return self.urls.next(path, dict(self.query), marker)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The JSON body (None: no body) and further headers; the status is in the route table."""

    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


Handler = Callable[..., Answer]
