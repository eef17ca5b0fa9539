"""The driver for libvirt's network filters: :mod:`nova.virt.libvirt.filters` and
:mod:`nova.virt.libvirt.groupfilters`, put in force.

What libvirt makes of filters sees the frames that a bridge hands from one port to another, and
those from guests to the host. Frames that the host itself sends to guests, or routes to them, are
judged by another driver, which is told everything too; it also keeps networks apart in the
kernel's table of connections, and cuts those that are no longer allowed.

There is always a filter before somebody refers to it, and nobody does when it is removed. libvirt
leaves a filter alone that is defined again as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Protocol

from oslo_log import log as logging

from nova import exception, privileged
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import ipsets, nftables, nftables_base, rules
from nova.privileged import ipset as privileged_ipset
from nova.virt.libvirt import filterplan, filters, groupfilters, tracking

if TYPE_CHECKING:
    from nova.virt.libvirt import host

LOG = logging.getLogger(__name__)

#: Takes the name of a tap device.
ForgetTap = Callable[[str], None]

#: Seconds for which libvirt may go on counting a filter as used after its domain is gone, and the
#: kernel a set after its rules are.
_RELEASE_TIMEOUT_S = 5.0


class Sets(Protocol):
    """Where sets of addresses are kept; as :mod:`nova.privileged.ipset`."""

    def ensure(self, sets: Sequence[privileged_ipset.Set]) -> None: ...

    def remove(self, names: Sequence[str]) -> list[str]: ...

    def find_equal(self, sets: Sequence[privileged_ipset.Set]) -> list[str]: ...

    def list_names(self) -> list[str]: ...


def make(libvirt_host: host.Host, forget_tap: ForgetTap) -> NWFilterFirewall:
    """The driver with what judges the frames of the host."""
    from_host = nftables.NftablesFirewall(tables=nftables_base.FROM_HOST)
    return NWFilterFirewall(libvirt_host, forget_tap, from_host)


class NWFilterFirewall:
    """Keeps the filters of the guests of one host.

    :param forget_tap: removes what libvirt left of the rules of a tap device that is gone.
    :param from_host: judges what the host sends to guests.
    :param sets: keeps the sets that filters refer to.
    :param kernel: has what libvirt makes of groups asked; the kernel's if None.
    """

    uses_filterref = True

    def __init__(
        self,
        libvirt_host: host.Host,
        forget_tap: ForgetTap,
        from_host: firewall_driver.FirewallDriver,
        sets: Sets = privileged_ipset,
        kernel: tracking.Tracking | None = None,
    ) -> None:
        self._tracking = kernel or tracking.KernelTracking()
        self._host = libvirt_host
        self._sets = sets
        self._forget_tap = forget_tap
        self._from_host = from_host
        self._lock = threading.RLock()
        self._wanted = filterplan.Wanted({}, {}, rules.Ruleset())
        self._in_force = filterplan.NOTHING
        self._is_settled = False

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        found = {name: list(nics) for name, nics in guests.items()}
        with self._lock:
            self._tracking.ensure()
            self._from_host.init_host(found, ruleset)
            self._prepare_host()
            wanted = filterplan.Wanted(
                {nic.device: nic for nics in found.values() for nic in nics},
                {nic.device: name for name, nics in found.items() for nic in nics},
                ruleset,
            )
            with tracking.reported():
                self._in_force = self._find(wanted)
            self._follow(wanted, '')
            with tracking.reported():
                self._remove_strangers()

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        now = list(nics)
        with self._lock:
            for nic in now:
                # An old chain would stand before the new one.
                self._forget_tap(nic.device)
            try:
                self._follow(self._wanted.merge(instance_name, now, (), ruleset), instance_name)
            finally:
                self._from_host.prepare(instance_name, now, ruleset)

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        now = list(nics)
        with self._lock:
            gone = self._wanted.devices_of(instance_name) - {nic.device for nic in now}
            try:
                self._follow(self._wanted.merge(instance_name, now, gone, ruleset), instance_name)
            finally:
                # Now, since it cuts connections, which the old rules would let be made again.
                self._from_host.apply(instance_name, now, ruleset)

    def refresh(self, ruleset: rules.Ruleset) -> None:
        with self._lock:
            try:
                self._follow(self._wanted.merge('', (), (), ruleset), '')
            finally:
                self._from_host.refresh(ruleset)

    def repair(self) -> bool:
        with self._lock:
            is_changed = self._tracking.ensure()
            is_changed |= self._from_host.repair()
            lost, unbound = self._lost(self._wanted.nics.values())
            # First those whose every frame passes.
            is_changed |= self._bind(unbound)
            self._is_settled = False
            if lost:
                LOG.warning('The rules of %s were lost.', ', '.join(sorted(lost)))
                # A filter that is defined again as it is libvirt leaves alone.
                self._follow(self._wanted, '', anew=lost)
            self._follow(self._wanted, '')
            return is_changed or bool(lost)

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        names = self._host.filter_names()
        end = filters.filter_name('', nic.first_hop.mac).removeprefix(filters.filter_name('', ''))
        has_own = any(filters.owner_of(name) and name.endswith(end) for name in names)
        plan = filterplan.build_plan([nic], {nic.device: ''}, ruleset)
        is_there = has_own and plan.groups.keys() <= names and not self._tracking.lost([nic])
        return is_there and self._from_host.holds(nic, ruleset)

    def drops(self) -> Mapping[str, int]:
        """As far as they are counted: what the filters themselves drop is not."""
        return self._from_host.drops()

    def drops_of(self, device: str) -> Mapping[str, int]:
        """As :meth:`drops`."""
        return self._from_host.drops_of(device)

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        with self._lock:
            owned = self._wanted.devices_of(instance_name)
            gone = owned if devices is None else set(devices)
            wanted = self._wanted.merge(instance_name, (), gone, self._wanted.ruleset)
            try:
                self._follow(wanted, instance_name)
                if devices is None:
                    self._remove_all(instance_name)
            finally:
                self._from_host.remove(instance_name, gone)
            for device in sorted(gone):
                self._forget_tap(device)

    def _lost(self, nics: Iterable[rules.NicPolicy]) -> tuple[set[str], set[str]]:
        """The devices of those whose rules are not there: for which libvirt has put a filter in
        force all the same, and for which it has not. NICs come and go while it is looked for them:
        one whose rules libvirt was busy with at the first look has them at the second, or is gone.
        """
        known = {nic.device: nic for nic in nics}
        suspects = self._tracking.lost(known.values())
        if not suspects:
            return set(), set()
        filtered = self._host.filtered_devices()
        lost = self._tracking.lost([known[device] for device in sorted(suspects)])
        return lost & filtered, lost - filtered

    def _bind(self, devices: Iterable[str]) -> bool:
        """Whether the filter of one of these was taken away, and is in force again. Others are
        plugged in or out just now. One that cannot be bound does not keep the others from it; it is
        tried again at the next look."""
        bound = False
        for device in sorted(devices):
            try:
                if self._host.filter_again(self._wanted.owners[device], device):
                    LOG.warning('Somebody had taken the filter of %s away.', device)
                    bound = True
            except exception.HypervisorError:
                LOG.exception('%s is not filtered', device)
        return bound

    # --- from one plan to the next

    def _follow(
        self, wanted: filterplan.Wanted, instance_name: str, anew: Collection[str] = ()
    ) -> None:
        """What cannot be put in force is left as it is, and all else is done nevertheless.

        :param anew: the devices whose rules libvirt is to make anew; to be followed once more.
        :raises FirewallSetupFailed: something that this instance needs could not.
        """
        if wanted == self._wanted and self._is_settled:
            return
        for rule in filterplan.inexpressible(wanted.ruleset, self._wanted.ruleset):
            LOG.warning('Rule %s admits nothing: a network filter cannot say it', rule.id)
        old = self._in_force
        new = filterplan.build_plan(wanted.nics.values(), wanted.owners, wanted.ruleset, anew)
        failed: dict[str, str] = {}
        sets = self._change_sets(old.sets, new.sets, failed)
        # First those that are referred to, last those that nobody refers to any more.
        groups = self._define(old.groups, new.groups, failed)
        nics = self._define(old.nics, new.nics, failed)
        nics |= self._undefine(old.nics.keys() - new.nics.keys(), old.nics, failed)
        groups |= self._undefine(old.groups.keys() - new.groups.keys(), old.groups, failed)
        left = self._remove_sets(sorted(old.sets.keys() - new.sets.keys()), failed)
        self._in_force = filterplan.Plan(
            sets | {name: old.sets[name] for name in left}, groups, nics
        )
        self._wanted, self._is_settled = wanted, not (failed or anew)
        for name, reason in failed.items():
            LOG.error('%s is not in force: %s', name, reason)
        needed = filterplan.plan_instance(wanted, instance_name) if failed else filterplan.NOTHING
        names = needed.sets.keys() | needed.groups.keys() | needed.nics.keys()
        for name in failed:
            if name in names or filters.owner_of(name) == instance_name:
                raise exception.FirewallSetupFailed(vif=instance_name, reason=failed[name])

    def _change_sets(
        self,
        old: Mapping[str, ipsets.IpSet],
        new: Mapping[str, ipsets.IpSet],
        failed: dict[str, str],
    ) -> dict[str, ipsets.IpSet]:
        """Those that are there as they should be."""
        changed = sorted(name for name, wanted in new.items() if old.get(name) != wanted)
        try:
            self._sets.ensure([new[name].values() for name in changed])
            return dict(new)
        except privileged.ERRORS:
            LOG.warning('Some set of addresses is refused; they are tried one by one.')
        done = {name: found for name, found in new.items() if name not in changed}
        for name in changed:
            try:
                self._sets.ensure([new[name].values()])
                done[name] = new[name]
            except privileged.ERRORS as exc:
                failed[name] = str(exc)
        return done

    def _define(
        self, old: Mapping[str, str], new: Mapping[str, str], failed: dict[str, str]
    ) -> dict[str, str]:
        """What is in force of ``new``."""
        done = {}
        for name, xml in new.items():
            try:
                if old.get(name) != xml:
                    self._host.define_filter(xml)
                done[name] = xml
            except exception.HypervisorError as exc:
                failed[name] = str(exc)
        return done

    def _undefine(
        self, names: Iterable[str], old: Mapping[str, str], failed: dict[str, str]
    ) -> dict[str, str]:
        """What is still there."""
        left = {}
        for name in sorted(names):
            if _left([name], self._undefine_once):
                failed[name] = 'it is still in use'
                left[name] = old[name]
        return left

    def _undefine_once(self, names: list[str]) -> list[str]:
        return [name for name in names if not self._host.undefine_filter(name)]

    def _remove_sets(self, names: list[str], failed: dict[str, str]) -> list[str]:
        """Those that are still there."""
        try:
            left = _left(names, self._sets.remove)
        except privileged.ERRORS as exc:
            failed |= dict.fromkeys(names, str(exc))
            return names
        failed |= dict.fromkeys(left, 'it is still in use')
        return left

    # --- what is shared, and what is not ours any more

    def _prepare_host(self) -> None:
        with tracking.reported():
            there = set(self._sets.list_names())
            missing = [used for used in filters.SHARED_SETS if used.name not in there]
            self._sets.ensure([used.values() for used in missing])
            known = self._host.filter_names()
            for shared in filters.SHARED:
                if shared.name not in known:
                    self._host.define_filter(shared.xml)

    def _find(self, wanted: filterplan.Wanted) -> filterplan.Plan:
        """What there is of this, as far as it would be made anew otherwise: filters are left alone
        by libvirt, but a set is replaced."""
        sets = filterplan.build_plan(wanted.nics.values(), wanted.owners, wanted.ruleset).sets
        equal = self._sets.find_equal([used.values() for used in sets.values()])
        return dataclasses.replace(filterplan.NOTHING, sets={name: sets[name] for name in equal})

    def _remove_strangers(self) -> None:
        """Filters of guests that are no more, and of former versions. libvirt keeps those that a
        domain still uses."""
        plan = self._in_force
        kept = {shared.name for shared in filters.SHARED} | plan.groups.keys() | plan.nics.keys()
        # In the order in which they refer to each other.
        for pattern in (filters.NIC_NAME, groupfilters.NAME, filters.SHARED_NAME):
            for name in sorted(self._host.filter_names() - kept):
                if pattern.fullmatch(name) and self._host.undefine_filter(name):
                    LOG.info('Removed the network filter %s, which no NIC has.', name)
        used = {used.name for used in filters.SHARED_SETS} | plan.sets.keys()
        self._sets.remove(sorted(set(self._sets.list_names()) - used))

    def _remove_all(self, instance_name: str) -> None:
        """Filters of the instance's that this process has not made."""
        names = self._host.filter_names() - self._in_force.nics.keys()
        strange = sorted(name for name in names if filters.owner_of(name) == instance_name)
        if left := _left(strange, self._undefine_once):
            raise exception.FirewallSetupFailed(vif=left[0], reason='its filter is still in use')


def _left(names: list[str], remove: Callable[[list[str]], list[str]]) -> list[str]:
    """What ``remove`` could not remove within the time that a release may take."""
    deadline = time.monotonic() + _RELEASE_TIMEOUT_S
    while names:
        names = remove(names)
        if not names or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return names
