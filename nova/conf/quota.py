"""Options about how much a project may have."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.IntOpt(
        'security_groups',
        default=10,
        min=-1,
        help="""
The most security groups of a project, its group ``default`` among them; -1 for any number.
""",
    ),
    cfg.IntOpt(
        'security_group_rules',
        default=100,
        min=-1,
        help="""
The most rules of a security group; -1 for any number. Every interface in the group has to be given
each of them.
""",
    ),
    cfg.IntOpt(
        'interfaces',
        default=-1,
        min=-1,
        help="""
The most network interfaces that the servers of a project may have together; -1 for any number.
""",
    ),
    cfg.IntOpt(
        'fixed_ips',
        default=-1,
        min=-1,
        help="""
The most fixed IP addresses that the servers of a project may have together; -1 for any number. The
boots and attaches of one project wait for each other where this or ``interfaces`` is set.
""",
    ),
    cfg.IntOpt(
        'floating_ips',
        default=10,
        min=-1,
        help="""
The most floating IPs that a project may hold; -1 for any number.
""",
    ),
]

GROUP = 'quota'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [(GROUP, OPTS)]
