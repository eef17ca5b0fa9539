"""Options of the firewall of a compute host."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.StrOpt(
        'driver',
        default='nftables',
        choices=[
            ('nftables', 'the first-hop stage and security groups by nftables'),
            ('iptables', 'security groups by iptables and ip6tables, the rest by nftables'),
            ('nwfilter', "libvirt's network filters; they cannot hold all attacks"),
            ('noop', 'nothing is filtered; for tests only'),
        ],
        help="""
What keeps the NICs of guests to their own addresses and to their security groups. Move the guests
off a host before it is changed there.
""",
    ),
    cfg.StrOpt(
        'iptables_backend',
        default='system',
        choices=[
            ('system', 'the commands without a suffix, whichever they are'),
            ('legacy', 'iptables-legacy-restore and so on'),
            ('nft', 'iptables-nft-restore and so on'),
        ],
        help="""
Which iptables the driver ``iptables`` uses, on hosts that have two. Move the guests off a host
before it is changed there, in this option or by the host's own means.
""",
    ),
]

GROUP = 'firewall'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [(GROUP, OPTS)]
