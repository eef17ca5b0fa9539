"""The driver for nftables: :mod:`nova.network.firewall.nftables_plan`, put in force.

Every change is one batch that holds no more than what differs, so that it is atomic for all NICs
of an instance, and a NIC more costs the same whatever is there. What is in the kernel is read
once, when the service starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import errno
import threading

from oslo_log import log as logging

from nova import exception, privileged
from nova.network.firewall import flows, nftables_plan, rules
from nova.privileged import link as privileged_link
from nova.privileged import nft as privileged_nft

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """What the driver was told."""

    nics: Mapping[str, rules.NicPolicy]
    owners: Mapping[str, str]
    ruleset: rules.Ruleset


class NftablesFirewall:
    """Keeps the NICs of one host."""

    uses_filterref = False

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._wanted = _Wanted({}, {}, rules.Ruleset())
        self._bridges: dict[str, nftables_plan.BridgeFacts] = {}
        # What is in the kernel; None until it has been read, and after a failure.
        self._state: nftables_plan.State | None = None

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        try:
            if not privileged_nft.ensure_bridged_packets_tracked():
                LOG.warning(
                    'This kernel has no br_netfilter: answers to connections of NICs with '
                    'security groups are dropped.'
                )
        except privileged.ERRORS as exc:
            raise exception.FirewallSetupFailed(vif='every interface', reason=str(exc)) from exc
        found = [(name, nic) for name, nics in guests.items() for nic in nics]
        with self._lock:
            self._state = None
            self._put_in_force(
                _Wanted(
                    {nic.device: nic for _name, nic in found},
                    {nic.device: name for name, nic in found},
                    ruleset,
                ),
                set(),
            )

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        with self._lock:
            found = {nic.device: nic for nic in nics}
            self._follow(instance_name, found, set(), _merge(self._wanted.ruleset, ruleset))

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        now = {nic.device: nic for nic in nics}
        with self._lock:
            gone = self._devices_of(instance_name) - now.keys()
            self._follow(instance_name, now, gone, _merge(self._wanted.ruleset, ruleset))

    def refresh(self, ruleset: rules.Ruleset) -> None:
        with self._lock:
            self._follow('', {}, set(), _merge(self._wanted.ruleset, ruleset))

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        with self._lock:
            owned = self._devices_of(instance_name)
            gone = owned if devices is None else owned & set(devices)
            self._follow(instance_name, {}, gone, self._wanted.ruleset)

    def _devices_of(self, instance_name: str) -> set[str]:
        return {d for d, owner in self._wanted.owners.items() if owner == instance_name}

    def _follow(
        self,
        instance_name: str,
        now: Mapping[str, rules.NicPolicy],
        gone: set[str],
        ruleset: rules.Ruleset,
    ) -> None:
        """Have ``now`` and not ``gone``. When it fails, nothing has changed, and NICs that are
        new are closed."""
        old = self._wanted
        changed = {
            device: nic
            for device, nic in now.items()
            if old.nics.get(device) != nic or nic.bridge not in self._bridges
        }
        if not changed and not gone and ruleset == old.ruleset and self._state is not None:
            return
        kept = {d: nic for d, nic in old.nics.items() if d not in gone}
        owners = {d: owner for d, owner in old.owners.items() if d not in gone}
        new = _Wanted(
            {**kept, **changed}, {**owners, **dict.fromkeys(changed, instance_name)}, ruleset
        )
        self._put_in_force(new, changed.keys() | gone)
        self._cut(old, new, changed.keys() | gone)

    def _put_in_force(self, new: _Wanted, touched: Iterable[str]) -> None:
        try:
            known = len(self._bridges)
            fresh = new.nics.keys() if self._state is None else touched
            found = (new.nics.get(device) for device in fresh)
            for bridge in {nic.bridge for nic in found if nic} - self._bridges.keys():
                self._learn(bridge)
            if self._state is None:
                self._reload(new)
            else:
                try:
                    self._change(self._state, new, touched, whole=len(self._bridges) > known)
                except OSError:
                    # Somebody else may have changed our tables, or the service was not told all:
                    # what is there is read again, and made as it should be.
                    LOG.warning('The tables are not as they were left; they are repaired.')
                    self._bridges.clear()
                    for bridge in {nic.bridge for nic in new.nics.values()}:
                        self._learn(bridge)
                    self._reload(new)
        except privileged.ERRORS as exc:
            self._state = None
            raise exception.FirewallSetupFailed(
                vif=', '.join(touched) or 'every interface', reason=str(exc)
            ) from exc
        self._wanted = new

    def _learn(self, bridge: str) -> None:
        """NICs whose bridge is not there yet stay closed until they are told of again."""
        try:
            privileged_link.stop_link_local_learning(bridge)
        except OSError as exc:
            if exc.errno != errno.ENODEV:
                raise
            return
        index, mac = privileged_link.identify(bridge)
        self._bridges[bridge] = nftables_plan.BridgeFacts(
            name=bridge, number=(index - 1) % 0xFFFF + 1, mac=mac
        )

    def _reload(self, new: _Wanted) -> None:
        """Make whatever is in the kernel what it should be; equal parts are not touched."""
        state = nftables_plan.plan_state(new.nics.values(), new.ruleset, self._bridges)
        found = nftables_plan.parse_state(privileged_nft.read(), state)
        if found is None:
            LOG.info('Loading the firewall of %d interfaces', len(new.nics))
            privileged_nft.change(nftables_plan.render_everything(state))
        elif lines := nftables_plan.render_change(found, state):
            privileged_nft.change(lines)
        self._state = state

    def _change(
        self, state: nftables_plan.State, new: _Wanted, touched: Iterable[str], *, whole: bool
    ) -> None:
        """``whole``: what NICs that are not touched need may have changed too."""
        old = self._wanted
        before = {d: old.nics[d] for d in touched if d in old.nics}
        after = {d: new.nics[d] for d in touched if d in new.nics}
        if not whole and new.ruleset == old.ruleset and self._are_alike(before, after, old, new):
            # Only elements of these NICs, whatever else there is.
            mine = self._own_elements(before.values())
            wanted = self._own_elements(after.values())
            lines = nftables_plan.render_change(
                nftables_plan.State(elements=mine), nftables_plan.State(elements=wanted)
            )
            if lines:
                privileged_nft.change(lines)
            # In place, since to copy them would cost more than the change.
            for element in mine:
                state.elements.pop(element, None)
            state.elements.update(wanted)
            return
        everything = nftables_plan.plan_state(new.nics.values(), new.ruleset, self._bridges)
        if lines := nftables_plan.render_change(state, everything):
            privileged_nft.change(lines)
        self._state = everything

    def _are_alike(
        self,
        before: Mapping[str, rules.NicPolicy],
        after: Mapping[str, rules.NicPolicy],
        old: _Wanted,
        new: _Wanted,
    ) -> bool:
        """Whether what these NICs share with others was there before and stays."""
        touched = before.keys() | after.keys()
        if any(nic.bridge not in self._bridges for nic in (*before.values(), *after.values())):
            return False
        return all(
            any(_kin(nic) == kin for d, nic in old.nics.items() if d not in touched)
            for kin in {_kin(nic) for nic in (*before.values(), *after.values())}
        )

    def _own_elements(self, nics: Iterable[rules.NicPolicy]) -> dict[nftables_plan.Element, str]:
        return {
            key: text
            for nic in nics
            for key, text in nftables_plan.nic_elements(nic, self._bridges[nic.bridge])
        }

    def _cut(self, old: _Wanted, new: _Wanted, touched: Iterable[str]) -> None:
        """Have the kernel forget the connections of these NICs, or of all when the groups have
        changed, that are no longer allowed."""
        closed = {
            d: dataclasses.replace(old.nics[d], groups=()) for d in old.nics if (d not in new.nics)
        }
        suspects = {d: new.nics[d] for d in touched if d in new.nics and d in old.nics}
        if new.ruleset != old.ruleset:
            suspects = {d: nic for d, nic in new.nics.items() if d in old.nics}
        suspects = {
            d: nic for d, nic in suspects.items() if nic.groups is not None or new.ruleset.provider
        }
        nics = {d: n for d, n in {**closed, **suspects}.items() if n.bridge in self._bridges}
        if not nics:
            return
        zones = {d: self._bridges[nic.bridge].number for d, nic in nics.items()}
        try:
            for version in (4, 6):
                text = privileged_nft.flows(version)
                known = flows.parse_connections(text, version)
                for connection in flows.choose_cut(known, nics, zones, new.ruleset):
                    privileged_nft.cut(version, connection.zone, connection.values)
        except privileged.ERRORS as exc:
            raise exception.FirewallSetupFailed(
                vif=', '.join(nics), reason=f'connections could not be cut: {exc}'
            ) from exc


def _kin(nic: rules.NicPolicy) -> tuple[str, str, tuple[str, ...] | None]:
    """NICs of equal kin share everything but their own elements."""
    return nic.bridge, nic.network_id, nic.groups


def _merge(old: rules.Ruleset, new: rules.Ruleset) -> rules.Ruleset:
    """Groups that ``new`` does not speak of stay as they are."""
    groups = {group.id: group for group in (*old.groups, *new.groups)}
    merged = rules.Ruleset(
        groups=tuple(groups[group_id] for group_id in sorted(groups)), provider=new.provider
    )
    return old if merged == old else merged
