"""The driver for nftables: :mod:`nova.network.firewall.nftables_plan`, put in force.

Every change is one batch that holds no more than what differs, so that it is atomic for all NICs
of an instance, and a NIC more costs the same whatever is there. What is in the kernel is read when
the service starts, and when somebody else may have changed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import dataclasses
import errno
import threading

from oslo_log import log as logging

from nova import exception, privileged
from nova.network.firewall import flows, nftables_base, nftables_change, nftables_plan, rules
from nova.privileged import conntrack
from nova.privileged import link as privileged_link
from nova.privileged import nft as privileged_nft

LOG = logging.getLogger(__name__)

_Nics = Mapping[str, rules.NicPolicy | None]


class NftablesFirewall:
    """Keeps the NICs of one host.

    :param groups_elsewhere: somebody else judges new connections, see
        :class:`nova.network.firewall.nftables_plan.Plan`.
    :param tables: what is judged.
    """

    uses_filterref = False

    def __init__(
        self,
        *,
        groups_elsewhere: bool = False,
        tables: nftables_base.Tables = nftables_base.EVERYTHING,
    ) -> None:
        self._tables = tables
        self._groups_elsewhere = groups_elsewhere
        self._lock = threading.RLock()
        # What the driver was told: NICs and the names of their instances, by device.
        self._nics: dict[str, rules.NicPolicy] = {}
        self._owners: dict[str, str] = {}
        self._devices: dict[str, set[str]] = {}
        self._ruleset = rules.Ruleset()
        self._given: rules.Ruleset | None = None
        self._bridges: dict[str, nftables_plan.BridgeFacts] = {}
        # What is in the kernel; None until it has been read, and after a failure.
        self._plan: nftables_plan.Plan | None = None
        self._generation: int | None = None

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        with self._lock:
            _have_bridged_packets_tracked()
            found = {name: {nic.device: nic for nic in nics} for name, nics in guests.items()}
            self._plan, self._ruleset, self._given = None, ruleset, ruleset
            self._nics, self._owners, self._devices = {}, {}, {}
            try:
                self._load({d: nic for nics in found.values() for d, nic in nics.items()}, ruleset)
            except privileged.ERRORS as exc:
                LOG.warning('Some guest does not get its rules: %s', exc)
                found = {n: nics for n, nics in found.items() if self._is_loadable(nics, ruleset)}
                with self._reported([]):
                    self._load({d: n for nics in found.values() for d, n in nics.items()}, ruleset)
            for name, nics in found.items():
                self._remember(name, nics)

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        with self._lock:
            self._follow(instance_name, {nic.device: nic for nic in nics}, set(), ruleset)

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        now = {nic.device: nic for nic in nics}
        with self._lock:
            gone = self._devices.get(instance_name, set()) - now.keys()
            self._follow(instance_name, now, gone, ruleset)

    def refresh(self, ruleset: rules.Ruleset) -> None:
        with self._lock:
            # Groups that nobody is in any more are forgotten.
            known = self._ruleset.only_for(self._nics.values())
            self._follow('', {}, set(), ruleset, known)

    def repair(self) -> bool:
        with self._lock, self._reported([]):
            if self._plan is not None and self._generation == privileged_nft.generation():
                return False
            self._bridges.clear()
            return self._load(self._nics, self._ruleset)

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        with self._lock, self._reported([nic.device]):
            self._bridges.pop(nic.bridge, None)
            wanted = self._plan_anew({nic.device: nic}, ruleset).state()
            found = nftables_change.parse_state(privileged_nft.read(), wanted, self._tables)
        if found is None or nic.bridge not in self._bridges:
            return False
        is_there = wanted.elements.items() <= found.elements.items()
        return is_there and wanted.chains.items() <= found.chains.items()

    def drops(self) -> Mapping[str, int]:
        with self._reported([]):
            found = privileged_nft.counters()
        return {name.removeprefix('drop_'): count for name, count in found.items()}

    def drops_of(self, device: str) -> Mapping[str, int]:
        reasons = nftables_base.REASONS['bridge']
        with self._reported([device]):
            found = privileged_nft.counted_elements(nftables_base.DROPS)
        return {reasons[number]: count for name, number, count in found if name == device}

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        with self._lock:
            owned = self._devices.get(instance_name, set())
            gone = set(owned) if devices is None else owned & set(devices)
            self._follow(instance_name, {}, gone, self._ruleset)

    def _follow(
        self,
        instance_name: str,
        now: Mapping[str, rules.NicPolicy],
        gone: set[str],
        ruleset: rules.Ruleset,
        known: rules.Ruleset | None = None,
    ) -> None:
        """Have ``now`` and not ``gone``, with this ruleset and what was ``known``, which is all if
        not given. When it fails, nothing has changed, and NICs that are new are closed."""
        merged = self._ruleset
        if ruleset is not self._given and ruleset is not merged:
            merged = merge(known or self._ruleset, ruleset)
            merged = self._ruleset if merged == self._ruleset else merged
        changed = {
            device: nic
            for device, nic in now.items()
            if self._nics.get(device) != nic or nic.bridge not in self._bridges
        }
        touched: _Nics = {**changed, **dict.fromkeys(gone)}
        if touched or merged is not self._ruleset or self._plan is None:
            before = {d: self._nics[d] for d in touched if d in self._nics}
            with self._reported(touched):
                self._put_in_force(touched, merged)
            former, self._ruleset = self._ruleset, merged
            self._remember(instance_name, touched)
            self._cut(before, touched, former)
            self._forget_bridges({nic.bridge for nic in before.values()})
        if ruleset is not self._ruleset:
            self._given = ruleset

    def _remember(self, instance_name: str, nics: _Nics) -> None:
        for device, nic in nics.items():
            self._devices.get(self._owners.pop(device, ''), set()).discard(device)
            self._nics.pop(device, None)
            if nic is not None:
                self._nics[device], self._owners[device] = nic, instance_name
                self._devices.setdefault(instance_name, set()).add(device)
        if not self._devices.get(instance_name):
            self._devices.pop(instance_name, None)

    def _put_in_force(self, touched: _Nics, ruleset: rules.Ruleset) -> None:
        if self._plan is None:
            self._load_touched(touched, ruleset)
            return
        for bridge in {nic.bridge for nic in touched.values() if nic} - self._bridges.keys():
            self._learn(bridge)
        old, new = self._plan.follow(touched, ruleset, self._bridges)
        lines = nftables_change.render_change(old, new)
        try:
            self._generation = privileged_nft.change(lines) if lines else self._generation
        except OSError as exc:
            # Somebody else may have changed our tables, or the service was not told all: what is
            # there is read again, and made as it should be.
            LOG.warning('The tables are not as they were left; they are repaired: %s', exc)
            self._bridges.clear()
            self._load_touched(touched, ruleset)

    def _load_touched(self, touched: _Nics, ruleset: rules.Ruleset) -> None:
        nics = {**self._nics, **touched}
        self._load({d: nic for d, nic in nics.items() if nic is not None}, ruleset)

    def _load(self, nics: Mapping[str, rules.NicPolicy], ruleset: rules.Ruleset) -> bool:
        """Make whatever is in the kernel what it should be; equal parts are not touched.

        :returns: whether it was not so.
        """
        self._plan = None
        plan = self._plan_anew(nics, ruleset)
        wanted = plan.state()
        found = nftables_change.parse_state(privileged_nft.read(), wanted, self._tables)
        if found is None:
            LOG.info('Loading the firewall of %d interfaces', len(nics))
            lines = nftables_change.render_everything(wanted, self._tables)
        else:
            lines = nftables_change.render_change(found, wanted)
        self._generation = privileged_nft.change(lines) if lines else privileged_nft.generation()
        self._plan = plan
        return bool(lines)

    def _plan_anew(
        self, nics: Mapping[str, rules.NicPolicy], ruleset: rules.Ruleset
    ) -> nftables_plan.Plan:
        for bridge in {nic.bridge for nic in nics.values()} - self._bridges.keys():
            self._learn(bridge)
        plan = nftables_plan.Plan(groups_elsewhere=self._groups_elsewhere)
        plan.follow(nics, ruleset, self._bridges)
        return plan

    def _is_loadable(self, nics: Mapping[str, rules.NicPolicy], ruleset: rules.Ruleset) -> bool:
        """Whether the kernel takes the rules of this guest, were it alone."""
        try:
            state = self._plan_anew(nics, ruleset).state()
            privileged_nft.check(nftables_change.render_everything(state, self._tables))
        except privileged.ERRORS:
            LOG.exception('These interfaces stay closed: %s', ', '.join(nics))
            return False
        return True

    def _forget_bridges(self, names: Iterable[str]) -> None:
        """One that comes back may be another of the same name."""
        for name in names:
            if self._plan is not None and not self._plan.needs_bridge(name):
                self._bridges.pop(name, None)

    def _learn(self, bridge: str) -> None:
        """NICs whose bridge is not there yet stay closed until they are told of again."""
        try:
            index, mac = privileged_link.identify(bridge)
        except OSError as exc:
            if exc.errno != errno.ENODEV:
                raise
            return
        self._bridges[bridge] = nftables_plan.BridgeFacts(
            name=bridge, number=(index - 1) % 0xFFFF + 1, mac=mac
        )

    @contextlib.contextmanager
    def _reported(self, devices: Iterable[str]) -> Iterator[None]:
        """What the system refuses, as the error of the port; the kernel is read before the next
        change."""
        try:
            yield
        except privileged.ERRORS as exc:
            self._plan = None
            raise exception.FirewallSetupFailed(
                vif=', '.join(sorted(devices)) or 'every interface', reason=str(exc)
            ) from exc

    def _cut(
        self, before: Mapping[str, rules.NicPolicy], touched: _Nics, former: rules.Ruleset
    ) -> None:
        """Have the kernel forget the connections of these NICs, and of those whose groups admit
        less than they did, that are no longer allowed."""
        tightened = flows.choose_tightened(former, self._ruleset)
        suspects = {
            device: _closed(nic) if (now := touched[device]) is None else now
            for device, nic in before.items()
        }
        if tightened is None or tightened:
            suspects |= {
                device: nic
                for device, nic in self._nics.items()
                if device not in touched and flows.is_concerned(nic, tightened)
            }
        nics = {
            device: nic
            for device, nic in suspects.items()
            if nic.bridge in self._bridges and (nic.groups is not None or self._ruleset.provider)
        }
        if not nics:
            return
        zones = {device: self._bridges[nic.bridge].number for device, nic in nics.items()}
        try:
            known = flows.parse_connections(conntrack.flows())
            cut = flows.choose_cut(known, nics, zones, self._ruleset)
            for version in {one.flow.version for one in cut}:
                gone = [(one.zone, one.values) for one in cut if one.flow.version == version]
                conntrack.forget(version, gone)
        except privileged.ERRORS as exc:
            raise exception.FirewallSetupFailed(
                vif=', '.join(sorted(nics)), reason=f'connections could not be cut: {exc}'
            ) from exc


def _closed(nic: rules.NicPolicy) -> rules.NicPolicy:
    return dataclasses.replace(nic, groups=())


def _have_bridged_packets_tracked() -> None:
    try:
        if not privileged_nft.ensure_bridged_packets_tracked():
            LOG.error(
                'This kernel has no br_netfilter (modprobe br_netfilter): answers to the '
                'connections of all NICs with security groups are dropped.'
            )
    except privileged.ERRORS as exc:
        raise exception.FirewallSetupFailed(vif='every interface', reason=str(exc)) from exc


def merge(old: rules.Ruleset, new: rules.Ruleset) -> rules.Ruleset:
    """Groups that ``new`` does not speak of stay as they are."""
    known = {group.id: group for group in old.groups}
    groups = known | {
        group.id: rules.keep_members(known.get(group.id), group) for group in new.groups
    }
    return rules.Ruleset(
        groups=tuple(groups[group_id] for group_id in sorted(groups)), provider=new.provider
    )
