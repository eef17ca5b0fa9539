"""Settings of the kernel's network (https://docs.kernel.org/networking/ip-sysctl.html)."""

from __future__ import annotations

import errno
import pathlib
import re

from nova import privileged

_ROOT = pathlib.Path('/proc/sys')
_FORWARD_ALL = 'net/ipv4/ip_forward'
_FORWARD_ALL_V6 = 'net/ipv6/conf/all/forwarding'
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
    _check_device(device)
    return write(f'net/ipv4/conf/{device}/forwarding', str(int(on)))


@privileged.network.entrypoint
def ensure_ipv6(device: str) -> None:
    """Let ``device`` have IPv6, with the addresses only that it is given."""
    _check_device(device)
    for setting, value in (('addr_gen_mode', '1'), ('accept_ra', '0'), ('disable_ipv6', '0')):
        write(f'net/ipv6/conf/{device}/{setting}', value)


@privileged.network.entrypoint
def ensure_forwarding_v6() -> bool:
    """Let the host forward IPv6. A device that listens to announcements of routers goes on doing
    so: it would stop in a router, unless it is told to.

    :returns: whether that is new.
    """
    if (_ROOT / _FORWARD_ALL_V6).read_text().strip() == '1':
        return False
    for setting in (_ROOT / 'net/ipv6/conf').glob('*/accept_ra'):
        if setting.read_text().strip() == '1':
            setting.write_text('2')
    return write(_FORWARD_ALL_V6, '1')


def _check_device(device: str) -> None:
    if _NAME.fullmatch(device) is None or device in ('all', 'default', '.', '..'):
        raise OSError(errno.EINVAL, f'{device!r} is not a device')


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


def read(key: str) -> str | None:
    """The value of ``key``; None if this kernel does not have it."""
    try:
        return (_ROOT / key).read_text().strip()
    except FileNotFoundError:
        return None


def exists(key: str) -> bool:
    """Whether this kernel has ``key``."""
    return (_ROOT / key).exists()
