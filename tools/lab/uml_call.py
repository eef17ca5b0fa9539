"""Have a user-mode-linux host run a command: uml_call.py ADDRESS COMMAND...

Runs in the sandbox around it.  The environment, stdin, stdout, stderr and the exit code are the
command's own.  Exit code 255: the host does not answer.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import uml_agent

CONNECT_TIMEOUT_S = 5


def type_in(connection: socket.socket) -> None:
    """Pass on our stdin until it ends, and then that it has."""
    while True:
        data = os.read(0, uml_agent.CHUNK)
        try:
            uml_agent.send(connection, b'I', data)
        except OSError:
            return  # the command has ended meanwhile
        if not data:
            return


def call(connection: socket.socket, argv: list[str]) -> int:
    """Run a command; its exit code, as a shell gives it."""
    request = json.dumps({'argv': argv, 'env': dict(os.environ)})
    uml_agent.send(connection, b'R', request.encode())
    threading.Thread(target=type_in, args=(connection,), daemon=True).start()
    outputs = {b'O': 1, b'E': 2}
    while True:
        kind, content = uml_agent.receive(connection)
        if kind == b'X':
            code = int(content)
            return code if code >= 0 else 128 - code
        while content:
            content = content[os.write(outputs[kind], content) :]


def main() -> None:
    address, *argv = sys.argv[1:]
    try:
        connection = socket.create_connection((address, uml_agent.PORT), CONNECT_TIMEOUT_S)
        connection.settimeout(None)
        code = call(connection, argv)
    except (EOFError, OSError) as exc:
        print(f'the host at {address} does not answer: {exc}', file=sys.stderr)
        code = 255
    sys.stdout.flush()
    os._exit(code)  # the thread may be waiting for somebody to type


if __name__ == '__main__':
    main()
