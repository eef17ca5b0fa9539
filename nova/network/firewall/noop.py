"""No firewall at all, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oslo_log import log as logging

from nova.network.firewall import rules

LOG = logging.getLogger(__name__)


class NoopFirewall:
    """Lets everything pass: every guest may impersonate any other, and the host's routers."""

    uses_filterref = False

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        LOG.critical(
            'THERE IS NO FIREWALL: [firewall] driver is "noop". Every guest may impersonate any '
            'other. This is for tests only.'
        )

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        LOG.warning('The NICs of %s are not filtered.', instance_name)

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        """Nothing is done."""

    def refresh(self, ruleset: rules.Ruleset) -> None:
        """Nothing is done."""

    def repair(self) -> bool:
        return False

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        return False

    def drops(self) -> Mapping[str, int]:
        return {}

    def drops_of(self, device: str) -> Mapping[str, int]:
        return {}

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        """Nothing is done."""
