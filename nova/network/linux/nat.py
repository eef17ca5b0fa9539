"""Forwarding between networks, address translation and floating IPs on this host.

The rules are in a table of our own. The floating IPs that were put on an interface are noted
before, in a folder that does not outlive a boot, so that no other address is ever removed.
"""

from __future__ import annotations

import json
import pathlib

from oslo_log import log

from nova import exception, privileged
from nova.network import reach
from nova.privileged import conntrack, nft
from nova.privileged import link as privileged_link

LOG = log.getLogger(__name__)


class Forwarding:
    """What this host forwards and translates.

    :param run_path: the folder for what does not outlive a boot.
    :param has_table: whether this host may have a table of ours.
    """

    def __init__(self, run_path: str, *, has_table: bool = True) -> None:
        self._note = pathlib.Path(run_path) / 'floating.json'
        self._has_table = has_table
        self._written: tuple[str, ...] | None = None
        self._written_edges: tuple[str, ...] | None = None

    def apply(self, wanted: reach.Reach, afresh: bool = False) -> None:
        """Make it true.

        :param afresh: write it even if nothing has changed since it was last written; somebody
            else may have changed the table.
        :raises NetworkSetupFailed: the kernel or libnftables refused; or there is to be no table,
            and this host cannot do without.
        """
        self._apply_edges(wanted, afresh)
        if not self._has_table:
            _check_not_needed(wanted)
            return
        commands = reach.render_table(wanted)
        if commands == self._written and not afresh:
            return
        try:
            self._apply(wanted, commands)
        except privileged.ERRORS as exc:
            raise exception.NetworkSetupFailed(network='forwarding', reason=str(exc)) from exc
        self._written = commands

    def _apply_edges(self, wanted: reach.Reach, afresh: bool) -> None:
        commands = reach.render_edge_table(wanted)
        if commands == self._written_edges and not afresh:
            return
        try:
            nft.change(list(commands))
        except privileged.ERRORS as exc:
            if wanted.edges:
                raise exception.NetworkSetupFailed(network='forwarding', reason=str(exc)) from exc
            # a kernel without tables of bridges has none of ours either
            LOG.debug('the table %s is not looked at: %s', reach.EDGE_TABLE, exc)
        self._written_edges = commands

    def _apply(self, wanted: reach.Reach, commands: tuple[str, ...]) -> None:
        """The rules come before an address that is new, and go before one that goes."""
        before = self._read()
        after = {f.address: [f.fixed_ip, wanted.floating_interface] for f in wanted.floating}
        self._write(before | after)
        nft.change(list(commands))
        for address, (fixed_ip, interface) in before.items():
            if after.get(address) != [fixed_ip, interface]:
                self._forget(address, interface)
        for address, (_fixed_ip, interface) in after.items():
            if interface is not None and privileged_link.ensure_address(interface, address, 32):
                privileged_link.announce(interface, address)
        self._write(after)

    def _forget(self, address: str, interface: str | None) -> None:
        if interface is not None:
            privileged_link.remove_address(interface, address, 32)
        conntrack.forget_translated(address)

    def _read(self) -> dict[str, list[str | None]]:
        """The fixed IP and the interface of each floating IP that we put somewhere."""
        try:
            found: dict[str, list[str | None]] = json.loads(self._note.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def _write(self, noted: dict[str, list[str | None]]) -> None:
        if noted == self._read():
            return
        part = self._note.with_suffix('.part')
        part.write_text(json.dumps(noted))
        part.replace(self._note)


def _check_not_needed(wanted: reach.Reach) -> None:
    """:raises NetworkSetupFailed: networks are to be kept apart, or addresses translated."""
    if wanted.needs_table:
        reason = (
            'this host has no table (host_table), and cannot be the gateway of a network that is'
            ' not to reach all others (forward_between), or have a floating IP'
        )
        raise exception.NetworkSetupFailed(network='forwarding', reason=reason)
