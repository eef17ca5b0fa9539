"""Options that every service reads."""

from __future__ import annotations

import socket
from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.HostAddressOpt(
        'my_ip',
        default='127.0.0.1',
        help="""
The address by which other hosts of this cloud reach this host. Put it on the management network;
it is shown to administrators and used for traffic between hosts, never given to guests.
""",
    ),
    cfg.HostDomainOpt(
        'host',
        default=socket.gethostname(),
        sample_default='<this host>',
        help="""
The name of this host in the cloud. It is stored with every instance and service of the host, so
keep it for life. All services of one machine must agree on it.
""",
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/nova',
        help="""
The folder in which nova keeps what it must not lose: disks of instances, cached images, the
SQLite database of a single-machine cloud, and the files of the DHCP servers. It must belong to
the user that runs the services.
""",
    ),
    cfg.StrOpt(
        'run_path',
        default='/run/nova',
        help="""
The folder for what does not outlive a boot of the host: lock files, DHCP leases and pid files. Put
it on a tmpfs, where a DHCP answer takes 0.5 ms and not 8.
""",
    ),
    cfg.IntOpt(
        'report_interval_s',
        default=10,
        min=1,
        help="""
Seconds between two signs of life that a service writes to the database.
""",
    ),
    cfg.IntOpt(
        'reconcile_interval_s',
        default=30,
        min=1,
        help="""
Seconds between two looks of a service at its host. The network service then mends what is not as
the database says, such as a DHCP server that ended; the compute service reports what the host has,
and frees network interfaces that their guests have let go of late.
""",
    ),
    cfg.IntOpt(
        'service_down_time_s',
        default=60,
        min=2,
        help="""
Seconds without a sign of life after which a service counts as down: it gets no new instances, and
``nova-manage service list`` shows it as down. Keep it several times ``report_interval_s``.
""",
    ),
    cfg.IntOpt(
        'rpc_response_timeout_s',
        default=180,
        min=1,
        help="""
Seconds that a caller waits for the answer of a service in another process or on another host.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [('DEFAULT', OPTS)]
