"""Forwarding between networks and address translation on this host, in a table of our own."""

from __future__ import annotations

from nova import exception, privileged
from nova.network import reach
from nova.privileged import nft


class Forwarding:
    """The host's table. It is written when the service starts and when something has changed."""

    def __init__(self) -> None:
        self._written: tuple[str, ...] | None = None

    def apply(self, wanted: reach.Reach, afresh: bool = False) -> None:
        """Make it true.

        :param afresh: write it even if nothing has changed since it was last written; somebody
            else may have changed the table.
        :raises NetworkSetupFailed: the kernel or libnftables refused; what was, is.
        """
        commands = reach.render_table(wanted)
        if commands == self._written and not afresh:
            return
        try:
            nft.change(list(commands))
        except privileged.ERRORS as exc:
            raise exception.NetworkSetupFailed(network='forwarding', reason=str(exc)) from exc
        self._written = commands
