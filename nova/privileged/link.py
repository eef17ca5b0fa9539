"""Bridges, their ports and addresses, by rtnetlink (man 7 rtnetlink).

Everything is asked for by name: to list the links of a host costs 0.5 ms for each. A socket is
kept by each thread of the helper (pyroute2 ties it to one), which costs a third of a new one for
each call. One change is made at a time. What is already so is left alone, and what is already gone
is no error.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import ipaddress
import os
import secrets
import socket
import struct
import threading
from typing import Any

import pyroute2
from pyroute2 import netlink

from nova import privileged
from nova.privileged import sysctl

_UP = 1  # IFF_UP
_ETH_IPV4, _ETH_ARP = 0x0800, 0x0806  # ETH_P_IP, ETH_P_ARP
_RTM_NEWLINK, _REQUEST_ACK = 16, 1 | 4
_IFLA_LINKINFO, _IFLA_INFO_KIND, _IFLA_INFO_DATA, _IFLA_BR_MULTI_BOOLOPT = 18, 1, 2, 46
_NODAD = 0x02  # IFA_F_NODAD
_FOR_EVER = 0xFFFFFFFF  # INFINITY_LIFE_TIME
#: Between the table of the host's own addresses (0) and the main table (32766).
_BLACKHOLE_PRIORITY = 1000
_lock = threading.Lock()
_kept = threading.local()


@privileged.network.entrypoint
def ensure_bridge(name: str, alias: str, uplink: str | None, mtu: int | None) -> bool:
    """Have a bridge called ``name``, up, with the interface ``uplink`` as a port.

    A bridge of ours carries ``alias``. One that somebody else made is used as it is. Ours
    forwards at once (no spanning tree, no delay), has a MAC address that stays the same whatever
    is plugged into it, no IPv6 address of its own, so that guests do not reach the host through it
    (OSSN-0069), and no IPv4 routing. No bridge learns from frames to 01:80:c2:00:00:0e (LLDP),
    which pass by all filters, so that none teaches it a forged address.

    :returns: whether the bridge was made now.
    :raises OSError: it cannot be made; the uplink is missing, in another bridge, or has addresses
        (which would stop working).
    """
    with _netlink() as ipr:
        port = None if uplink is None else _usable_uplink(ipr, uplink, name)
        bridge, made = _find(ipr, name), False
        if bridge is None:
            bridge, made = _make_bridge(ipr, name, alias, port, mtu)
        if _kind(bridge) != 'bridge':
            raise OSError(errno.EEXIST, f'{name} exists and is not a bridge')
        _stop_link_local_learning(name, bridge['index'])
        if bridge.get('ifalias') != alias:
            return made
        if mtu is not None and bridge.get('mtu') != mtu:
            ipr.link('set', index=bridge['index'], mtu=mtu)
        if not bridge['flags'] & _UP:
            _silence_ipv6(name)
            # A host that is a router for others is none for guests, unless it serves the network.
            sysctl.write(f'net/ipv4/conf/{name}/forwarding', '0')
            ipr.link('set', index=bridge['index'], state='up')
        if port is not None and port.get('master') != bridge['index']:
            ipr.link('set', index=port['index'], master=bridge['index'])
        if port is not None and not port['flags'] & _UP:
            ipr.link('set', index=port['index'], state='up')
        return made


@privileged.network.entrypoint
def remove_bridge(name: str, alias: str) -> bool:
    """Remove the bridge ``name`` if it is ours, that is if it carries ``alias``.

    :returns: whether there was one.
    """
    with _netlink() as ipr:
        bridge = _find(ipr, name)
        if bridge is None or bridge.get('ifalias') != alias:
            return False
        with _no_error(errno.ENODEV):
            ipr.link('del', index=bridge['index'])
        return True


@privileged.network.entrypoint
def identify(name: str) -> tuple[int, str]:
    """The interface index and the MAC address of the device ``name``.

    :raises OSError: ENODEV, there is no such device.
    """
    with _netlink() as ipr:
        link = _get(ipr, name)
        return int(link['index']), str(link.get('address'))


def _stop_link_local_learning(name: str, index: int) -> None:
    """By hand, since pyroute2 does not know this option (include/uapi/linux/if_link.h)."""
    no_ll_learn = struct.pack('=II', 1, 1)  # struct br_boolopt_multi: value and mask
    data = _attribute(_IFLA_INFO_DATA, _attribute(_IFLA_BR_MULTI_BOOLOPT, no_ll_learn))
    info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b'bridge') + data)
    message = struct.pack('=BxHiII', socket.AF_UNSPEC, 0, index, 0, 0) + info
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        header = struct.pack('=IHHII', 16 + len(message), _RTM_NEWLINK, _REQUEST_ACK, 1, 0)
        kernel.send(header + message)
        (code,) = struct.unpack_from('=i', kernel.recv(65536), 16)
    if code:
        raise OSError(-code, f'{name}: {os.strerror(-code)}')


def _attribute(kind: int, content: bytes) -> bytes:
    """A netlink attribute, padded to 4 octets (man 7 netlink)."""
    length = 4 + len(content)
    return struct.pack('=HH', length, kind) + content + bytes(-length % 4)


@privileged.network.entrypoint
def ensure_address(name: str, address: str, prefix_length: int, preferred: bool = True) -> bool:
    """Have ``address`` on the device ``name``. One of IPv6 is in force at once: duplicates are not
    looked for, which would need a port with a carrier.

    :param preferred: False has what is sent first, not in answer, come from another address if
        there is one (of IPv6: RFC 4862, section 5.5.4).
    :returns: whether it was added now.
    :raises OSError: ENODEV, there is no such device; EADDRINUSE, it has another address of that
        IPv4 range, which a DHCP server would answer with (the kernel takes the first for its own).
    """
    with _netlink() as ipr:
        index = _get(ipr, name)['index']
        present = _addresses(ipr, index)
        if (address, prefix_length) in present:
            return False
        _check_alone(name, address, prefix_length, present)
        options = {'flags': _NODAD} if ':' in address else {}
        if not preferred:
            options |= {'preferred_lft': 0, 'valid_lft': _FOR_EVER}
        with _no_error(errno.EEXIST):
            ipr.addr('add', index=index, address=address, prefixlen=prefix_length, **options)
        return True


def _check_alone(
    name: str, address: str, prefix_length: int, present: set[tuple[str, int]]
) -> None:
    wanted = ipaddress.ip_network(f'{address}/{prefix_length}', strict=False)
    for other, _length in sorted(present):
        if wanted.version == 4 and ipaddress.ip_address(other) in wanted:
            raise OSError(errno.EADDRINUSE, f'{name} has {other}, which is in {wanted}')


@privileged.network.entrypoint
def remove_address(name: str, address: str, prefix_length: int) -> None:
    """Have no ``address`` on the device ``name``."""
    with _netlink() as ipr:
        device = _find(ipr, name)
        if device is not None:
            with _no_error(errno.EADDRNOTAVAIL, errno.ENODEV):
                ipr.addr('del', index=device['index'], address=address, prefixlen=prefix_length)


@privileged.network.entrypoint
def ensure_vlan(name: str, alias: str, parent: str, vlan: int, mtu: int | None) -> bool:
    """Have the VLAN ``vlan`` (IEEE 802.1Q) of the interface ``parent`` as the device ``name``, up.

    :returns: whether it was made now.
    :raises OSError: EPROTONOSUPPORT, this kernel has no VLANs; EEXIST, ``name`` is another device,
        or the VLAN has another device.
    """
    with _netlink() as ipr:
        below = _get(ipr, parent)
        device, made = _find(ipr, name), False
        if device is None:
            _make_vlan(ipr, name, below, vlan)
            device, made = _get(ipr, name), True
            ipr.link('set', index=device['index'], ifalias=alias)
        if (_kind(device), device.get('link'), _vlan_id(device)) != ('vlan', below['index'], vlan):
            raise OSError(errno.EEXIST, f'{name} exists and is not VLAN {vlan} of {parent}')
        if not below['flags'] & _UP:
            ipr.link('set', index=below['index'], state='up')
        if mtu is not None and device.get('mtu') != mtu:
            ipr.link('set', index=device['index'], mtu=mtu)
        if not device['flags'] & _UP:
            _silence_ipv6(name)
            ipr.link('set', index=device['index'], state='up')
        return made


@privileged.network.entrypoint
def remove_vlan(name: str, alias: str) -> bool:
    """Remove the VLAN device ``name`` if it is ours, that is if it carries ``alias``.

    :returns: whether there was one.
    """
    with _netlink() as ipr:
        device = _find(ipr, name)
        if device is None or device.get('ifalias') != alias or _kind(device) != 'vlan':
            return False
        with _no_error(errno.ENODEV):
            ipr.link('del', index=device['index'])
        return True


@privileged.network.entrypoint
def ensure_blackhole_v6(name: str, on: bool) -> None:
    """Whether IPv6 that came in through the device ``name``, which need not be there, is dropped
    where it would be forwarded. What is for this host is not concerned: its table is asked
    before."""
    rule = {
        'family': socket.AF_INET6,
        'priority': _BLACKHOLE_PRIORITY,
        'iifname': name,
        'action': 'blackhole',
    }
    with _netlink() as ipr, _no_error(errno.EEXIST, errno.ENOENT):
        ipr.rule('add' if on else 'del', **rule)


@privileged.network.entrypoint
def announce(name: str, address: str) -> None:
    """Tell whoever is on the device's segment that ``address`` (IPv4) is here now (RFC 5227,
    section 3).

    :raises OSError: EINVAL, it is no address; ENODEV, there is no such device.
    """
    try:
        packed = ipaddress.IPv4Address(address).packed
    except ValueError as exc:
        raise OSError(errno.EINVAL, f'{address!r} is not an address') from exc
    with _netlink() as ipr:
        mac = bytes.fromhex(_get(ipr, name).get('address').replace(':', ''))
    arp = struct.pack('!HHBBH', 1, _ETH_IPV4, 6, 4, 1) + mac + packed + bytes(6) + packed
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((name, _ETH_ARP))
        sender.send(b'\xff' * 6 + mac + struct.pack('!H', _ETH_ARP) + arp)


def close() -> None:
    """Give this thread's socket back; its next call opens another, in the network namespace that
    it is in then."""
    ipr = vars(_kept).pop('socket', None)
    if ipr is not None:
        ipr.close()


@contextlib.contextmanager
def _netlink() -> Iterator[pyroute2.IPRoute]:
    """This thread's socket, with errors as :class:`OSError`."""
    with _lock:
        if not hasattr(_kept, 'socket'):
            _kept.socket = pyroute2.IPRoute()
        try:
            yield _kept.socket
        except netlink.exceptions.NetlinkError as exc:
            raise OSError(exc.code, str(exc)) from exc


