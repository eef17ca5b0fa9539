"""Floating IPs as clients see them."""

from __future__ import annotations

from typing import Any

from nova.db import records


def render_floating_ip(floating_ip: records.FloatingIp) -> dict[str, Any]:
    return {
        'id': str(floating_ip.id),
        'ip': floating_ip.address,
        'pool': floating_ip.pool,
        'fixed_ip': floating_ip.fixed_ip,
        'instance_id': floating_ip.instance_uuid,
    }
