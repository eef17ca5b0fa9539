"""Settings of the kernel's network (https://docs.kernel.org/networking/ip-sysctl.html)."""

from __future__ import annotations

import errno
import pathlib
import re

from nova import privileged

_ROOT = pathlib.Path('/proc/sys')
_FORWARD_ALL = 'net/ipv4/ip_forward'
#: Each task's own network namespace is seen below /proc/sys/net.
_NAME = re.compile(r'[A-Za-z0-9._-]+')


@privileged.network.entrypoint
def ensure_forwarding() -> bool:
    """Let the host forward IPv4.

    :returns: whether that is new. It is then on for every device, and those that must not
        forward have to be set again.
    """
    return write(_FORWARD_ALL, '1')


@privileged.network.entrypoint
def ensure_device_forwarding(device: str, on: bool) -> bool:
    """Whether IPv4 that comes in through ``device`` is forwarded.

    :returns: whether that is new.
    """
    if _NAME.fullmatch(device) is None or device in ('all', 'default', '.', '..'):
        raise OSError(errno.EINVAL, f'{device!r} is not a device')
    return write(f'net/ipv4/conf/{device}/forwarding', str(int(on)))


def write(key: str, value: str) -> bool:
    """Set ``key``, unless it has the value already; one that this kernel does not have is off.

    :returns: whether it was written.
    """
    path = _ROOT / key
    try:
        if path.read_text().strip() == value:
            return False
        path.write_text(value)
    except FileNotFoundError:
        return False
    return True
