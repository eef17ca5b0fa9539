"""The driver for libvirt's filters on hosts of the tests, which have no guests.

A libvirtd of the host's own puts the filters in force. A tap that becomes a port is bound to its
filter as the NIC of a guest is, by the call that libvirt has for it (``virNWFilterBinding``),
before the bridge gets it; one that is a port already, when the driver is told of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import contextlib
from pathlib import Path
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING
import weakref

import libvirt

from nova import exception
from nova.network.firewall import interpreter, rules
from nova.privileged import nft as privileged_nft
from nova.virt.libvirt import filters, firewall
from nova.virt.libvirt import host as libvirt_host

if TYPE_CHECKING:
    from nova.tests.integration.firewall.conftest import World

#: Folders of libvirt's, which the daemon gets empty.
_OWN = (
    '/run/libvirt',
    '/var/lib/libvirt',
    '/var/cache/libvirt',
    '/var/log/libvirt',
    '/etc/libvirt',
)
_START = """\
for folder in $1; do mount -t tmpfs none "$folder" || exit; done
exec libvirtd -f "$0/conf" -p "$0/pid"
"""
_CONF = """\
unix_sock_dir = "{folder}"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:file:{folder}/log"
"""
_BINDING = """\
<filterbinding>
  <owner><name>{owner}</name><uuid>35c4c6a1-7d5c-44bc-8f0c-6f9a2f4d1c8e</uuid></owner>
  <portdev name='{nic.device}'/>
  <mac address='{nic.first_hop.mac}'/>
  <filterref filter='{filter}'/>
</filterbinding>
"""
_START_TIMEOUT_S = 30

_NO_ND = 'No rule of libvirt sees the target and the options of neighbour discovery.'
#: Rows of the attacks that network filters cannot hold.
UNHELD = {
    'Neighbour discovery spoofing': _NO_ND,
    'Metadata of another guest': _NO_ND,
    'DHCP relay and client-id abuse': 'No rule of libvirt sees inside DHCP.',
    'Rogue router': (
        'Nobody gets it. But types of ICMP are seen by iptables only, so that it comes to the '
        "device of the host's own bridge, where INPUT drops it."
    ),
    'Router advertisement behind extension headers and fragments (RFC 7113, RFC 6980)': (
        'Nobody gets it. But fragments, and headers behind which nobody looks, are seen by '
        "ip6tables only, so that it comes to the device of the host's own bridge, where INPUT "
        'drops it.'
    ),
}


def sees(frame: bytes) -> bool:
    """Whether a rule of libvirt can tell what is wrong with a frame. What is behind an extension
    header of IPv6 looks as if it were not, and what a client of DHCP says is unseen."""
    is_ipv6 = frame[12:14] == b'\x86\xdd'
    if is_ipv6 and frame[20] in interpreter.EXTENSIONS:
        return False
    ports = struct.unpack_from('!HH', frame, 54 if is_ipv6 else 34)
    return ports != ((546, 547) if is_ipv6 else (68, 67))


_daemons: weakref.WeakKeyDictionary[World, str] = weakref.WeakKeyDictionary()


def missing() -> str | None:
    """What is not here."""
    programs = ('libvirtd', 'ebtables', 'iptables', 'ipset')
    found = [name for name in programs if shutil.which(name) is None]
    return f'needs {", ".join(found)}' if found else None


def make(world: World, undo: contextlib.ExitStack) -> Ports:
    """A driver as after a start of the service; libvirt runs on from the first to the last."""
    if world not in _daemons:
        _daemons[world] = _start(world, undo)
    return Ports(_daemons[world], world)


def _start(world: World, undo: contextlib.ExitStack) -> str:
    """The URI of a new daemon."""
    folder = Path(tempfile.mkdtemp(prefix='nova-libvirtd-'))
    undo.callback(shutil.rmtree, folder)
    (folder / 'conf').write_text(_CONF.format(folder=folder))
    command = ['ip', 'netns', 'exec', world.host, 'unshare', '--mount', '--propagation', 'private']
    daemon = subprocess.Popen(
        [*command, '/bin/sh', '-c', _START, str(folder), ' '.join(_OWN)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    undo.callback(_stop, daemon)
    uri = f'nwfilter:///system?socket={folder}/libvirt-sock'
    end = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            libvirt.open(uri).close()
            return uri
        except libvirt.libvirtError:
            assert daemon.poll() is None, 'libvirtd ended'
            assert time.monotonic() < end, (folder / 'log').read_text()
            time.sleep(0.02)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


class Ports:
    """The driver, and what libvirt does of itself when guests come and go."""

    uses_filterref = True

    def __init__(self, uri: str, world: World) -> None:
        self._libvirt = libvirt.open(uri)
        self._driver = firewall.make(libvirt_host.Host(uri), privileged_nft.forget_tap)
        self._nics: dict[str, tuple[str, rules.NicPolicy]] = {}
        world.plugged = self._bind

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        found = {name: list(nics) for name, nics in guests.items()}
        self._driver.init_host(found, ruleset)
        for name, nics in found.items():
            with contextlib.suppress(exception.FirewallSetupFailed):
                self._know(name, nics)

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        found = list(nics)
        self._driver.prepare(instance_name, found, ruleset)
        self._know(instance_name, found)

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        found = list(nics)
        self._driver.apply(instance_name, found, ruleset)
        self._know(instance_name, found)

    def refresh(self, ruleset: rules.Ruleset) -> None:
        self._driver.refresh(ruleset)

    def repair(self) -> bool:
        return self._driver.repair()

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        return self._driver.holds(nic, ruleset)

    def drops(self) -> Mapping[str, int]:
        return self._driver.drops()

    def drops_of(self, device: str) -> Mapping[str, int]:
        return self._driver.drops_of(device)

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        owned = {d for d, (owner, _nic) in self._nics.items() if owner == instance_name}
        gone = owned if devices is None else set(devices)
        for binding in self._libvirt.listAllNWFilterBindings():
            if binding.portDev() in gone:
                subprocess.run(['ip', 'link', 'set', binding.portDev(), 'nomaster'], check=True)
                binding.delete()
        for device in gone:
            self._nics.pop(device, None)
        self._driver.remove(instance_name, devices)

    def _know(self, instance_name: str, nics: Iterable[rules.NicPolicy]) -> None:
        present = {name for _index, name in socket.if_nameindex()}
        for nic in nics:
            self._nics[nic.device] = instance_name, nic
            if nic.device in present:
                self._bind(nic.device)

    def _bind(self, device: str) -> None:
        if device not in self._nics:
            return  # for all that libvirt knows it is no guest's
        if device in {b.portDev() for b in self._libvirt.listAllNWFilterBindings()}:
            return
        owner, nic = self._nics[device]
        name = filters.filter_name(owner, nic.first_hop.mac)
        xml = _BINDING.format(owner=owner, nic=nic, filter=name)
        try:
            self._libvirt.nwfilterBindingCreateXML(xml)
        except libvirt.libvirtError as exc:
            raise exception.FirewallSetupFailed(vif=device, reason=str(exc)) from exc
