"""The version documents, which say what is served before anybody shows a token."""

from __future__ import annotations

from typing import Any

from nova.api import microversion
from nova.api.views import links


def render_version(urls: links.Links) -> dict[str, Any]:
    return {
        'id': links.VERSION_PATH,
        'status': 'CURRENT',
        'version': str(microversion.MAX),
        'min_version': str(microversion.MIN),
        'updated': '2013-07-23T11:33:21Z',
        'links': [{'rel': 'self', 'href': f'{urls.base}/{links.VERSION_PATH}/'}],
    }


def render_version_detail(urls: links.Links) -> dict[str, Any]:
    media_type = 'application/vnd.openstack.compute+json;version=2.1'
    return {
        **render_version(urls),
        'media-types': [{'base': 'application/json', 'type': media_type}],
    }
