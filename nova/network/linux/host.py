"""The networks that this host serves, made true.

What was made is noted before it is made, in one file for each network in a folder that does not
outlive a boot, as the devices do not. So what nobody wants any more can be removed without a look
at anything that is not ours, also after a crash half way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
import contextlib
import dataclasses
import json
import pathlib
import socket

from oslo_concurrency import lockutils
from oslo_log import log

from nova import exception, privileged
from nova.network import topology
from nova.network.linux import dnsmasq
from nova.network.linux import links as linux_links
from nova.privileged import link as privileged_link
from nova.privileged import metadata as privileged_metadata
from nova.privileged import sysctl as privileged_sysctl

LOG = log.getLogger(__name__)

_NOTE = 'made.json'
#: What may go wrong with one network.
_FAILURES: tuple[type[Exception], ...] = (*privileged.ERRORS, exception.InvalidInput)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What was made for one network."""

    bridge: str
    address: str | None
    forwards: bool
    addresses_v6: tuple[str, ...] = ()
    forwards_v6: bool = False
    vlan_device: str | None = None


class HostNetworks:
    """The networks of this host.

    :param run_path: the folder for what does not outlive a boot. The DHCP servers read their files
        below it as another user, so that everybody must be able to enter it.
    """

    def __init__(self, run_path: str) -> None:
        self._folder = pathlib.Path(run_path) / 'networks'
        self._links = linux_links.HostLinks(run_path)
        self._lock_path = str(pathlib.Path(run_path) / 'locks')

    def apply(
        self, state: topology.HostState, within: Collection[str] | None = None
    ) -> dict[str, exception.NetworkSetupFailed]:
        """Make every network of ``state`` true, and remove every other that we made.

        One that cannot be made does not keep the others from being made. Doing it again changes
        nothing.

        :param within: uuids of the networks that are looked at; None looks at all.
        :returns: what failed, by uuid.
        """
        failed = {
            uuid: exception.NetworkSetupFailed(network=uuid, reason=reason)
            for uuid, reason in state.impossible
        }
        wanted = {network.uuid: network for network in state.networks}
        with self._lock():
            for uuid in self._made():
                if uuid not in wanted and uuid not in failed and (within is None or uuid in within):
                    with _collect(failed, uuid, uuid):
                        self._remove(uuid)
            for network in state.networks:
                with _collect(failed, network.uuid, network.label):
                    self._ensure(network)
        return failed

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One at a time on this host, whichever process asks."""
        with lockutils.lock(
            'nova-host-networks', external=True, lock_path=self._lock_path, delay=0.01
        ):
            yield

    def _ensure(self, network: topology.HostNetwork) -> None:
        made = _Made(
            bridge=network.link.name,
            address=network.address,
            forwards=network.forwards,
            addresses_v6=network.addresses_v6,
            forwards_v6=network.forwards_v6,
            vlan_device=network.link.vlan_device,
        )
        before = self._read(network.uuid)
        if before is not None and before != made:
            self._remove(network.uuid)
        if before != made:
            self._note(network.uuid, made)
        self._links.ensure(network.uuid, [network.link])
        if network.address is not None:
            address, _, length = network.address.partition('/')
            privileged_link.ensure_address(network.link.name, address, int(length))
        if network.addresses_v6:
            self._ensure_v6(network)
        privileged_link.ensure_address(network.link.name, privileged_metadata.ADDRESSES[4], 32)
        if network.forwards and privileged_sysctl.ensure_forwarding():
            self._keep_others_from_forwarding()
        privileged_sysctl.ensure_device_forwarding(network.link.name, network.forwards)
        if network.serves_dhcp and dnsmasq.ensure_server(network.dhcp):
            LOG.info('network %s: DHCP server started on %s', network.label, network.link.name)

    def _ensure_v6(self, network: topology.HostNetwork) -> None:
        """Who is no gateway of the network forwards nothing from it: the kernel's switch of one
        device does not keep IPv6 from being forwarded, so a routing rule does."""
        name = network.link.name
        privileged_sysctl.ensure_ipv6(name)
        for entry in network.addresses_v6:
            address, _, length = entry.partition('/')
            privileged_link.ensure_address(name, address, int(length))
        # last and deprecated, so that announcements do not come from it
        privileged_link.ensure_address(name, privileged_metadata.ADDRESSES[6], 128, False)
        privileged_link.ensure_blackhole_v6(name, not network.forwards_v6)
        if network.forwards_v6:
            privileged_sysctl.ensure_forwarding_v6()

    def _keep_others_from_forwarding(self) -> None:
        """A network without a gateway leads nowhere, whatever route its guests give themselves."""
        for uuid in self._made():
            made = self._read(uuid)
            if made is not None and not made.forwards and _exists(made.bridge):
                privileged_sysctl.ensure_device_forwarding(made.bridge, False)

    def _remove(self, uuid: str) -> None:
        made = self._read(uuid)
        folder = self._folder / uuid
        if made is not None:
            # the note goes last, with the folder: until then another try finds what is left
            dnsmasq.stop_server(str(folder))
            if made.addresses_v6:
                privileged_link.ensure_blackhole_v6(made.bridge, False)
            if not self._links.release(uuid, made.bridge):
                self._leave_bridge(made)
            LOG.info('network %s: removed from this host', uuid)
        dnsmasq.remove_files(str(folder))

    def _leave_bridge(self, made: _Made) -> None:
        """The bridge stays, be it the operator's or one that guests are plugged into."""
        for entry in (made.address, *made.addresses_v6):
            address, _, length = (entry or '').partition('/')
            if address:
                privileged_link.remove_address(made.bridge, address, int(length))
        privileged_link.remove_address(made.bridge, privileged_metadata.ADDRESSES[4], 32)
        privileged_link.remove_address(made.bridge, privileged_metadata.ADDRESSES[6], 128)
        privileged_sysctl.ensure_device_forwarding(made.bridge, False)

    def _made(self) -> list[str]:
        """The uuids of the networks that something was made for."""
        try:
            return sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return []

    def _read(self, uuid: str) -> _Made | None:
        try:
            made = _Made(**json.loads((self._folder / uuid / _NOTE).read_text()))
            return dataclasses.replace(made, addresses_v6=tuple(made.addresses_v6))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _note(self, uuid: str, made: _Made) -> None:
        folder = self._folder / uuid
        for path in (self._folder, folder):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)  # whatever the umask: DHCP servers read below as another user
        _check_passable(folder)
        part = folder / f'{_NOTE}.part'
        part.write_text(json.dumps(dataclasses.asdict(made)))
        part.replace(folder / _NOTE)


def _exists(device: str) -> bool:
    try:
        socket.if_nametoindex(device)
    except OSError:
        return False
    return True


def _check_passable(folder: pathlib.Path) -> None:
    """:raises OSError: a DHCP server could not reach its files."""
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            raise PermissionError(f'{parent} must let other users enter, for the DHCP servers')


@contextlib.contextmanager
def _collect(
    failed: dict[str, exception.NetworkSetupFailed], uuid: str, label: str
) -> Iterator[None]:
    try:
        yield
    except exception.NetworkSetupFailed as exc:
        failed[uuid] = exc
    except _FAILURES as exc:
        failed[uuid] = exception.NetworkSetupFailed(network=label, reason=str(exc))
        failed[uuid].__cause__ = exc
