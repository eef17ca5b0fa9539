"""Make ports of one host's loopback answer at another's: relay.py HERE_PID THERE_PID PORT...

Who connects to 127.0.0.1:PORT in the network namespace of process HERE_PID is connected to the same
address and port in that of THERE_PID.  So a second host finds the first one's database, broker and
identity service where its own would be, without a device, a route or a rule that a test could
trip over.  It prints "ready", and runs until it is killed.

Source: setns(2): a socket stays in the network namespace in which it was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
LOOPBACK = '127.0.0.1'
CHUNK = 65536


def enter_network(pid: int) -> None:
    """Make and look up sockets where process ``pid`` does from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f'/proc/{pid}/ns/net', 'rb') as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f'setns: {os.strerror(code)}')


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of what is read, which is passed on as such."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def connect(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection; where nobody listens it ends at once."""
    with contextlib.closing(writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            return
        with contextlib.closing(far_writer):
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


async def serve(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        port = listener.getsockname()[1]
        await asyncio.start_server(functools.partial(connect, port), sock=listener)
    print('ready', flush=True)
    await asyncio.Event().wait()


def main() -> None:
    here, there, *ports = (int(argument) for argument in sys.argv[1:])
    enter_network(here)
    listeners = [socket.create_server((LOOPBACK, port)) for port in ports]
    enter_network(there)
    asyncio.run(serve(listeners))


if __name__ == '__main__':
    main()
