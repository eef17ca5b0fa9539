"""Ask a DHCPv6 server once, on ``eth0``, and print what it gives (RFC 8415).

``python3 dhcpv6_client.py solicit|information``; a solicit asks for a rapid commit.
"""

from __future__ import annotations

import json
import pathlib
import secrets
import socket
import struct
import sys

SOLICIT, REPLY, INFORMATION = 1, 7, 11
CLIENT_ID, IA_NA, IA_ADDRESS, REQUEST, ELAPSED, RAPID_COMMIT, DNS = 1, 3, 5, 6, 8, 14, 23
WAIT_S = 3.0


def option(code: int, value: bytes) -> bytes:
    return struct.pack('!HH', code, len(value)) + value


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        code, length = struct.unpack('!HH', data[:4])
        found[code], data = data[4 : 4 + length], data[4 + length :]
    return found


def ask(kind: int) -> dict[int, bytes]:
    index = socket.if_nametoindex('eth0')
    mac = pathlib.Path('/sys/class/net/eth0/address').read_text().strip()
    transaction = secrets.token_bytes(3)
    message = bytes([kind]) + transaction
    message += option(CLIENT_ID, b'\0\3\0\1' + bytes.fromhex(mac.replace(':', '')))
    message += option(REQUEST, struct.pack('!H', DNS)) + option(ELAPSED, b'\0\0')
    if kind == SOLICIT:
        message += option(IA_NA, b'\0\0\0\1' + bytes(8)) + option(RAPID_COMMIT, b'')
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(WAIT_S)
        client.bind(('::', 546, 0, index))
        for _ in range(2):
            client.sendto(message, ('ff02::1:2', 547, 0, index))
            try:
                answer = client.recv(2000)
            except TimeoutError:
                continue
            if answer[0] == REPLY and answer[1:4] == transaction:
                return options(answer[4:])
    return {}


def main() -> None:
    given = ask({'solicit': SOLICIT, 'information': INFORMATION}[sys.argv[1]])
    leased = options(given.get(IA_NA, bytes(12))[12:]).get(IA_ADDRESS, b'')
    dns = given.get(DNS, b'')
    print(
        json.dumps(
            {
                'addresses': [socket.inet_ntop(socket.AF_INET6, leased[:16])] if leased else [],
                'dns': [
                    socket.inet_ntop(socket.AF_INET6, dns[i : i + 16])
                    for i in range(0, len(dns), 16)
                ],
            }
        )
    )


if __name__ == '__main__':
    main()
