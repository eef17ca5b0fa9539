"""URLs in bodies. ``self`` links carry the API's version, ``bookmark`` links do not."""

from __future__ import annotations

import dataclasses
from typing import TypedDict
import urllib.parse

VERSION_PATH = 'v2.1'


class Link(TypedDict):
    rel: str
    href: str


@dataclasses.dataclass(frozen=True, slots=True)
class Links:
    """``base`` is scheme, host and mount point as the client wrote them, without a slash at the
    end."""

    base: str

    def of(self, collection: str, member: str) -> list[Link]:
        """The two links of one member of a collection."""
        return [
            {'rel': 'self', 'href': self._url(VERSION_PATH, collection, member)},
            self.bookmark(collection, member),
        ]

    def bookmark(self, collection: str, member: str) -> Link:
        return {'rel': 'bookmark', 'href': self._url(collection, member)}

    def location(self, collection: str, member: str) -> str:
        return self._url(VERSION_PATH, collection, member)

    def next(self, path: str, query: dict[str, str], marker: str) -> list[Link]:
        """The link to the page that follows the member ``marker`` of the list at ``path``."""
        parameters = urllib.parse.urlencode({**query, 'marker': marker})
        return [{'rel': 'next', 'href': f'{self._url(VERSION_PATH, path)}?{parameters}'}]

    def _url(self, *parts: str) -> str:
        return '/'.join((self.base, *(urllib.parse.quote(part) for part in parts)))
