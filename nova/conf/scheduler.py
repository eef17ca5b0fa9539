"""Options of the scheduler."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.FloatOpt(
        'cpu_allocation_ratio',
        default=16.0,
        min=0.1,
        help="""
How many virtual processors may be claimed for each processor of a host.
""",
    ),
    cfg.FloatOpt(
        'ram_allocation_ratio',
        default=1.5,
        min=0.1,
        help="""
How much guest memory may be claimed for the memory of a host.
""",
    ),
    cfg.FloatOpt(
        'disk_allocation_ratio',
        default=1.0,
        min=0.1,
        help="""
How much guest disk may be claimed for the disk of a host.
""",
    ),
    cfg.IntOpt(
        'max_attempts',
        default=3,
        min=1,
        help="""
How many hosts are tried in turn when another scheduler claims the chosen one first.
""",
    ),
]

GROUP = 'scheduler'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [(GROUP, OPTS)]
