"""What a host without a table of forwarding can serve."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib

import pytest

from nova import exception
from nova.db import records
from nova.network import reach
from nova.network.linux import nat
from nova.privileged import nft
from nova.tests.unit.network import samples

GATEWAY = samples.network(0)
NO_GATEWAY = samples.network(1, gateway=None)
ELSEWHERE = samples.network(1)
WITHOUT_DHCP = samples.network(0, dhcp_server=None)
ROUTED_V6 = samples.network(2, gateway=None, cidr_v6='fd00:2::/64', gateway_v6='fd00:2::1')


@pytest.fixture
def forwarding(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> nat.Forwarding:
    """Of a host that is to have no table, and never asks about it."""

    def change(lines: Sequence[str]) -> None:
        assert [line for line in lines if reach.TABLE in line] == []

    monkeypatch.setattr(nft, 'change', change)
    return nat.Forwarding(str(tmp_path), has_table=False)


@pytest.mark.parametrize('networks', [(), (NO_GATEWAY,), (ELSEWHERE, NO_GATEWAY)])
def test_networks_whose_gateway_is_elsewhere_or_nowhere(
    forwarding: nat.Forwarding, networks: tuple[records.Network, ...]
) -> None:
    forwarding.apply(reach.plan_reach(networks, reach.Options()), True)


@pytest.mark.parametrize('network', [GATEWAY, WITHOUT_DHCP, ROUTED_V6], ids=['v4', 'still', 'v6'])
def test_no_network_that_it_would_be_the_gateway_of(
    forwarding: nat.Forwarding, network: records.Network
) -> None:
    with pytest.raises(exception.NetworkSetupFailed, match='host_table'):
        forwarding.apply(reach.plan_reach([NO_GATEWAY, network], reach.Options()))


def test_networks_that_may_all_reach_each_other(forwarding: nat.Forwarding) -> None:
    """There is nothing to keep apart; what else the table does cannot be done without it."""
    networks = [GATEWAY, ROUTED_V6, NO_GATEWAY]
    a, b, c = (network.label for network in networks)
    everything = reach.Options(forward_between=((a, b), (b, c), (a, c)))
    forwarding.apply(reach.plan_reach(networks, everything))
    for options in (
        dataclasses.replace(everything, forward_between=((a, b), (b, c))),
        dataclasses.replace(everything, default_egress='eth0'),
    ):
        with pytest.raises(exception.NetworkSetupFailed, match='forward_between'):
            forwarding.apply(reach.plan_reach(networks, options))
