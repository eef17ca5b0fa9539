"""Options of the libvirt driver."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.StrOpt(
        'connection_uri',
        default='qemu:///system',
        help="""
The libvirt daemon to use.
""",
    ),
    cfg.StrOpt(
        'virt_type',
        default='auto',
        choices=[
            ('auto', 'kvm where a probe shows that it works, else qemu'),
            ('kvm', 'hardware virtualisation'),
            ('qemu', 'software emulation'),
        ],
        help="""
The domain type of new guests. The probe of ``auto`` runs a few instructions in a virtual machine:
that ``/dev/kvm`` can be opened does not mean that guests run on it.
""",
    ),
    cfg.StrOpt(
        'machine_type',
        default='pc',
        help="""
The machine type of new guests, as ``qemu-system-x86_64 -machine help`` lists them. The type ``pc``
has one PCI bus, on which any slot can be plugged at any time.
""",
    ),
    cfg.StrOpt(
        'cpu_mode',
        default='auto',
        choices=[
            ('auto', 'host-model with kvm, the hypervisor default with qemu'),
            ('host-model', "the closest named model to the host's processor"),
            ('host-passthrough', "the host's processor itself; guests cannot migrate elsewhere"),
            ('none', "the hypervisor's default"),
        ],
        help="""
The processor that guests see.
""",
    ),
    cfg.IntOpt(
        'shutdown_timeout_s',
        default=20,
        min=1,
        help="""
Seconds that libvirt may take to end a guest's process before the destroy counts as failed.
""",
    ),
]

GROUP = 'libvirt'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [(GROUP, OPTS)]
