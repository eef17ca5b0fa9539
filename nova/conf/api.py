"""Options of the HTTP API."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.HostAddressOpt(
        'listen',
        default='127.0.0.1',
        help="""
The address on which the Compute API listens.
""",
    ),
    cfg.PortOpt(
        'port',
        default=8774,
        help="""
The port on which the Compute API listens; 8774 is the one that OpenStack assigns to it.
""",
    ),
    cfg.StrOpt(
        'auth_strategy',
        default='keystone',
        choices=[
            ('keystone', 'ask Keystone for the identity behind each token'),
            ('noauth', 'believe the X-User-Id, X-Project-Id and X-Roles headers; for tests only'),
        ],
        help="""
How a request is authenticated.
""",
    ),
    cfg.IntOpt(
        'max_limit',
        default=1000,
        min=1,
        help="""
The most servers that one list answer holds; a longer list is paged with a ``next`` link.
""",
    ),
    cfg.IntOpt(
        'max_nics_per_server',
        default=16,
        min=1,
        max=16,
        help="""
The most network interfaces that one server may have. A guest has PCI slots for 16.
""",
    ),
]

GROUP = 'api'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [(GROUP, OPTS)]
