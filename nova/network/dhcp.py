"""What a network's DHCP server is told: dnsmasq's files, as text.

One dnsmasq serves one network. It answers only to MAC addresses it knows, ignores client ids (a
guest that boots another system keeps its address), and keeps its leases in memory: what it hands
out is decided by the database, so that it may die and start anew without a client noticing
(``dhcp-authoritative``).

It learns its hosts from two places that are re-read at different times
(https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html): ``hosts`` when it starts, and every new
file of ``hosts.d`` at once. Nothing makes it forget a host but a new start: a file that goes away
changes nothing, and SIGHUP makes dnsmasq 2.86 to 2.90 crash once a host with a tag has been
served. So a host that is no longer wanted stays until another wants its address or its MAC
address (:func:`plan_update`); it does no harm, since it has no NIC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
import dataclasses
import re

import netaddr

from nova import exception
from nova.network import model

CONFIG_FILE, PID_FILE = 'dnsmasq.conf', 'dnsmasq.pid'
HOSTS_FILE, HOSTS_FOLDER = 'hosts', 'hosts.d'

#: The tag of NICs that get a default route.
_ROUTED = 'routed'
_ROUTES = 'option:classless-static-route'
#: What dnsmasq calls the modes. With ``static`` it gives addresses to hosts that it knows only.
_MODES = {
    model.Ipv6Mode.SLAAC: 'ra-only',
    model.Ipv6Mode.STATELESS: 'ra-stateless',
    model.Ipv6Mode.STATEFUL: 'static',
}
#: The defaults of RFC 4861, section 6.2.1, for routers that are asked anyway.
_RA_INTERVAL_S, _ROUTER_LIFETIME_S = 600, 1800
#: Characters that mean nothing to dnsmasq in the middle of a value.
_PLAIN = re.compile(r'[A-Za-z0-9._:/+@-]+')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The addresses of one NIC, one at least. ``hostname`` None gives the guest no name."""

    mac: str
    address: str | None
    default_route: bool
    hostname: str | None = None
    address_v6: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One DHCP server: on ``interface``, which has an address of ``cidr`` and of ``cidr_v6``, with
    its files in ``folder``. ``routed_v6`` says whether it announces itself as a router."""

    network_id: str
    interface: str
    folder: str
    cidr: str | None
    gateway: str | None
    dns: tuple[str, ...]
    mtu: int | None
    domain: str
    lease_time_s: int
    lease_max: int
    reservations: tuple[Reservation, ...] = ()
    cidr_v6: str | None = None
    ipv6_mode: model.Ipv6Mode | None = None
    routed_v6: bool = False
    routes: tuple[model.Route, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How a running server gets to know its hosts: it must ``restart``, or it is told the lines
    ``add`` (none: it knows them all)."""

    restart: bool = False
    add: tuple[str, ...] = ()


def render_config(server: Server) -> str:
    """dnsmasq's configuration.

    An option without a value keeps dnsmasq from making one up: the router and the DNS server
    would be itself.

    :raises InvalidName: a value has characters that dnsmasq gives a meaning.
    """
    lines = [
        f'# DHCP of network {_plain(server.network_id, "network")}; made by nova-network',
        'port=0',
        'no-hosts',
        'no-resolv',
        'no-ping',
        'log-async=25',
        f'interface={_plain(server.interface, "interface")}',
        'except-interface=lo',
        'bind-dynamic',
        f'dhcp-lease-max={server.lease_max}',
        'dhcp-authoritative',
        'dhcp-ignore-clid',
        'dhcp-ignore=tag:!known',
        f'dhcp-hostsfile={_plain(server.folder, "folder")}/{HOSTS_FILE}',
        f'dhcp-hostsdir={_plain(server.folder, "folder")}/{HOSTS_FOLDER}',
        'leasefile-ro',
        f'domain={_plain(server.domain, "domain")}',
    ]
    if server.cidr is not None:
        lines += _render_v4(server, netaddr.IPNetwork(server.cidr))
    if server.cidr_v6 is not None and server.ipv6_mode is not None:
        lines += _render_v6(server, server.ipv6_mode, netaddr.IPNetwork(server.cidr_v6))
    return ''.join(f'{line}\n' for line in lines)


