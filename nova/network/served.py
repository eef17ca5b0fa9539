"""What this host serves of the networks, brought in line with the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
import threading

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.network import info, kinds, reach, topology
from nova.network.linux import metadata

#: Makes a host's forwarding true (:meth:`nova.network.linux.nat.Forwarding.apply`).
ApplyReach = Callable[[reach.Reach, bool], None]
#: Makes a host's metadata servers true: ``(places by network uuid, uuids looked at or None for
#: all)`` to what failed (:meth:`nova.network.linux.metadata.MetadataServers.apply`).
ApplyMetadata = Callable[
    [Mapping[str, metadata.Place], Collection[str] | None], dict[str, exception.NetworkSetupFailed]
]
#: Makes a host's networks true: ``(state, uuids looked at or None for all)`` to what failed, by
#: uuid (:meth:`nova.network.linux.host.HostNetworks.apply`).
Apply = Callable[
    [topology.HostState, Collection[str] | None], dict[str, exception.NetworkSetupFailed]
]


class Served:
    """This host's side of the networks. It is computed as a whole, and applied as a difference.

    :param apply: makes this host's networks true.
    :param apply_reach: makes its forwarding between them true.
    :param reach_options: what the operator allows.
    :param apply_metadata: makes its metadata servers what they should be.
    """

    def __init__(
        self,
        *,
        options: topology.HostOptions,
        apply: Apply,
        apply_reach: ApplyReach,
        reach_options: reach.Options,
        apply_metadata: ApplyMetadata,
    ) -> None:
        self._options = options
        self._apply_networks = apply
        self._apply_reach = apply_reach
        self._apply_metadata = apply_metadata
        self._reach_options = reach_options
        changes = _Changes(self._apply, self._plan)
        self.apply_all, self.apply = changes.apply_all, changes.apply

    def _apply(
        self, state: topology.HostState, within: Collection[str] | None
    ) -> dict[str, exception.NetworkSetupFailed]:
        """The networks are kept apart before the first of them has a gateway."""
        served = self._served()
        try:
            self._keep_apart(served, within is None)
        except exception.NovaException as exc:
            failed = exception.NetworkSetupFailed(network='forwarding', reason=exc.message)
            uuids = [network.uuid for network in state.networks] if within is None else within
            return dict.fromkeys(uuids, failed)
        failures = self._apply_networks(state, within)
        places = {
            network.uuid: metadata.Place(
                network.link.name, (4, 6) if network.addresses_v6 else (4,)
            )
            for network in state.networks
            if network.uuid not in failures
        }
        failures |= self._apply_metadata(places, within)
        looked_at = [n for n in served if within is None or n.uuid in within]
        if self._leave([n for n in looked_at if n.uuid not in places.keys() | failures.keys()]):
            self._keep_apart(self._served(), False)
        return failures

    def _keep_apart(self, served: Sequence[records.Network], afresh: bool) -> None:
        edges = topology.plan_edges(served, self._options.physical_networks)
        wanted = reach.plan_reach(served, self._reach_options, db.floating_ip_list(), edges)
        self._apply_reach(wanted, afresh)

    def _leave(self, networks: Iterable[records.Network]) -> bool:
        """Give back this host's addresses on networks that it has nothing of any more.

        :returns: whether there was one.
        """
        released = [
            db.network_host_release(network.uuid, self._options.host)
            for network in networks
            if network.multi_host
        ]
        return any(released)

    def _served(self) -> list[records.Network]:
        """The networks that this host serves, as they are here."""
        here = self._options.host
        found = (info.on_host(network, here) for network in db.network_list())
        return [network for network in found if network.host == here]

    def _plan(self, uuids: Collection[str] | None) -> topology.HostState:
        """What this host needs, of these networks or of all."""
        mine = [n for n in self._served() if uuids is None or n.uuid in uuids]
        vifs = db.vifs_of_networks([network.uuid for network in mine])
        states = [manager.plan_host(mine, vifs, self._options) for manager in kinds.MANAGERS]
        return topology.HostState(
            networks=tuple(network for state in states for network in state.networks),
            impossible=tuple(entry for state in states for entry in state.impossible),
        )


class _Batch:
    """Networks that are to be looked at together, and what came of it."""

    def __init__(self) -> None:
        self.uuids: set[str] = set()
        self.failed: dict[str, exception.NetworkSetupFailed] | None = None


class _Changes:
    """Brings the host in line with the database, one at a time: who comes while it is being done
    waits, and is served by one further round together with all others who wait.

    :param plan: reads the database; a round sees what was committed before it was asked for.
    """

    def __init__(
        self,
        apply: Apply,
        plan: Callable[[Collection[str] | None], topology.HostState],
    ) -> None:
        self._apply = apply
        self._plan = plan
        self._round = threading.Lock()
        self._guard = threading.Lock()
        self._next = _Batch()

    def apply_all(self) -> dict[str, exception.NetworkSetupFailed]:
        """:returns: what failed, by network uuid."""
        with self._round:
            return self._apply(self._plan(None), None)

    def apply(self, uuids: Iterable[str]) -> dict[str, exception.NetworkSetupFailed]:
        """:returns: what failed of ``uuids``."""
        mine = set(uuids)
        with self._guard:
            batch = self._next
            batch.uuids |= mine
        with self._round:
            if batch.failed is None:
                with self._guard:
                    self._next = _Batch()
                batch.failed = self._apply(self._plan(batch.uuids), batch.uuids)
        return {uuid: error for uuid, error in batch.failed.items() if uuid in mine}
