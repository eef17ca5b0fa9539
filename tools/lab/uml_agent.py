"""The first process of a user-mode-linux host once its root is made: runs what it is told to.

Each connection to PORT is one command. Both sides send messages of a kind (one byte), a length
(four bytes, big endian) and content:

    to the agent     R  a JSON object with ``argv`` and ``env``, once and first
                     I  data for its stdin; empty: the end of it
    from the agent   O  stdout      E  stderr      X  the exit code in decimal, the last message

A command whose caller is gone is killed.  What it left running goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
from typing import IO

PORT = 7
HEAD = struct.Struct('!cI')
CHUNK = 65536


def send(connection: socket.socket, kind: bytes, content: bytes) -> None:
    connection.sendall(HEAD.pack(kind, len(content)) + content)


def receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """The next message; EOFError when the other side is gone."""
    kind, length = HEAD.unpack(receive_exactly(connection, HEAD.size))
    return kind, receive_exactly(connection, length)


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        more = connection.recv(min(size - len(data), CHUNK))
        if not more:
            raise EOFError
        data += more
    return data


def serve(connection: socket.socket) -> None:
    """Run the one command of a connection."""
    _, request = receive(connection)
    wanted = json.loads(request)
    try:
        child = subprocess.Popen(
            wanted['argv'],
            env=wanted['env'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as exc:
        send(connection, b'E', f'{exc}\n'.encode())
        send(connection, b'X', b'127')
        return
    try:
        relay(connection, child)
        send(connection, b'X', str(child.wait()).encode())
    except (EOFError, OSError):
        # With what it has started itself: a shell's children would go on.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def relay(connection: socket.socket, child: subprocess.Popen[bytes]) -> None:
    """Until both of its outputs have ended; EOFError when the caller is gone."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ, b'O')
        waiting.register(child.stderr, selectors.EVENT_READ, b'E')
        waiting.register(connection, selectors.EVENT_READ, None)
        while len(waiting.get_map()) > 1:
            for key, _ in waiting.select():
                if key.data is None:
                    feed(child.stdin, connection)
                elif data := os.read(key.fd, CHUNK):
                    send(connection, key.data, data)
                else:
                    waiting.unregister(key.fileobj)


def feed(stdin: IO[bytes], connection: socket.socket) -> None:
    """What the caller types; a command that reads no more is no error."""
    _, content = receive(connection)
    with contextlib.suppress(BrokenPipeError, ValueError):
        if content:
            stdin.write(content)
            stdin.flush()
        else:
            stdin.close()


def reap() -> None:
    """Collect whoever has ended: a guest's QEMU would stay a zombie, and libvirt waits for it."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    listener = socket.create_server(('0.0.0.0', PORT), backlog=64)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: reap())
    while True:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        with connection:
            serve(connection)
        sys.stdout.flush()
        os._exit(0)


if __name__ == '__main__':
    main()
