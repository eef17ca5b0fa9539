"""Options of the compute service."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.StrOpt(
        'driver',
        default='libvirt',
        choices=[
            ('libvirt', 'KVM or QEMU through libvirt'),
            ('fake', 'keeps guests in memory only; for tests'),
        ],
        help="""
The hypervisor of this host.
""",
    ),
    cfg.IntOpt(
        'console_log_max_bytes',
        default=102400,
        min=1024,
        help="""
The most bytes of a guest's console log that are read and returned for one request, whatever the
guest has written.
""",
    ),
    cfg.IntOpt(
        'reserved_host_memory_mb',
        default=512,
        min=0,
        help="""
Memory of the host that is kept for the host itself, in MiB.
""",
    ),
    cfg.IntOpt(
        'detach_timeout_s',
        default=20,
        min=0,
        help="""
Seconds that a running guest may take to let go of a network interface. One that takes longer keeps
the interface, in the state DETACHING, until it does or is stopped.
""",
    ),
    cfg.IntOpt(
        'shutdown_timeout_s',
        default=60,
        min=0,
        help="""
Seconds that a guest may take to shut down when its server is stopped or rebooted; then it is ended.
""",
    ),
]

GROUP = 'compute'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [(GROUP, OPTS)]
