"""The bridges and VLAN devices that we make on this host, each for as long as somebody holds it.

A bridge may be needed twice: by the network service, which has a gateway or a DHCP server on it,
and by the guests that are plugged into it, whose network may be served elsewhere. Who holds what is
noted before it is made, in a folder that does not outlive a boot, as the devices do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
import contextlib
import json
import pathlib

from oslo_concurrency import lockutils
from oslo_log import log

from nova import exception
from nova.network import topology
from nova.network.linux import bridge

LOG = log.getLogger(__name__)

#: Who holds the bridges that guests are plugged into; networks hold theirs under their uuid.
GUESTS = 'guests'


class HostLinks:
    """The links of this host, whichever of our processes asks.

    :param run_path: the folder for what does not outlive a boot.
    """

    def __init__(self, run_path: str) -> None:
        self._folder = pathlib.Path(run_path) / 'links'
        self._lock_path = str(pathlib.Path(run_path) / 'locks')

    def ensure(self, holder: str, links: Iterable[topology.BridgeLink]) -> None:
        """Have these bridges, and keep them until ``holder`` gives them up.

        :raises NetworkSetupFailed: one cannot be made. Those before it are there.
        """
        with self._lock():
            for link in links:
                holders, _ = self._read(link.name)
                self._write(link.name, holders | {holder}, link.vlan_device)
                bridge.ensure_bridges([link])

    def release(self, holder: str, name: str) -> bool:
        """Give up a bridge, which goes with the VLAN device below it unless somebody else holds it
        or made it.

        :returns: whether we removed it.
        :raises NetworkSetupFailed: it cannot be removed.
        """
        with self._lock():
            return self._release(holder, name)

    def keep_only(self, holder: str, wanted: Callable[[], Collection[str]]) -> None:
        """Give up all bridges but those.

        :param wanted: says their names. It is asked when no bridge can be taken any more, so that
            one which somebody wants from then on is made after this.
        :raises NetworkSetupFailed: one cannot be removed.
        """
        with self._lock():
            held = [name for name in self._names() if holder in self._read(name)[0]]
            for name in set(held).difference(wanted() if held else ()):
                if self._release(holder, name):
                    LOG.info('bridge %s is removed: no guest is plugged into it', name)

    def _release(self, holder: str, name: str) -> bool:
        holders, vlan_device = self._read(name)
        left = holders - {holder}
        if left:
            self._write(name, left, vlan_device)
            return False
        removed = bridge.remove_bridge(name)
        if vlan_device is not None:
            bridge.remove_vlan(vlan_device)
        # the note goes last: until then another try finds what is left
        (self._folder / name).unlink(missing_ok=True)
        return removed

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with lockutils.lock(
            'nova-host-links', external=True, lock_path=self._lock_path, delay=0.01
        ):
            yield

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in self._folder.iterdir() if '.part' not in path.name)
        except FileNotFoundError:
            return []

    def _read(self, name: str) -> tuple[frozenset[str], str | None]:
        """Who holds it, and the VLAN device below it."""
        try:
            noted = json.loads((self._folder / name).read_text())
            return frozenset(noted['holders']), noted['vlan_device']
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return frozenset(), None

    def _write(self, name: str, holders: frozenset[str], vlan_device: str | None) -> None:
        if (holders, vlan_device) == self._read(name):
            return
        noted = json.dumps({'holders': sorted(holders), 'vlan_device': vlan_device})
        part = self._folder / f'{name}.part'
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(noted)
            part.replace(self._folder / name)
        except OSError as exc:
            raise exception.NetworkSetupFailed(network=name, reason=str(exc)) from exc
