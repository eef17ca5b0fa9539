"""A host on which iptables does not see what passes a bridge."""

from __future__ import annotations

import pytest

from nova import exception
from nova.network.firewall import iptables, rules
from nova.privileged import nft


def refuse() -> bool:
    raise OSError(30, 'Read-only file system')


@pytest.mark.parametrize(
    ('ensure', 'reason'),
    [(lambda: False, 'load the module br_netfilter'), (refuse, 'Read-only file system')],
)
def test_it_says_so_and_loads_nothing(
    monkeypatch: pytest.MonkeyPatch, ensure: object, reason: str
) -> None:
    monkeypatch.setattr(nft, 'ensure_bridged_packets_tracked', ensure)
    with pytest.raises(exception.FirewallSetupFailed, match=reason):
        iptables.IptablesFirewall().init_host({}, rules.Ruleset())
