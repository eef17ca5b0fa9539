"""DHCP servers as processes.

dnsmasq starts as root and becomes another user. It reads its configuration from a pipe, so that
what is checked here is what it gets, and nothing that could run a program or open another file is
let through.
"""

from __future__ import annotations

import errno
import os
import pathlib
import select
import signal

from nova import privileged
from nova.privileged import programs

_PROGRAM = 'dnsmasq'
_START_TIMEOUT_S, _STOP_TIMEOUT_S = 30, 5
#: dnsmasq needs an inotify instance each, and Linux gives root 128 in all (man 7 inotify).
_INOTIFY_INSTANCES = pathlib.Path('/proc/sys/fs/inotify/max_user_instances')
_INOTIFY_MIN = 8192

_OPTIONS = frozenset(
    {
        'bind-dynamic',
        'dhcp-authoritative',
        'dhcp-ignore',
        'dhcp-ignore-clid',
        'dhcp-lease-max',
        'dhcp-option',
        'dhcp-range',
        'domain',
        'enable-ra',
        'except-interface',
        'interface',
        'leasefile-ro',
        'log-async',
        'no-hosts',
        'no-ping',
        'no-resolv',
        'port',
        'ra-param',
    }
)
#: Their values are paths in our folder.
_PATH_OPTIONS = frozenset({'dhcp-hostsdir', 'dhcp-hostsfile'})


@privileged.network.entrypoint
def launch(config: str, pid_file: str) -> None:
    """Start a DHCP server; when this returns it serves, and ``pid_file`` holds its pid.

    :param config: dnsmasq's configuration, of the few options that we use.
    :param pid_file: a file in our run folder; also how the process is known again.
    :raises OSError: EINVAL for an option or a path that is not allowed; EIO with dnsmasq's own
        words when it does not start.
    """
    check_config(config, privileged.run_path())
    _check_path(pid_file, privileged.run_path())
    _raise_inotify_limit()
    programs.run(*command(pid_file), text=config, timeout_s=_START_TIMEOUT_S)


@privileged.network.entrypoint
def stop(pid_file: str) -> bool:
    """End the DHCP server that was launched with ``pid_file``, and wait until it has ended.

    :returns: whether there was one.
    """
    pid = running_pid(pid_file)
    if pid is None:
        return False
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # the number may have gone to another process before the descriptor was opened
        if running_pid(pid_file) != pid:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(process, number)
            ended = select.poll()
            ended.register(process, select.POLLIN)
            if ended.poll(_STOP_TIMEOUT_S * 1000):
                return True
        raise OSError(errno.ETIMEDOUT, f'dnsmasq, process {pid}, does not end')
    except ProcessLookupError:
        return True
    finally:
        os.close(process)


def command(pid_file: str) -> list[str]:
    """The command line of the DHCP server with this ``pid_file``."""
    return [_PROGRAM, '--conf-file=-', f'--pid-file={pid_file}']


def running_pid(pid_file: str) -> int | None:
    """The process that was launched with ``pid_file``, if it lives; needs no privileges."""
    try:
        pid = int(pathlib.Path(pid_file).read_text())
        line = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
    except (OSError, ValueError):
        return None
    return pid if line.split(b'\0')[:-1] == [os.fsencode(a) for a in command(pid_file)] else None


def check_config(config: str, folder: str) -> None:
    """Refuse a configuration with anything but our options, or with files out of ``folder``.

    :raises OSError: EINVAL.
    """
    for line in config.splitlines():
        if not line or line.startswith('#'):
            continue
        option, _, value = line.partition('=')
        if option in _PATH_OPTIONS:
            _check_path(value, folder)
        elif option not in _OPTIONS:
            raise OSError(errno.EINVAL, f'dnsmasq is not given the option {option!r}')


def _check_path(path: str, folder: str) -> None:
    if os.path.normpath(path) != path or not path.startswith(f'{folder}/'):
        raise OSError(errno.EINVAL, f'{path!r} is not in {folder}')


def _raise_inotify_limit() -> None:
    """Make room for many networks; a host that cannot is left as it is, and dnsmasq says so."""
    try:
        if int(_INOTIFY_INSTANCES.read_text()) < _INOTIFY_MIN:
            _INOTIFY_INSTANCES.write_text(str(_INOTIFY_MIN))
    except (OSError, ValueError):
        return
