"""Options of the networks."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.StrOpt(
        'network_manager',
        default='FlatDHCPManager',
        choices=[
            ('FlatDHCPManager', 'bridge, gateway and DHCP server of nova on an untagged segment'),
            ('FlatManager', 'bridges, routers and configuration of guests of the operator'),
            ('VlanManager', 'as FlatDHCPManager, on a VLAN; each project has its own'),
        ],
        help="""
The manager class of new networks whose kind is not given. Each network keeps its kind; one cloud
may have networks of every kind.
""",
    ),
    cfg.IntOpt(
        'vlan_start',
        default=100,
        min=1,
        max=4094,
        help="""
The first VLAN that a vlan network gets whose VLAN is not given.
""",
    ),
    cfg.StrOpt(
        'vlan_physical_network',
        help="""
The physical network of vlan networks for which none is named.
""",
    ),
    cfg.ListOpt(
        'project_ranges',
        default=[],
        help="""
The ranges in which projects may make networks of their own (``os-tenant-networks``), such as
``10.128.0.0/9,fd00:128::/32``. All networks of a host share its routes, so that a range which is in
use elsewhere must not be among them. Empty: only administrators make networks.
""",
    ),
    cfg.IntOpt(
        'watch_interval_s',
        default=1,
        min=1,
        help="""
How often the network service of a host asks the database whether one of its networks was changed.
It costs one small query.
""",
    ),
    cfg.StrOpt(
        'dhcp_domain',
        default='novalocal',
        help="""
The DNS domain that guests are told they are in.
""",
    ),
    cfg.IntOpt(
        'dhcp_lease_time_s',
        default=86400,
        min=120,
        help="""
Seconds for which a DHCP lease is given. A short time costs traffic and buys nothing: an address
is free when its interface is deleted, not when its lease ends.
""",
    ),
    cfg.IntOpt(
        'fixed_ip_quarantine_s',
        default=0,
        min=0,
        help="""
Seconds for which a freed address is not given to another interface. Whatever this is, the address
that has been free longest is given first.
""",
    ),
    cfg.IntOpt(
        'create_unique_mac_attempts',
        default=5,
        min=1,
        help="""
How many times random MAC addresses are drawn for an instance's interfaces before the create fails,
should one be taken.
""",
    ),
    cfg.DictOpt(
        'physical_networks',
        default={},
        help="""
Which interface of this host leads to which physical network: ``physnet1:eth1,physnet2:eth2``. A
network names its physical network; each host maps it to an interface of its own.
""",
    ),
    cfg.StrOpt(
        'egress_interface',
        help="""
The interface of this host by which guests reach the world. IPv4 traffic of theirs that leaves by it
gets its address; what leaves by another interface keeps the guest's. Not set: it always does, and
whoever is outside must have routes to the networks.
""",
    ),
    cfg.DictOpt(
        'network_egress',
        default={},
        help="""
The egress interface of single networks, by their uuid or label: ``red:eth1,blue:eth2``. An empty
one (``red:``) keeps the addresses of that network's guests.
""",
    ),
    cfg.ListOpt(
        'forward_between',
        default=[],
        help="""
Pairs of networks, by uuid or label, that this host forwards between: ``red:blue,red:green``. It
forwards between no others: networks are apart even if one host is the gateway of both.
""",
    ),
    cfg.BoolOpt(
        'host_table',
        default=True,
        help="""
Whether this host has the table ``inet nova-nat`` of nftables, which keeps networks apart,
translates addresses and keeps guests from the host's own services. Turn it off only where the
kernel has no such tables: this host then serves networks whose gateway is elsewhere or that may all
reach each other (``forward_between``), and nothing but the operator's own rules keeps guests from
the host's services.
""",
    ),
    cfg.StrOpt(
        'floating_interface',
        help="""
The interface of this host that gets the floating IPs of its guests. Not set: it gets none, and
somebody routes them to this host.
""",
    ),
]

GROUP = 'network'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [(GROUP, OPTS)]
