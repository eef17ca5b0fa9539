"""Which addresses and MAC addresses NICs get.

Randomness is a parameter (:class:`random.Random`; the services pass ``SystemRandom``), so that
every function is a function of its arguments.

An IPv6 address of a NIC is made of its MAC address (modified EUI-64), unless another was asked for:
it is the one that a guest gives itself where addresses are left to guests, and since no two NICs
have one MAC address it is free, without a search or a lock. So IPv6 ranges are /64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import random
from typing import Any
import uuid as uuids

import netaddr

from nova import exception
from nova.db import records
from nova.network import info, model, ranges

#: The tag of the NIC that is to have the IPv4 default route.
DEFAULT_ROUTE_TAG = 'default-route'

#: Locally known as OpenStack's; unicast.
_MAC_PREFIX = 'fa:16:3e'
#: What :data:`_MAC_PREFIX` makes of the last 64 bits of an address.
_MADE_OF_MAC = 0xF8163EFFFE


def choose_mac(random_source: random.Random) -> str:
    """A random MAC address of ours."""
    tail = random_source.getrandbits(24).to_bytes(3, 'big')
    return f'{_MAC_PREFIX}:{tail.hex(":")}'


def choose_default_route(
    networks: Sequence[records.NewNetwork], tags: Sequence[str | None]
) -> int | None:
    """Which NIC gets the instance's IPv4 default route, given each NIC's network and tag in NIC
    order: the one with the tag for it, else the first whose network has a gateway; None where none
    has.

    :raises InvalidInput: the tag is on several, or on a NIC whose network has no gateway.
    """
    asked = [i for i, tag in enumerate(tags) if tag == DEFAULT_ROUTE_TAG]
    if not asked:
        return next((i for i, network in enumerate(networks) if network.gateway is not None), None)
    if len(asked) > 1:
        reason = f'only one interface of a server can have the tag {DEFAULT_ROUTE_TAG}'
        raise exception.InvalidInput(field='tag', reason=reason)
    (chosen,) = asked
    if networks[chosen].gateway is None:
        label = networks[chosen].label
        reason = f'{DEFAULT_ROUTE_TAG} is for networks with an IPv4 gateway, which {label} has not'
        raise exception.InvalidInput(field='tag', reason=reason)
    return chosen


def check_default_routes(
    networks: Sequence[records.NewNetwork], tags: Sequence[str | None]
) -> None:
    """Refuse a guest with NICs on these networks if its default routes were not clear. It would
    have several of IPv6 with several networks that have an IPv6 gateway: whoever is on one hears
    of it, and there is no telling one NIC.

    :param tags: of the NICs; see :func:`choose_default_route`.
    :raises InvalidInput:
    """
    choose_default_route(networks, tags)
    leading = [network.label for network in networks if network.gateway_v6 is not None]
    if len(leading) > 1:
        reason = (
            f'{" and ".join(leading)} would each give the server an IPv6 default route;'
            ' only one of its interfaces can be on a network with an IPv6 gateway'
        )
        raise exception.InvalidInput(field='networks', reason=reason)


def plan_nics(
    requested: Sequence[records.RequestedNetwork],
    networks: Mapping[str, records.NewNetwork],
    random_source: random.Random,
) -> tuple[records.WantedNic, ...]:
    """One NIC for each request, in the same order. A network may be asked for any number of
    times.

    :param networks: by uuid; those asked for are among them.
    :raises NetworkNotFound: one is not.
    :raises FixedIpInvalid: an address asked for cannot be given.
    :raises InvalidInput: see :func:`check_default_routes`.
    """
    for request in requested:
        if request.network_uuid not in networks:
            raise exception.NetworkNotFound(network_id=request.network_uuid)
    on = [networks[request.network_uuid] for request in requested]
    tags = [request.tag for request in requested]
    check_default_routes(on, tags)
    default = choose_default_route(on, tags)
    macs: dict[str, None] = {}
    while len(macs) < len(requested):
        macs[choose_mac(random_source)] = None
    return tuple(
        _plan_nic(index, request, networks[request.network_uuid], mac, index == default, node)
        for index, (request, mac) in enumerate(zip(requested, macs, strict=True))
        for node in [random_source.getrandbits(128)]
    )


def _plan_nic(
    index: int,
    request: records.RequestedNetwork,
    network: records.NewNetwork,
    mac: str,
    default_route: bool,
    node: int,
) -> records.WantedNic:
    asked = request.fixed_ip and parse_fixed_ip(request.fixed_ip, network)
    asked_v6 = asked if asked is not None and ':' in asked else None
    return records.WantedNic(
        uuid=str(uuids.UUID(int=node, version=4)),
        index=index,
        network_uuid=request.network_uuid,
        mac=mac,
        default_route=default_route,
        fixed_ip=None if asked_v6 else asked,
        tag=request.tag,
        security_groups=request.security_groups,
        fixed_ip_v6=asked_v6 or choose_address_v6(network, mac),
    )


def choose_address_v6(network: records.NewNetwork, mac: str) -> str | None:
    """The IPv6 address of a NIC that asks for none."""
    return None if network.cidr_v6 is None else model.mac_address_v6(network.cidr_v6, mac)


def parse_fixed_ip(text: str, network: records.NewNetwork) -> str:
    """The address ``text`` in canonical form, if a NIC on ``network`` may ask for it.

    :raises FixedIpInvalid:
    """

    def refusal(reason: str) -> exception.FixedIpInvalid:
        return exception.FixedIpInvalid(address=text, network=network.label, reason=reason)

    try:
        address = ranges.parse_address(text, 'fixed_ip')
    except exception.InvalidCidr as exc:
        raise refusal('it is not an IP address') from exc
    reason = (
        _why_not_v4(address, network) if address.version == 4 else _why_not_v6(address, network)
    )
    if reason is not None:
        raise refusal(reason)
    return str(address)


def _why_not_v4(address: Any, network: records.NewNetwork) -> str | None:
    if network.cidr is None or network.dhcp_start is None or network.dhcp_end is None:
        return 'the network has no IPv4 range'
    cidr = netaddr.IPNetwork(network.cidr)
    if address not in cidr:
        return f'it is not in the range {network.cidr}'
    if not ranges.number(network.dhcp_start) <= int(address) <= ranges.number(network.dhcp_end):
        return f'NICs get {network.dhcp_start} to {network.dhcp_end}'
    taken = (str(cidr.network), str(cidr.broadcast), network.gateway, network.dhcp_server)
    return 'it is reserved' if str(address) in taken else None


def _why_not_v6(address: Any, network: records.NewNetwork) -> str | None:
    if network.cidr_v6 is None:
        return 'the network has no IPv6 range'
    cidr = netaddr.IPNetwork(network.cidr_v6)
    if address not in cidr:
        return f'it is not in the range {network.cidr_v6}'
    if network.ipv6_mode in (model.Ipv6Mode.SLAAC, model.Ipv6Mode.STATELESS):
        return 'guests of the network make their IPv6 addresses of their MAC addresses'
    taken = (str(cidr.network), network.gateway_v6, info.server_address_v6(network))
    if str(address) in taken:
        return 'it is reserved'
    if network.multi_host and model.is_host_address_v6(str(address)):
        return 'it is kept for a host'
    if int(address) >> 24 & 0xFFFFFFFFFF == _MADE_OF_MAC:
        return 'it is kept for the NIC with that MAC address'
    return None
