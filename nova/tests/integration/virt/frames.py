"""Ethernet frames on a device, seen and sent; a script for the inside of a sandbox.

``frames.py watch DEVICE`` prints ``ready`` and then each frame that passes the device as a line of
hexadecimal digits; ``frames.py send DEVICE`` sends such lines from stdin. Source: packet(7).
"""

from __future__ import annotations

import socket
import sys

_ETH_P_ALL = 3


def main() -> None:
    action, device = sys.argv[1:]
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    packets.bind((device, _ETH_P_ALL))
    if action == 'watch':
        print('ready', flush=True)
        while True:
            print(packets.recv(65536).hex(), flush=True)
    for line in sys.stdin:
        packets.send(bytes.fromhex(line))


if __name__ == '__main__':
    main()
