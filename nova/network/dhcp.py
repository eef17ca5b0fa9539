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

CONFIG_FILE, PID_FILE = 'dnsmasq.conf', 'dnsmasq.pid'
HOSTS_FILE, HOSTS_FOLDER = 'hosts', 'hosts.d'

#: The tag of NICs that get a default route.
_ROUTED = 'routed'
#: Characters that mean nothing to dnsmasq in the middle of a value.
_PLAIN = re.compile(r'[A-Za-z0-9._:/+@-]+')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The address of one NIC. ``hostname`` None gives the guest no name."""

    mac: str
    address: str
    default_route: bool
    hostname: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One DHCP server: on ``interface``, which has an address of ``cidr``, with its files in
    ``folder``."""

    network_id: str
    interface: str
    folder: str
    cidr: str
    gateway: str | None
    dns: tuple[str, ...]
    mtu: int | None
    domain: str
    lease_time_s: int
    lease_max: int
    reservations: tuple[Reservation, ...] = ()


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
    cidr = netaddr.IPNetwork(server.cidr)
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
        f'dhcp-range={cidr.network},static,{cidr.netmask},{server.lease_time_s}s',
        f'dhcp-lease-max={server.lease_max}',
        'dhcp-authoritative',
        'dhcp-ignore-clid',
        'dhcp-ignore=tag:!known',
        f'dhcp-hostsfile={_plain(server.folder, "folder")}/{HOSTS_FILE}',
        f'dhcp-hostsdir={_plain(server.folder, "folder")}/{HOSTS_FOLDER}',
        'leasefile-ro',
        f'domain={_plain(server.domain, "domain")}',
        'dhcp-option=option:router',
    ]
    if server.gateway is not None:
        gateway = _plain(server.gateway, 'gateway')
        lines.append(f'dhcp-option=tag:{_ROUTED},option:router,{gateway}')
    dns = [_plain(address, 'dns') for address in server.dns]
    lines.append(','.join(['dhcp-option=option:dns-server', *dns]))
    if server.mtu is not None:
        lines.append(f'dhcp-option=option:mtu,{server.mtu}')
    return ''.join(f'{line}\n' for line in lines)


def render_hosts(reservations: Iterable[Reservation]) -> tuple[str, ...]:
    """A line for each reservation, in order: ``mac[,set:routed],address[,hostname]``.

    :raises InvalidName: a value has characters that dnsmasq gives a meaning.
    """
    return tuple(_render_host(reservation) for reservation in reservations)


def _render_host(reservation: Reservation) -> str:
    parts = [_plain(reservation.mac, 'mac')]
    if reservation.default_route:
        parts.append(f'set:{_ROUTED}')
    parts.append(_plain(reservation.address, 'address'))
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


def _keys(line: str) -> tuple[str, str]:
    """The MAC address and the IP address of a line of :func:`render_hosts`."""
    mac, *rest = line.split(',')
    return mac, next((part for part in rest if not part.startswith('set:')), '')


def _plain(value: str, field: str) -> str:
    if _PLAIN.fullmatch(value) is None:
        raise exception.InvalidName(field=field, value=value, reason='dnsmasq cannot be given it')
    return value
