"""The kinds of network. Each has a manager class, and a network keeps its kind, so that one cloud
and one instance may have networks of every kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from nova.db import records
from nova.network import model, topology


class NetworkManager:
    """Serves the networks of one kind.

    :cvar serves: whether hosts make anything for them.
    """

    kind: ClassVar[model.NetworkKind]
    serves: ClassVar[bool]

    def plan_host(
        self,
        networks: Iterable[records.Network],
        vifs: Mapping[str, Sequence[records.Vif]],
        options: topology.HostOptions,
    ) -> topology.HostState:
        """What the host needs for the networks of this kind among ``networks``."""
        mine = [network for network in networks if network.kind is self.kind]
        return topology.plan_host(mine, vifs, options) if self.serves else topology.HostState()


class FlatDHCPManager(NetworkManager):
    """Networks on an untagged segment: a bridge, on which the host that serves the network is
    gateway and DHCP server."""

    kind = model.NetworkKind.FLAT_DHCP
    serves = True


class FlatManager(NetworkManager):
    """Networks of the operator, who has the bridges, routers and whatever tells guests their
    addresses; we give out addresses and serve nothing."""

    kind = model.NetworkKind.FLAT
    serves = False


class VlanManager(FlatDHCPManager):
    """Like :class:`FlatDHCPManager`, on a VLAN of a physical network that others share."""

    kind = model.NetworkKind.VLAN


MANAGERS: tuple[NetworkManager, ...] = (FlatDHCPManager(), FlatManager(), VlanManager())

#: The kind that each choice of the option ``network_manager`` makes.
KINDS: Mapping[str, model.NetworkKind] = {
    type(manager).__name__: manager.kind for manager in MANAGERS
}
