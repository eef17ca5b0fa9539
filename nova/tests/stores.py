"""Rows for tests, every one with values of its own."""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import uuid

import netaddr

from nova.db import api as db
from nova.db import records
from nova.network import model

_numbers = itertools.count(1)


def new_uuid() -> str:
    return str(uuid.uuid4())


def store_flavor(
    name: str = 'small', *, memory_mb: int = 512, vcpus: int = 1, root_gb: int = 1
) -> records.Flavor:
    return db.flavor_create(
        flavorid=f'id-of-{name}', name=name, memory_mb=memory_mb, vcpus=vcpus, root_gb=root_gb
    )


def store_instance(
    flavor: records.Flavor,
    *,
    project_id: str = 'project-1',
    display_name: str | None = None,
    requested_networks: Sequence[records.RequestedNetwork] = (),
) -> records.Instance:
    number = next(_numbers)
    return db.instance_create(
        uuid=new_uuid(),
        project_id=project_id,
        user_id=f'user-{number}',
        display_name=display_name or f'server-{number}',
        hostname=display_name or f'server-{number}',
        image_ref=new_uuid(),
        flavor=flavor,
        requested_networks=requested_networks,
        reservation_id=f'r-{number}',
    )


def build_network(
    cidr: str,
    *,
    label: str | None = None,
    project_id: str | None = None,
    cidr_v6: str | None = None,
) -> tuple[records.NewNetwork, list[tuple[str, bool]]]:
    """A network whose first address is gateway and DHCP server, and its addresses."""
    number = next(_numbers)
    addresses = list(netaddr.IPNetwork(cidr))
    gateway = str(addresses[1])
    new = records.NewNetwork(
        uuid=new_uuid(),
        label=label or f'net-{number}',
        kind=model.NetworkKind.FLAT_DHCP,
        project_id=project_id,
        cidr=cidr,
        cidr_v6=cidr_v6,
        gateway=gateway,
        dhcp_server=gateway,
        dhcp_start=str(addresses[2]),
        dhcp_end=str(addresses[-2]),
        dns=(f'192.0.2.{number % 250 + 1}',),
        bridge=f'br-test-{number}',
        physical_network=None,
        vlan=None,
        mtu=None,
        multi_host=False,
    )
    reserved = {addresses[0], addresses[1], addresses[-1]}
    return new, [(str(address), address in reserved) for address in addresses]


def store_network(
    cidr: str,
    *,
    label: str | None = None,
    project_id: str | None = None,
    cidr_v6: str | None = None,
) -> records.Network:
    new, addresses = build_network(cidr, label=label, project_id=project_id, cidr_v6=cidr_v6)
    return db.network_create(new, addresses, lambda _others: None)


def build_nics(
    *networks: records.Network,
    fixed_ips: Sequence[str | None] = (),
    security_groups: Sequence[Sequence[str]] = (),
) -> list[records.WantedNic]:
    """A NIC on each network, in order, each with a MAC of its own."""
    wanted = []
    for index, network in enumerate(networks):
        number = next(_numbers)
        wanted.append(
            records.WantedNic(
                uuid=new_uuid(),
                index=index,
                network_uuid=network.uuid,
                mac=f'fa:16:3e:00:{number >> 8 & 255:02x}:{number & 255:02x}',
                default_route=index == 0,
                fixed_ip=fixed_ips[index] if fixed_ips else None,
                security_groups=tuple(security_groups[index]) if security_groups else (),
            )
        )
    return wanted
