"""Flavors, as the API shows them."""

from __future__ import annotations

from typing import Any

from nova.api.views import links
from nova.db import records


def render_summary(flavor: records.Flavor, urls: links.Links) -> dict[str, Any]:
    return {
        'id': flavor.flavorid,
        'name': flavor.name,
        'links': urls.of('flavors', flavor.flavorid),
    }


def render_detail(flavor: records.Flavor, urls: links.Links) -> dict[str, Any]:
    return {
        **render_summary(flavor, urls),
        'ram': flavor.memory_mb,
        'vcpus': flavor.vcpus,
        'disk': flavor.root_gb,
        # The API writes "no swap" as an empty text.
        'swap': flavor.swap_mb or '',
        'OS-FLV-EXT-DATA:ephemeral': flavor.ephemeral_gb,
        'OS-FLV-DISABLED:disabled': flavor.disabled,
        'os-flavor-access:is_public': flavor.is_public,
        'rxtx_factor': 1.0,
    }
