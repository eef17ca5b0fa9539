"""The sockets at which guests ask for their metadata.

Their port is below 1024 and their address is the same on every network, so that each is bound to
the bridge of one network. It is made here and handed to the service, which is then without any
privilege of its own the only one to read what guests send.
"""

from __future__ import annotations

import errno
import os
import re
import socket

from nova import privileged

PORT = 80
#: Where guests look for metadata (link-local: RFC 3927, RFC 4291), by IP version.
ADDRESSES = {4: '169.254.169.254', 6: 'fe80::a9fe:a9fe'}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_BACKLOG = 64
_DEVICE = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,14}')


@privileged.network.entrypoint
def listen(device: str, path: str, version: int = 4) -> None:
    """Make a socket that listens at the metadata address for what comes in through ``device``, and
    send it to whoever listens at the Unix socket ``path`` in our run folder (man 7 unix,
    SCM_RIGHTS).

    :param version: of IP.
    :raises OSError: EINVAL, the device or the path is not one that can be; ENODEV, EADDRNOTAVAIL,
        the device or its address is not there; EADDRINUSE, somebody else has the port.
    """
    if version not in _FAMILIES:
        raise OSError(errno.EINVAL, f'IP has no version {version!r}')
    if _DEVICE.fullmatch(device) is None:
        raise OSError(errno.EINVAL, f'{device!r} is not a device')
    if os.path.normpath(path) != path or not path.startswith(f'{privileged.run_path()}/'):
        raise OSError(errno.EINVAL, f'{path!r} is not in {privileged.run_path()}')
    with (
        socket.socket(_FAMILIES[version], socket.SOCK_STREAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as receiver,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        # a link-local address is one of a link
        scope = (0, socket.if_nametoindex(device)) if version == 6 else ()
        listener.bind((ADDRESSES[version], PORT, *scope))
        listener.listen(_BACKLOG)
        receiver.connect(path)
        socket.send_fds(receiver, [b'.'], [listener.fileno()])