@contextlib.contextmanager
def _no_error(*codes: int) -> Iterator[None]:
    try:
        yield
    except netlink.exceptions.NetlinkError as exc:
        if exc.code not in codes:
            raise


def _find(ipr: pyroute2.IPRoute, name: str) -> Any | None:
    try:
        return ipr.link('get', ifname=name)[0]
    except netlink.exceptions.NetlinkError as exc:
        if exc.code == errno.ENODEV:
            return None
        raise


def _get(ipr: pyroute2.IPRoute, name: str) -> Any:
    link = _find(ipr, name)
    if link is None:
        raise OSError(errno.ENODEV, f'there is no device {name}')
    return link


def _kind(link: Any) -> str | None:
    kind: str | None = link.get(('linkinfo', 'kind'))
    return kind


def _make_bridge(
    ipr: pyroute2.IPRoute, name: str, alias: str, port: Any | None, mtu: int | None
) -> tuple[Any, bool]:
    """A bridge that is down, and whether it is new. The kernel takes no alias when it makes a
    link, so that a crash between the two calls leaves a bridge that counts as another's: down,
    empty, and usable."""
    mac = port.get('address') if port is not None else _random_mac()
    options = {} if mtu is None else {'mtu': mtu}
    try:
        ipr.link(
            'add',
            ifname=name,
            kind='bridge',
            address=mac,
            br_forward_delay=0,
            br_stp_state=0,
            **options,
        )
    except netlink.exceptions.NetlinkError as exc:
        if exc.code != errno.EEXIST:
            raise
        return _get(ipr, name), False
    ipr.link('set', index=_get(ipr, name)['index'], ifalias=alias)
    return _get(ipr, name), True


