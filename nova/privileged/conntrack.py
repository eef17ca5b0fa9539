"""Connections that the kernel knows (man 8 conntrack)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import errno
import ipaddress
import os
import socket
import struct

from nova import privileged
from nova.privileged import programs

# include/uapi/linux/netfilter/nfnetlink_conntrack.h: NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE;
# CTA_TUPLE_ORIG, CTA_TUPLE_IP, CTA_TUPLE_PROTO, CTA_ZONE
_NETLINK_NETFILTER, _DELETE = 12, 1 << 8 | 2
_TUPLE_ORIG, _TUPLE_IP, _TUPLE_PROTO, _ZONE = 1, 1, 2, 18
_REQUEST_ACK, _NESTED = 1 | 4, 1 << 15
#: How conntrack calls what a connection is known by, and what the kernel does (CTA_PROTO_...): the
#: attribute for IPv4 and for IPv6, and its format.
_PARTS: Mapping[str, tuple[int, int, str]] = {
    'proto': (1, 1, '!B'),
    'sport': (2, 2, '!H'),
    'dport': (3, 3, '!H'),
    'srckey': (2, 2, '!H'),
    'dstkey': (3, 3, '!H'),
    'id': (4, 7, '!H'),
    'type': (5, 8, '!B'),
    'code': (6, 9, '!B'),
}


@privileged.network.entrypoint
def forget_translated(address: str) -> None:
    """End what goes through the translation of ``address`` (IPv4): connections to it from outside,
    and those that left under it.

    :raises OSError: EINVAL, it is no address; ENOENT, there is no conntrack; EIO.
    """
    try:
        text = str(ipaddress.IPv4Address(address))
    except ValueError as exc:
        raise OSError(errno.EINVAL, f'{address!r} is not an address') from exc
    for direction in ('--orig-dst', '--reply-dst'):
        # 1: there was none
        programs.run('conntrack', '-D', '-f', 'ipv4', direction, text, accepted=(0, 1))


@privileged.network.entrypoint
def flows() -> str:
    """The connections that the kernel knows, of both families, in the format of ``conntrack -L -o
    extended``. To list one family takes as long: the kernel goes through its whole table.

    :raises OSError: as :func:`nova.privileged.programs.run`.
    """
    # 1 also says that there was nothing of the kind.
    return programs.run('conntrack', '-L', '-o', 'extended', accepted=(0, 1))


@privileged.network.entrypoint
def forget(version: int, connections: Sequence[tuple[int, Sequence[tuple[str, str]]]]) -> None:
    """Have the kernel forget connections, each the number of its zone and the values of its
    original direction as conntrack prints them (``src``, ``sport``...), ``proto`` being a number.
    One that is gone is no error.

    By netlink: conntrack would look through all that the kernel knows for each of them.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        for zone, values in connections:
            kernel.send(_build_delete(version, zone, dict(values)))
            (code,) = struct.unpack_from('=i', kernel.recv(65536), 16)
            if code and -code != errno.ENOENT:
                raise OSError(-code, f'{dict(values)}: {os.strerror(-code)}')


def _build_delete(version: int, zone: int, values: Mapping[str, str]) -> bytes:
    ends = (1, 2) if version == 4 else (3, 4)
    addresses = b''.join(
        _attribute(kind, ipaddress.ip_address(values[key]).packed)
        for kind, key in zip(ends, ('src', 'dst'), strict=True)
    )
    protocol = b''.join(
        _attribute(v4 if version == 4 else v6, struct.pack(form, int(values[key], 0)))
        for key, (v4, v6, form) in _PARTS.items()
        if key in values
    )
    known_by = _attribute(_TUPLE_IP | _NESTED, addresses)
    known_by += _attribute(_TUPLE_PROTO | _NESTED, protocol)
    body = struct.pack('!BBH', socket.AF_INET if version == 4 else socket.AF_INET6, 0, 0)
    body += _attribute(_TUPLE_ORIG | _NESTED, known_by) + _attribute(_ZONE, struct.pack('!H', zone))
    return struct.pack('=IHHII', 16 + len(body), _DELETE, _REQUEST_ACK, 1, 0) + body


def _attribute(kind: int, content: bytes) -> bytes:
    """A netlink attribute, padded to 4 octets (man 7 netlink)."""
    length = 4 + len(content)
    return struct.pack('=HH', length, kind) + content + bytes(-length % 4)
