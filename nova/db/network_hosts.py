"""What hosts need of networks."""

from __future__ import annotations

import sqlalchemy as sa

from nova.db import models, session


def bridges_of_host(host: str) -> frozenset[str]:
    """The bridges of the networks that NICs of the host's instances are on."""
    query = (
        sa.select(models.Network.bridge)
        .join(models.Vif, models.Vif.network_id == models.Network.id)
        .join(models.Instance, models.Instance.uuid == models.Vif.instance_uuid)
        .where(models.Instance.host == host)
        .distinct()
    )
    with session.database().reader() as db:
        return frozenset(db.scalars(query))
