"""``network_data.json``: an instance's NICs as its guest should configure them; pure.

The format is OpenStack's (https://docs.openstack.org/nova/latest/user/metadata.html), of which
cloud-init reads ``links``, ``networks`` and ``services``. A guest knows its NICs by their MAC
addresses, never by a name.

The format has routes of a NIC but no routing rules, so that it cannot say "a reply leaves by the
NIC that the question came in on"; a guest that needs this makes the rules itself, from the
addresses and gateways that it finds here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import netaddr

from nova.network import model

#: What cloud-init calls the ways in which a guest gets its IPv6 address by itself.
_ANNOUNCED = {
    model.Ipv6Mode.SLAAC: 'ipv6_slaac',
    model.Ipv6Mode.STATELESS: 'ipv6_dhcpv6-stateless',
    model.Ipv6Mode.STATEFUL: 'ipv6_dhcpv6-stateful',
}
#: Where nothing more special leads: (network, netmask) by IP version.
_EVERYWHERE = {4: ('0.0.0.0', '0.0.0.0'), 6: ('::', '::')}


def build_network_data(network_info: model.NetworkInfo) -> dict[str, Any]:
    """The document, as JSON values.

    ``links`` are in the order of the NICs; ``networks`` has an entry for each address, but for
    addresses that the network itself hands out, one that says how.
    """
    networks = [
        {'id': f'network{number}'} | entry
        for number, entry in enumerate(
            entry for vif in network_info for entry in _networks(vif, network_info)
        )
    ]
    services = dict.fromkeys(
        address for vif in network_info for subnet in _subnets(vif) for address in subnet.dns
    )
    return {
        'links': [_link(vif) for vif in network_info],
        'networks': networks,
        'services': [_dns(address) for address in services],
    }


def choose_default(network_info: model.NetworkInfo, version: int) -> model.VIF | None:
    """The NIC with the default route of IP ``version``: the one that has the default route, if it
    has a gateway of that family, else the first NIC that has one; None when none has."""
    able = [vif for vif in network_info if _gateway(vif, version) is not None]
    return next((vif for vif in able if vif.default_route), able[0] if able else None)


def _gateway(vif: model.VIF, version: int) -> str | None:
    subnet = vif.network.subnet(version)
    return subnet.gateway if subnet is not None and vif.addresses_of(version) else None


def _subnets(vif: model.VIF) -> tuple[model.Subnet, ...]:
    """The ranges that the NIC has an address of."""
    return tuple(subnet for subnet in vif.network.subnets if vif.addresses_of(subnet.version))


def _link(vif: model.VIF) -> dict[str, Any]:
    return {
        'id': vif.device,
        'vif_id': vif.id,
        'type': 'phy',
        'mtu': vif.network.mtu,
        'ethernet_mac_address': vif.mac,
    }


def _networks(vif: model.VIF, network_info: model.NetworkInfo) -> Iterator[dict[str, Any]]:
    for subnet in _subnets(vif):
        shared = {'link': vif.device, 'network_id': vif.network.id}
        addresses = vif.addresses_of(subnet.version)
        routes = _routes(vif, subnet, network_info)
        if subnet.dhcp_server is not None:
            # a DHCP client has one lease, of the first address; it carries the routes
            yield shared | {'type': f'ipv{subnet.version}_dhcp'}
            addresses, routes = addresses[1:], []
        if subnet.ipv6_mode is not None:
            # announcements make the first address and the default route, but carry no others
            announced = [_route(route.cidr, route.gateway) for route in subnet.routes]
            yield shared | {'type': _ANNOUNCED[subnet.ipv6_mode], 'routes': announced}
            addresses, routes = addresses[1:], []
        for position, address in enumerate(addresses):
            yield shared | {
                'type': f'ipv{subnet.version}',
                'ip_address': address,
                'netmask': subnet.netmask,
                'routes': [] if position else routes,
                'services': [_dns(server) for server in subnet.dns],
            }


def _routes(
    vif: model.VIF, subnet: model.Subnet, network_info: model.NetworkInfo
) -> list[dict[str, str]]:
    routes = [_route(str(route.cidr), route.gateway) for route in subnet.routes]
    if subnet.gateway is not None and vif == choose_default(network_info, subnet.version):
        network, netmask = _EVERYWHERE[subnet.version]
        routes.insert(0, {'network': network, 'netmask': netmask, 'gateway': subnet.gateway})
    return routes


def _route(cidr: str, gateway: str) -> dict[str, str]:
    network = netaddr.IPNetwork(cidr)
    return {
        'network': str(network.network),
        'netmask': str(network.netmask),
        'gateway': gateway,
    }


def _dns(address: str) -> dict[str, str]:
    return {'type': 'dns', 'address': address}
