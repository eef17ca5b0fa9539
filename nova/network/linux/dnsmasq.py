"""DHCP servers on this host: their files, and when they are started and stopped.

``dnsmasq.conf`` is what the running server was started with, ``hosts`` and ``hosts.d`` are all
that it was told: what is to be done follows from them and from the process, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Iterable
import os
import pathlib
import shutil
import socket

from nova.network import dhcp
from nova.privileged import dnsmasq as privileged_dnsmasq

#: So many files of one change each are kept before they are written as one.
_MAX_ADDITIONS = 64
_PART = '.part'


def ensure_server(server: dhcp.Server) -> bool:
    """Have this DHCP server, knowing its hosts.

    It is left alone when nothing changed, gets new hosts while it runs, and is started anew when
    it is not there, when its options or its device are others, or when a host that it cannot be
    made to forget is in the way (:func:`nova.network.dhcp.plan_update`).

    :returns: whether it was started.
    :raises OSError: it does not start, or its folder cannot be written.
    """
    folder = pathlib.Path(server.folder)
    lines = dhcp.render_hosts(server.reservations)
    # a socket is bound to a device, not to its name
    index = socket.if_nametoindex(server.interface)
    config = f'# device {index}\n{dhcp.render_config(server)}'
    if server_pid(server.folder) is None or _read(folder / dhcp.CONFIG_FILE) != config:
        _start(folder, config, lines)
        return True
    update = dhcp.plan_update(_known(folder), lines)
    if update.restart:
        _start(folder, config, lines)
    elif update.add:
        _add(folder, update.add)
    return update.restart


def stop_server(folder: str) -> None:
    """Have no DHCP server with its files in ``folder``.

    :raises OSError: it does not end.
    """
    privileged_dnsmasq.stop(f'{folder}/{dhcp.PID_FILE}')


def remove_files(folder: str) -> None:
    """Remove the files of a server that does not run."""
    shutil.rmtree(folder, ignore_errors=True)


def server_pid(folder: str) -> int | None:
    """The process of the DHCP server with its files in ``folder``; None when it does not run."""
    return privileged_dnsmasq.running_pid(f'{folder}/{dhcp.PID_FILE}')


def _start(folder: pathlib.Path, config: str, lines: tuple[str, ...]) -> None:
    pid_file = str(folder / dhcp.PID_FILE)
    privileged_dnsmasq.stop(pid_file)
    additions = folder / dhcp.HOSTS_FOLDER
    shutil.rmtree(additions, ignore_errors=True)
    for made in (folder, additions):
        made.mkdir(parents=True, exist_ok=True)
        made.chmod(0o755)  # whatever the umask: dnsmasq reads them as another user
    _write(folder, dhcp.HOSTS_FILE, lines)
    _write(folder, dhcp.CONFIG_FILE, config.splitlines())
    privileged_dnsmasq.launch(config, pid_file)


def _known(folder: pathlib.Path) -> list[str]:
    files = [folder / dhcp.HOSTS_FILE, *_additions(folder)]
    return [line for file in files for line in _read(file).splitlines()]


def _add(folder: pathlib.Path, lines: tuple[str, ...]) -> None:
    """Tell the running server: it reads a file that is renamed into its folder at once, and no
    other file then."""
    additions = _additions(folder)
    if len(additions) >= _MAX_ADDITIONS:
        _write(folder, dhcp.HOSTS_FILE, _known(folder))
        for file in additions:
            # dnsmasq reports a file that is unlinked there as one that it cannot read
            file.rename(folder / _PART)
        (folder / _PART).unlink(missing_ok=True)
    number = int(additions[-1].name) + 1 if additions else 1
    _write(folder, f'{dhcp.HOSTS_FOLDER}/{number:08d}', lines)


def _additions(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted((folder / dhcp.HOSTS_FOLDER).iterdir())


def _write(folder: pathlib.Path, name: str, lines: Iterable[str]) -> None:
    """Write the file at once: a reader sees the old text or the new."""
    part = folder / _PART
    with part.open('w', encoding='ascii') as file:
        file.writelines(f'{line}\n' for line in lines)
        os.fchmod(file.fileno(), 0o644)
    part.replace(folder / name)


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding='ascii')
    except FileNotFoundError:
        return ''
