"""Ethernet frames on a device, seen and sent; a script for the inside of a sandbox.

``frames.py watch DEVICE`` prints ``ready`` and then each frame that passes the device as a line of
hexadecimal digits; ``frames.py received DEVICE`` leaves out those that the host itself sends there;
``frames.py send DEVICE`` sends such lines from stdin. Source: packet(7).

The kernel takes the tag of a VLAN out of a frame before it shows the frame, and gives it beside
(PACKET_AUXDATA); here it is put back, so that a frame reads as it was on the wire.
"""

from __future__ import annotations

import socket
import struct
import sys

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_OUTGOING = 263, 8, 4
#: struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid.
_AUXDATA = struct.Struct('=IIIHHHH')
_VLAN_VALID, _TPID_VALID, _ETH_P_8021Q = 1 << 4, 1 << 6, 0x8100
_ADDRESSES = 12


def restore_tag(frame: bytes, auxdata: bytes) -> bytes:
    """A frame as it was on the wire."""
    status, _, _, _, _, tci, tpid = _AUXDATA.unpack(auxdata[: _AUXDATA.size])
    if not status & _VLAN_VALID:
        return frame
    tag = struct.pack('!HH', tpid if status & _TPID_VALID else _ETH_P_8021Q, tci)
    return frame[:_ADDRESSES] + tag + frame[_ADDRESSES:]


def watch(packets: socket.socket, *, received_only: bool) -> None:
    packets.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    print('ready', flush=True)
    while True:
        content, beside, _, address = packets.recvmsg(65536, socket.CMSG_SPACE(_AUXDATA.size))
        frame = bytes(content)
        if received_only and address[2] == _PACKET_OUTGOING:
            continue
        for level, kind, data in beside:
            if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                frame = restore_tag(frame, data)
        print(frame.hex(), flush=True)


def main() -> None:
    action, device = sys.argv[1:]
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    packets.bind((device, _ETH_P_ALL))
    if action in ('watch', 'received'):
        watch(packets, received_only=action == 'received')
    for line in sys.stdin:
        packets.send(bytes.fromhex(line))


if __name__ == '__main__':
    main()
