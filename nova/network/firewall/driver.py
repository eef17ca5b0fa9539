"""The port behind which the firewall drivers are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from nova.network.firewall import rules


class FirewallDriver(Protocol):
    """Keeps the NICs of one host to their policies.

    NICs come and go in the order ``prepare``, (the guest starts), ``apply`` and ``refresh`` any
    number of times, (the guest is gone), ``remove``. Every call is idempotent, and one that
    changes nothing touches nothing in the kernel. A NIC that was never prepared, or whose rules
    could not be loaded, is closed; the others do not suffer.

    All raise :class:`nova.exception.FirewallSetupFailed`.
    """

    #: Whether the domain XML names a filter of libvirt's for each NIC.
    uses_filterref: bool

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        """Make what all NICs share, and have the rules of the guests that are there, by the names
        of their instances, in force. What is so already is left alone, what is of no guest is
        removed."""

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        """Have these rules in force as soon as the NICs exist, which they need not yet. Other NICs
        of the instance stay as they are."""

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        """Have these rules in force on NICs that may exist: all NICs of the instance. Connections
        that are no longer allowed are cut."""

    def refresh(self, ruleset: rules.Ruleset) -> None:
        """Have every NIC follow ``ruleset``, whose groups have changed."""

    def repair(self) -> bool:
        """Have in the kernel what the driver was told, should somebody else have changed it.

        :returns: whether somebody had.
        """

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        """Whether the kernel has in force all that this NIC needs. Nothing is changed, and the
        driver need not have been told of it."""

    def drops(self) -> Mapping[str, int]:
        """How many frames this host has dropped, by the reason
        (:class:`nova.network.firewall.interpreter.Verdict`), as far as they are counted."""

    def drops_of(self, device: str) -> Mapping[str, int]:
        """How many of them were sent by this NIC, or were for it: reasons for which there were any.
        It is counted from the NIC's first frame to its last."""

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        """Forget these NICs of the instance, or all, which are gone from the host."""