def _make_vlan(ipr: pyroute2.IPRoute, name: str, below: Any, vlan: int) -> None:
    try:
        ipr.link('add', ifname=name, kind='vlan', link=below['index'], vlan_id=vlan)
    except netlink.exceptions.NetlinkError as exc:
        if exc.code == errno.EOPNOTSUPP:
            reason = 'this kernel has no VLANs (IEEE 802.1Q; the module is 8021q)'
            raise OSError(errno.EPROTONOSUPPORT, reason) from exc
        if exc.code == errno.EEXIST:
            holder = f'VLAN {vlan} of {below.get("ifname")} has a device already'
            raise OSError(errno.EEXIST, holder) from exc
        raise


def _vlan_id(link: Any) -> int | None:
    number: int | None = link.get(('linkinfo', 'data', 'vlan_id'))
    return number


def _random_mac() -> str:
    """Locally administered and unicast (IEEE 802, section 8.4)."""
    return f'02:{secrets.token_bytes(5).hex(":")}'


def _silence_ipv6(name: str) -> None:
    sysctl.write(f'net/ipv6/conf/{name}/accept_ra', '0')
    sysctl.write(f'net/ipv6/conf/{name}/disable_ipv6', '1')


def _usable_uplink(ipr: pyroute2.IPRoute, name: str, bridge: str) -> Any:
    port = _get(ipr, name)
    master = port.get('master')
    if master is not None:
        holder = ipr.link('get', index=master)[0].get('ifname')
        if holder != bridge:
            raise OSError(errno.EBUSY, f'{name} is a port of {holder}')
        return port
    addresses = _addresses(ipr, port['index'])
    if addresses:
        text = ', '.join(sorted(address for address, _ in addresses))
        raise OSError(
            errno.EBUSY, f'{name} has the address {text}, which would not work in a bridge'
        )
    return port


def _addresses(ipr: pyroute2.IPRoute, index: int) -> set[tuple[str, int]]:
    """IPv4 addresses, and those of IPv6 that somebody has set, with their prefix lengths."""
    found = ipr.addr('dump', index=index)
    return {
        (entry.get('local') or entry.get('address'), entry['prefixlen'])
        for entry in found
        if entry['family'] == socket.AF_INET or entry.get('flags', 0) & _NODAD
    }
