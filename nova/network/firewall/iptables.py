"""The driver for iptables and ip6tables: :mod:`nova.network.firewall.iptables_plan`, put in force.

The first-hop stage, and the separation of networks from each other in conntrack, are those of the
nftables driver, which this one asks to drop whatever new connection these rules have not marked.
A host without nftables has no networks either, since it keeps them apart.

Of what is there only the chains that differ are loaded, by one writer for all callers. The tables
are read when the service starts, and after somebody else has changed ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import threading

from oslo_log import log as logging

from nova import exception, privileged
from nova.network.firewall import iptables_loader, iptables_plan, nftables, rules, writer
from nova.privileged import nft as privileged_nft

LOG = logging.getLogger(__name__)


class IptablesFirewall:
    """Keeps the NICs of one host.

    :param backend: which iptables, see :mod:`nova.privileged.iptables`.
    """

    uses_filterref = False

    def __init__(self, backend: str = 'system') -> None:
        self._loader = iptables_loader.Loader(backend)
        self._writer = writer.Writer(self._loader.load)
        self._first_hop = nftables.NftablesFirewall(groups_elsewhere=True)
        self._lock = threading.Lock()
        # The devices of each instance.
        self._devices: dict[str, set[str]] = {}
        # What is in force, and what was given when it last all came into force.
        self._ruleset = rules.Ruleset()
        self._given: rules.Ruleset | None = None

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        _require_bridged_packets()
        found = {name: list(nics) for name, nics in guests.items()}
        now = [nic for nics in found.values() for nic in nics]
        gone = self._loader.host.nics.keys() - {nic.device for nic in now}
        with self._lock:
            self._devices = {name: {nic.device for nic in nics} for name, nics in found.items()}
        self._loader.distrust()
        failures = self._load(now, gone, ruleset)
        held = {name: self._held(nics) for name, nics in found.items()}
        self._first_hop.init_host(held, self._in_force())
        for name, exc in failures.items():
            LOG.error('%s is not as it should be, and stays closed if it is new: %s', name, exc)

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        now = list(nics)
        self._own(instance_name, now)
        failures = self._load(now, (), ruleset)
        self._first_hop.prepare(instance_name, self._held(now), self._in_force())
        _raise(failures)

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        now = list(nics)
        gone = self._devices_of(instance_name) - {nic.device for nic in now}
        self._own(instance_name, now)
        failures = self._load(now, gone, ruleset)
        self._first_hop.apply(instance_name, self._held(now), self._in_force())
        self._disown(instance_name, gone)
        _raise(failures)

    def refresh(self, ruleset: rules.Ruleset) -> None:
        failures = self._load((), (), ruleset, all_groups=True)
        self._first_hop.refresh(self._in_force())
        _raise(failures)

    def repair(self) -> bool:
        with self._reported(), self._writer.alone():
            found = self._loader.repair()
        return self._first_hop.repair() or found

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        with self._reported():
            is_there = self._loader.holds(nic, ruleset)
        return is_there and self._first_hop.holds(nic, ruleset)

    def drops(self) -> Mapping[str, int]:
        return self._first_hop.drops()

    def drops_of(self, device: str) -> Mapping[str, int]:
        return self._first_hop.drops_of(device)

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        owned = self._devices_of(instance_name)
        gone = owned if devices is None else owned & set(devices)
        self._first_hop.remove(instance_name, gone)
        failures = self._load((), gone)
        self._disown(instance_name, gone - failures.keys())
        _raise(failures)

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """What the system refuses, as the error of the port."""
        try:
            yield
        except privileged.ERRORS as exc:
            raise exception.FirewallSetupFailed(vif='every interface', reason=str(exc)) from exc

    # --- whose NICs are whose

    def _own(self, instance_name: str, nics: Iterable[rules.NicPolicy]) -> None:
        with self._lock:
            self._devices.setdefault(instance_name, set()).update(nic.device for nic in nics)

    def _disown(self, instance_name: str, devices: Iterable[str]) -> None:
        with self._lock:
            kept = self._devices.pop(instance_name, set()) - set(devices)
            if kept:
                self._devices[instance_name] = kept

    def _devices_of(self, instance_name: str) -> set[str]:
        with self._lock:
            return set(self._devices.get(instance_name, ()))

    # --- what is in force

    def _held(self, nics: Iterable[rules.NicPolicy]) -> list[rules.NicPolicy]:
        """These NICs as they are in force, without those that are not."""
        found = (self._loader.host.nics.get(nic.device) for nic in nics)
        return [nic for nic in found if nic is not None]

    def _in_force(self) -> rules.Ruleset:
        """The same object until something changes."""
        host = self._loader.host
        if host.groups_changed:
            host.groups_changed = False
            self._ruleset = rules.Ruleset(
                groups=tuple(host.groups[group_id] for group_id in sorted(host.groups)),
                provider=host.provider,
            )
        return self._ruleset

    def _load(
        self,
        now: Iterable[rules.NicPolicy],
        gone: Iterable[str],
        ruleset: rules.Ruleset | None = None,
        *,
        all_groups: bool = False,
    ) -> dict[str, Exception]:
        """Have the writer load what is new in this.

        :param all_groups: whether a group that fails counts, even if it is of none of these NICs.
        :returns: why NICs, by their devices, do not follow; groups by their ids.
        """
        changes: list[iptables_plan.Change] = []
        if ruleset is not None and ruleset is not self._given:
            known = self._loader.host.groups
            groups = [rules.keep_members(known.get(group.id), group) for group in ruleset.groups]
            changes += [
                iptables_plan.GroupChange(group.id, group)
                for group in groups
                if known.get(group.id) != group
            ]
            changes.append(iptables_plan.ProviderChange(ruleset.provider))
        changes += [iptables_plan.NicChange(nic.device, nic) for nic in now]
        changes += [iptables_plan.NicChange(device, None) for device in sorted(gone)]
        try:
            failures = self._writer.submit(changes)
        except privileged.ERRORS as exc:
            raise exception.FirewallSetupFailed(vif=_names(changes), reason=str(exc)) from exc
        if ruleset is not None and not _has_groups(changes[place] for place in failures):
            self._given = ruleset
        return {
            _name(changes[place]): exc
            for place, exc in failures.items()
            if all_groups or isinstance(changes[place], iptables_plan.NicChange)
        }


def _require_bridged_packets() -> None:
    """Without them the groups would close every NIC to whatever is new."""
    try:
        if privileged_nft.ensure_bridged_packets_tracked():
            return
        reason = (
            'this kernel hands no bridged packets to iptables; load the module br_netfilter, or '
            'choose another [firewall] driver'
        )
    except privileged.ERRORS as exc:
        reason = f'bridged packets cannot be handed to iptables (net.bridge): {exc}'
    raise exception.FirewallSetupFailed(vif='every interface', reason=reason)


def _has_groups(changes: Iterable[iptables_plan.Change]) -> bool:
    return not all(isinstance(change, iptables_plan.NicChange) for change in changes)


def _name(change: iptables_plan.Change) -> str:
    match change:
        case iptables_plan.NicChange(device):
            return device
        case iptables_plan.GroupChange(group_id):
            return f'group {group_id}'
        case _:
            return 'provider rules'


def _names(changes: Iterable[iptables_plan.Change]) -> str:
    return ', '.join(map(_name, changes)) or 'every interface'


def _raise(failures: Mapping[str, Exception]) -> None:
    if failures:
        reason = '; '.join(dict.fromkeys(str(exc) for exc in failures.values()))
        raise exception.FirewallSetupFailed(vif=', '.join(failures), reason=reason[:2000])
