"""What can be known to be wrong with a request before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import re2

from nova import exception
from nova.db import records


def check_image(image: Any, flavor: records.Flavor) -> None:
    """:raises ImageUnacceptable: it is not there in full, or needs a larger flavor."""
    if image.status != 'active':
        raise exception.ImageUnacceptable(
            image_id=image.id, reason=f'its status is {image.status}, not active'
        )
    if image.min_ram_mb > flavor.memory_mb:
        raise exception.ImageUnacceptable(
            image_id=image.id,
            reason=f'it needs {image.min_ram_mb} MiB of memory, flavor {flavor.name} has '
            f'{flavor.memory_mb}',
        )
    if flavor.root_gb and image.min_disk_gb > flavor.root_gb:
        raise exception.ImageUnacceptable(
            image_id=image.id,
            reason=f'it needs {image.min_disk_gb} GiB of disk, flavor {flavor.name} has '
            f'{flavor.root_gb}',
        )


def check_counts(
    min_count: int, max_count: int, networks: tuple[records.RequestedNetwork, ...]
) -> None:
    """How many servers are wanted, and whether they can be alike.

    :raises InvalidInput:
    """
    if min_count > max_count:
        raise exception.InvalidInput(
            field='min_count', reason=f'{min_count} is more than max_count {max_count}'
        )
    if max_count > 1 and any(network.fixed_ip for network in networks):
        raise exception.InvalidInput(
            field='networks', reason='a fixed_ip can be given to one server only'
        )


def check_of_one_server(
    limits: Mapping[str, int],
    metadata: Mapping[str, str],
    networks: tuple[records.RequestedNetwork, ...],
) -> None:
    """Those quotas that each server has for itself.

    :raises QuotaExceeded:
    """
    for resource, wanted in (
        ('metadata_items', len(metadata)),
        ('interfaces_per_server', len(networks)),
    ):
        if 0 <= limits[resource] < wanted:
            raise exception.QuotaExceeded(
                resource=resource, allowed=limits[resource], requested=wanted
            )


def compile_pattern(pattern: str | None) -> Any:
    """RE2 matches in linear time, so that no pattern can hold up the service.

    :raises InvalidInput: it is no regular expression.
    """
    if pattern is None:
        return None
    try:
        return re2.compile(pattern)
    except re2.error as exc:
        raise exception.InvalidInput(field='name', reason=f'{pattern!r}: {exc}') from exc
