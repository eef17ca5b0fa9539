"""The firewall drivers by their names in the option ``[firewall] driver``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nova.network.firewall import driver, nftables, noop

#: Those that filter tap devices themselves; ``nwfilter`` is libvirt's and not among them.
DRIVERS: Mapping[str, Callable[[], driver.FirewallDriver]] = {
    'nftables': nftables.NftablesFirewall,
    'noop': noop.NoopFirewall,
}


def make(name: str) -> driver.FirewallDriver | None:
    """The driver of this name, if it filters tap devices itself."""
    made = DRIVERS.get(name)
    return None if made is None else made()
