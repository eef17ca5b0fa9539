"""Forwarding between networks and address translation on this host, in a table of our own."""

from __future__ import annotations

from nova import exception, privileged
from nova.network import reach
from nova.privileged import nft


class Forwarding:
    """The host's table. It is written when the service starts and when something has changed."""

    def __init__(self) -> None:
        self._written: tuple[str, ...] | None = None

    def apply(self, wanted: reach.Reach) -> None:
        """Make it true; what is already so is left alone.

        :raises NetworkSetupFailed: the kernel or libnftables refused; what was, is.
        """
        commands = reach.render_table(wanted)
        if commands == self._written:
            return
        try:
            nft.change(list(commands))
        except privileged.ERRORS as exc:
            raise exception.NetworkSetupFailed(network='forwarding', reason=str(exc)) from exc
        self._written = commands
