"""The firewall drivers by their names in the option ``[firewall] driver``."""

from __future__ import annotations

from typing import Any

from nova.network.firewall import driver, iptables, nftables, noop


def make(options: Any) -> driver.FirewallDriver | None:
    """The driver that the option group ``[firewall]`` names, if it filters tap devices itself;
    ``nwfilter`` is libvirt's and not among them."""
    match options.driver:
        case 'nftables':
            return nftables.NftablesFirewall()
        case 'iptables':
            return iptables.IptablesFirewall(options.iptables_backend)
        case 'noop':
            return noop.NoopFirewall()
    return None
