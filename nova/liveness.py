"""Whether a service is alive."""

from __future__ import annotations

import datetime

from nova.db import records


def now() -> datetime.datetime:
    """The present time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def is_up(service: records.Service, at: datetime.datetime, down_time_s: int) -> bool:
    """Whether the service gave a sign of life within ``down_time_s`` seconds before ``at``.

    A sign from the future counts by its distance too: the clocks of two hosts may differ a little,
    and one that is far off cannot be relied on.
    """
    return abs(at - service.last_seen_at) <= datetime.timedelta(seconds=down_time_s)
