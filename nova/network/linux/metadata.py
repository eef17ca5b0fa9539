"""The metadata service of the networks that this host serves (http://169.254.169.254, and
http://[fe80::a9fe:a9fe%INTERFACE] where it has IPv6 there).

Each network has sockets of its own, bound to its bridge. So whoever asks is known by the network
and the source address, which the filters keep guests from forging; nothing that a guest writes
into a request says who it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
import dataclasses
import errno
import http.server
import os
import pathlib
import posixpath
import secrets
import socket
import socketserver
import struct
import sys
import threading
from typing import Any
import urllib.parse

from oslo_log import log

from nova import exception, privileged
from nova.privileged import metadata as privileged_metadata

LOG = log.getLogger(__name__)

#: ``(network uuid, source address, path)`` to what is there; None when there is nothing.
Find = Callable[[str, str, str], bytes | None]

#: A guest that is slow or opens too many connections harms itself only.
_TIMEOUT_S, _CONNECTIONS_MAX = 10, 8


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a network's guests are: a bridge with the metadata addresses of these IP
    ``versions``."""

    bridge: str
    versions: tuple[int, ...] = (4,)


class MetadataServers:
    """A server for each network and IP version.

    :param find: answers.
    :param run_path: a folder that the privileged helper can enter.
    """

    def __init__(self, find: Find, run_path: str) -> None:
        self._find = find
        self._run_path = pathlib.Path(run_path)
        self._servers: dict[tuple[str, int], tuple[str, _Server]] = {}

    def apply(
        self, wanted: Mapping[str, Place], within: Collection[str] | None
    ) -> dict[str, exception.NetworkSetupFailed]:
        """Serve these networks and, of those ``within`` (None: of all), no others.

        :param wanted: by the networks' uuids.
        :returns: what failed, by uuid.
        """
        places = {(uuid, v): place for uuid, place in wanted.items() for v in place.versions}
        for key in self._servers.keys() - places.keys():
            if within is None or key[0] in within:
                self._stop(key)
        failed = {}
        for (uuid, version), place in places.items():
            try:
                self._ensure(uuid, version, place.bridge)
            except privileged.ERRORS as exc:
                reason = f'no metadata: {exc}'
                failed[uuid] = exception.NetworkSetupFailed(network=uuid, reason=reason)
        return failed

    def _ensure(self, uuid: str, version: int, bridge: str) -> None:
        index = socket.if_nametoindex(bridge)
        key = f'{bridge} {index}'  # a bridge that was made anew is another
        known = self._servers.get((uuid, version))
        if known is not None and known[0] == key:
            return
        self._stop((uuid, version))
        server = _Server(self._listen(bridge, version), uuid, self._find)
        self._servers[uuid, version] = (key, server)
        threading.Thread(target=server.serve, name=f'metadata-{bridge}', daemon=True).start()
        LOG.info('network %s: metadata is served on %s by IPv%d', uuid, bridge, version)

    def _stop(self, key: tuple[str, int]) -> None:
        known = self._servers.pop(key, None)
        if known is not None:
            known[1].stop()

    def _listen(self, bridge: str, version: int) -> socket.socket:
        """A socket from the privileged helper."""
        path = self._run_path / f'metadata-{secrets.token_hex(8)}'
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as meeting:
            meeting.bind(str(path))
            try:
                path.chmod(0o666)  # the helper has no right to pass over permissions
                meeting.listen(1)
                privileged_metadata.listen(bridge, str(path), version)
                sender, _ = meeting.accept()
                with sender:
                    _check_sender(sender)
                    _, descriptors, _, _ = socket.recv_fds(sender, 1, 1)
            finally:
                path.unlink()
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        return socket.socket(family, socket.SOCK_STREAM, fileno=descriptors[0])


def _check_sender(sender: socket.socket) -> None:
    """:raises OSError: EACCES, it is neither root nor ourselves."""
    size = struct.calcsize('3i')  # struct ucred: pid, uid, gid
    credentials = sender.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    if struct.unpack('3i', credentials)[1] not in (0, os.geteuid()):
        raise OSError(errno.EACCES, 'a stranger sent a socket')


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """:param listener: bound and listening."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, network_uuid: str, find: Find) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._network_uuid = network_uuid
        self._find = find
        self._stopped = False
        self._connections: Counter[str] = Counter()
        self._guard = threading.Lock()

    def find(self, address: str, path: str) -> bytes | None:
        """What the guest with this address is told."""
        return self._find(self._network_uuid, address, path)

    def serve(self) -> None:
        """Answer until :meth:`stop`."""
        while True:
            try:
                request, client = self.socket.accept()
            except OSError:
                if self._stopped:
                    return
                continue
            if self._enter(client[0]):
                self.process_request(request, client)
            else:
                request.close()

    def stop(self) -> None:
        self._stopped = True
        try:
            # wakes up who waits in accept(2)
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            LOG.debug('network %s: its metadata socket had ended', self._network_uuid)
        self.socket.close()

    def _enter(self, address: str) -> bool:
        with self._guard:
            if self._connections[address] >= _CONNECTIONS_MAX:
                return False
            self._connections[address] += 1
            return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._connections[client_address[0]] -= 1
                if not self._connections[client_address[0]]:
                    del self._connections[client_address[0]]

    def handle_error(self, request: Any, client_address: Any) -> None:
        # one guest's broken connection is no other's concern
        LOG.debug('metadata request of %s failed: %s', client_address[0], sys.exc_info()[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = _TIMEOUT_S
    server: _Server
    server_version = 'nova'
    sys_version = ''
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        # a link-local address is told with its interface, which the server knows
        address = self.client_address[0].partition('%')[0]
        content = self.server.find(address, parse_path(self.path))
        if content is None:
            self._answer(404, b'')
        else:
            self._answer(200, content)

    do_HEAD = do_GET

    def _answer(self, status: int, content: bytes) -> None:
        is_json = self.path.endswith('.json')
        self.send_response(status)
        self.send_header('Content-Type', 'application/json' if is_json else 'text/plain')
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        LOG.debug('metadata: %s', format % args)


def parse_path(target: str) -> str:
    """The path of a request's target, without slashes before and behind."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(f'/{target.lstrip("/")}').path)
    return posixpath.normpath(path).strip('/').removeprefix('.')
