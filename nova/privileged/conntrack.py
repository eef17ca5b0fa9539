"""Connections that the kernel knows (man 8 conntrack)."""

from __future__ import annotations

import errno
import ipaddress
import subprocess

from nova import privileged

_SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


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
        done = subprocess.run(
            ['conntrack', '-D', '-f', 'ipv4', direction, text],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={'PATH': _SEARCH_PATH},
        )
        # 1: there was none
        if done.returncode not in (0, 1):
            raise OSError(errno.EIO, done.stderr.strip())
