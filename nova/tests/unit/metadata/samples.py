"""NICs with and without DHCP; no two share anything."""

from __future__ import annotations

from nova.network import model
from nova.tests.unit.virt import instances

EXTRA = model.Route(cidr='198.51.100.0/24', gateway='10.1.0.7')


def make_flat_vif(index: int, **changes: object) -> model.VIF:
    """NIC ``index`` on a network without DHCP; see :func:`instances.make_vif` for its addresses.
    The network of an odd one has static routes and IPv6 as well."""
    ipv4 = model.Subnet(
        cidr=f'10.{index}.0.0/{24 - index}',
        gateway=f'10.{index}.0.1',
        dns=(f'192.0.2.{index}', '192.0.2.200'),
        routes=(EXTRA,) if index % 2 else (),
    )
    ipv6 = model.Subnet(
        cidr=f'fd00:{index:x}::/64',
        gateway=f'fd00:{index:x}::1',
        dns=(f'2001:db8::{index:x}',),
    )
    return instances.make_vif(index, subnets=(ipv4, ipv6) if index % 2 else (ipv4,), **changes)


def make_flat(nics: int) -> model.NetworkInfo:
    """All NICs on networks without DHCP, the first with the default route."""
    return model.NetworkInfo(tuple(make_flat_vif(index) for index in range(nics)))


def make_mixed() -> model.NetworkInfo:
    """Static, by DHCP, and by DHCP with further addresses; the second has the default route."""
    first = make_flat_vif(0, default_route=False)
    second = instances.make_vif(2, default_route=True, tag='uplink')
    ipv4 = model.Subnet(cidr='10.3.0.0/24', dhcp_server='10.3.0.2')
    third = instances.make_vif(3, subnets=(ipv4,), addresses=('10.3.0.9', '10.3.0.8'))
    return model.NetworkInfo((first, second, third))


def make_announced() -> model.NetworkInfo:
    """A NIC for each way in which an announced network gives IPv6 addresses, the second without
    IPv4; the first has the default routes, the second a static route."""
    vifs = []
    for index, mode in enumerate(model.Ipv6Mode):
        cidr = f'fd00:{index:x}::/64'
        ipv6 = model.Subnet(
            cidr=cidr,
            gateway=None if index else 'fd00::1',
            routes=(model.Route(cidr='fd00:99::/64', gateway='fd00:1::7'),) if index == 1 else (),
            ipv6_mode=mode,
            ra_server=f'fe80::{index + 1:x}',
        )
        ipv4 = model.Subnet(
            cidr=f'10.{index}.0.0/24', gateway=f'10.{index}.0.1', dhcp_server=f'10.{index}.0.2'
        )
        own = model.mac_address_v6(cidr, instances.make_vif(index).mac)
        addresses = (own,) if index == 1 else (f'10.{index}.0.9', own)
        subnets = (ipv6,) if index == 1 else (ipv4, ipv6)
        vifs.append(instances.make_vif(index, subnets=subnets, addresses=addresses))
    return model.NetworkInfo(tuple(vifs))
