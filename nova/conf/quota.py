"""Options about how much a project may have."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.IntOpt(
        'instances',
        default=10,
        min=-1,
        help="""
The most servers of a project; -1 for any number. This and the other limits of a project are what
holds unless ``nova quota-update`` says otherwise for one project.
""",
    ),
    cfg.IntOpt(
        'cores',
        default=20,
        min=-1,
        help="""
The most virtual CPUs of a project's servers together; -1 for any number.
""",
    ),
    cfg.IntOpt(
        'ram',
        default=50 * 1024,
        min=-1,
        help="""
The most memory of a project's servers together, in MiB; -1 for any amount.
""",
    ),
    cfg.IntOpt(
        'metadata_items',
        default=128,
        min=-1,
        max=128,
        help="""
The most metadata items of a server; -1 for the most that the API takes, 128.
""",
    ),
    cfg.IntOpt(
        'networks',
        default=3,
        min=-1,
        help="""
The most networks of a project that it made by itself; -1 for any number.
""",
    ),
    cfg.IntOpt(
        'interfaces_per_server',
        default=-1,
        min=-1,
        help="""
The most network interfaces of a server; -1 for as many as ``[api] max_nics_per_server`` allows.
""",
    ),
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