def _render_v4(server: Server, cidr: netaddr.IPNetwork) -> list[str]:
    lines = [
        f'dhcp-range={cidr.network},static,{cidr.netmask},{server.lease_time_s}s',
        'dhcp-option=option:router',
    ]
    routes = [
        _plain(part, 'route')
        for route in server.routes
        if ':' not in route.cidr
        for part in (route.cidr, route.gateway)
    ]
    if routes:
        lines.append(','.join([f'dhcp-option={_ROUTES}', *routes]))
    if server.gateway is not None:
        gateway = _plain(server.gateway, 'gateway')
        lines.append(f'dhcp-option=tag:{_ROUTED},option:router,{gateway}')
        if routes:
            # who understands it does not look at the router (RFC 3442)
            everything = ['0.0.0.0/0', gateway]
            lines.append(','.join([f'dhcp-option=tag:{_ROUTED},{_ROUTES}', *everything, *routes]))
    dns = [address for address in _dns(server) if ':' not in address]
    lines.append(','.join(['dhcp-option=option:dns-server', *dns]))
    if server.mtu is not None:
        lines.append(f'dhcp-option=option:mtu,{server.mtu}')
    return lines


def _render_v6(server: Server, mode: model.Ipv6Mode, cidr: netaddr.IPNetwork) -> list[str]:
    """Announcements, whose MTU is that of the interface, and DHCPv6."""
    lifetime = _ROUTER_LIFETIME_S if server.routed_v6 else 0
    dns = [f'[{address}]' for address in _dns(server) if ':' in address]
    return [
        'enable-ra',
        f'ra-param={_plain(server.interface, "interface")},{_RA_INTERVAL_S},{lifetime}',
        f'dhcp-range={cidr.network},{_MODES[mode]},{cidr.prefixlen},{server.lease_time_s}s',
        ','.join(['dhcp-option=option6:dns-server', *dns]),
    ]


def _dns(server: Server) -> list[str]:
    return [_plain(address, 'dns') for address in server.dns]


def render_hosts(reservations: Iterable[Reservation]) -> tuple[str, ...]:
    """A line for each reservation, in order:
    ``mac[,set:routed][,address][,[address_v6]][,hostname]``.

    :raises InvalidName: a value has characters that dnsmasq gives a meaning.
    """
    return tuple(_render_host(reservation) for reservation in reservations)


def _render_host(reservation: Reservation) -> str:
    parts = [_plain(reservation.mac, 'mac')]
    if reservation.default_route:
        parts.append(f'set:{_ROUTED}')
    if reservation.address is not None:
        parts.append(_plain(reservation.address, 'address'))
    if reservation.address_v6 is not None:
        parts.append(f'[{_plain(reservation.address_v6, "address")}]')
    if reservation.hostname is not None:
        parts.append(_plain(reservation.hostname, 'hostname'))
    return ','.join(parts)


def plan_update(known: Iterable[str], wanted: Collection[str]) -> Update:
    """How a server that was told the lines ``known`` gets to the lines ``wanted``.

    dnsmasq refuses a line whose address or MAC address another line holds, so that a line which
    is in the way can only be got rid of by a new start.
    """
    told = set(known)
    missing = tuple(line for line in wanted if line not in told)
    stale = told.difference(wanted)
    held = {key for line in stale for key in _keys(line)}
    if any(key in held for line in missing for key in _keys(line)):
        return Update(restart=True)
    return Update(add=missing)


def _keys(line: str) -> tuple[str, ...]:
    """The MAC address and the IP addresses of a line of :func:`render_hosts`."""
    mac, *rest = line.split(',')
    values = [part for part in rest if not part.startswith('set:')]
    return mac, *values[:1], *(part for part in values[1:] if part.startswith('['))


def _plain(value: str, field: str) -> str:
    if _PLAIN.fullmatch(value) is None:
        raise exception.InvalidName(field=field, value=value, reason='dnsmasq cannot be given it')
    return value
