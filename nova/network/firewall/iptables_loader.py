"""Brings the chains and sets of :mod:`nova.network.firewall.iptables_plan` into the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import time

from oslo_log import log as logging

from nova import privileged
from nova.network.firewall import iptables_plan, iptables_text, rules
from nova.privileged import ipset
from nova.privileged import iptables as privileged_iptables

LOG = logging.getLogger(__name__)

#: Seconds for which a set may seem to be in use after its rules are gone; then it is for later.
_RELEASE_TIMEOUT_S = 1.0

#: What a change may fail for: the system refuses it, or it says what cannot be.
_FAILURES: tuple[type[Exception], ...] = (*privileged.ERRORS, ValueError)

_Hooks = Mapping[int, frozenset[tuple[str, str]]]


class Loader:
    """For one caller at a time.

    :param backend: see :mod:`nova.privileged.iptables`.
    :ivar host: what is in force.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self.host = iptables_plan.Host()
        # What is in the kernel; None until it has been read, and after a failure.
        self._there: iptables_plan.Contents | None = None
        # Sets that no rule of ours refers to any more.
        self._unused: set[str] = set()

    def distrust(self) -> None:
        """Have the next load make all of what is there as it should be, whatever it is."""
        self._there = None

    def load(self, changes: Sequence[iptables_plan.Change]) -> Mapping[int, Exception]:
        """Take these over, all at once; or, when that fails, those that can be loaded.

        :returns: why others could not, by their places. They have changed nothing.
        :raises OSError: nothing could be loaded at all.
        """
        parts: set[iptables_plan.Part] = set()
        undo = []
        try:
            for change in changes:
                found, inverse = self.host.change(change)
                parts |= found
                undo.append(inverse)
            self._bring(parts)
        except _FAILURES as exc:
            self._undo(undo)
            if not changes:
                raise
            LOG.warning('%d changes cannot be loaded together: %s', len(changes), exc)
            return self._load_singly(changes)
        return {}

    def _undo(self, changes: Sequence[iptables_plan.Change]) -> None:
        for change in reversed(changes):
            self.host.change(change)

    def _load_singly(self, changes: Sequence[iptables_plan.Change]) -> Mapping[int, Exception]:
        """First the chains of each change, to which no packet comes yet; then, together, the way to
        those that were loaded. Meanwhile all that was in force is."""
        failures: dict[int, Exception] = {}
        done = []
        failed_groups: dict[str, Exception] = {}
        for place, change in enumerate(changes):
            if cause := _cause(change, failed_groups):
                failures[place] = cause
                continue
            inverse: iptables_plan.Change | None = None
            try:
                parts, inverse = self.host.change(change)
                if self._there is None:
                    self._there, _hooks = self._read(self._wanted())
                self._apply(_only_new(self.host.contents(parts)))
            except _FAILURES as exc:
                failures[place] = exc
                self._undo([] if inverse is None else [inverse])
                if isinstance(change, iptables_plan.GroupChange):
                    failed_groups[change.group_id] = exc
            else:
                done.append(inverse)
        try:
            self.repair()
        except privileged.ERRORS:
            self._undo(done)
            raise
        return failures

    def repair(self) -> bool:
        """Make all that is there what it should be.

        :returns: whether it was not.
        :raises OSError: it could not be made so.
        """
        wanted = self._wanted()
        self._there, hooks = self._read(wanted)
        for chain in self._there.chains.keys() - wanted.chains.keys():
            wanted.chains[chain] = None
        for name in self._there.sets.keys() - wanted.sets.keys():
            wanted.sets[name] = None
        return self._apply(wanted, hooks)

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        """Whether all that this NIC needs is there. Nothing is changed.

        :raises OSError: it cannot be read.
        """
        host = iptables_plan.Host()
        host.change(iptables_plan.ProviderChange(ruleset.provider))
        for group in ruleset.groups:
            host.change(iptables_plan.GroupChange(group.id, group))
        host.change(iptables_plan.NicChange(nic.device, nic))
        wanted = host.contents(host.parts())
        there, hooks = self._read(wanted)
        return (
            wanted.sets.items() <= there.sets.items()
            and not any(iptables_text.render_hooks(found) for found in hooks.values())
            and all(_includes(there.chains.get(c), body) for c, body in wanted.chains.items())
        )

    def _bring(self, parts: Iterable[iptables_plan.Part]) -> None:
        if self._there is None:
            self.repair()
            return
        try:
            self._apply(self.host.contents(parts))
        except privileged.ERRORS as exc:
            LOG.warning('The tables may not be as they were left, and are repaired: %s', exc)
            self.repair()

    def _read(self, wanted: iptables_plan.Contents) -> tuple[iptables_plan.Contents, _Hooks]:
        found = iptables_plan.Contents()
        hooks = {}
        for version in iptables_plan.VERSIONS:
            text = privileged_iptables.read(self._backend, version)
            found.chains.update(iptables_text.parse_chains(text, version, wanted))
            hooks[version] = iptables_text.parse_hooks(text)
        found.sets.update(iptables_text.parse_sets(ipset.read()))
        return found, hooks

    def _wanted(self) -> iptables_plan.Contents:
        return self.host.contents(self.host.parts())

    def _apply(self, wanted: iptables_plan.Contents, hooks: _Hooks | None = None) -> bool:
        """Bring ``wanted`` about, and the jumps to our chains, should ``hooks`` miss some.

        :returns: whether there was something to do.
        """
        there, self._there = self._there, None
        if there is None:
            raise RuntimeError('what is in the kernel has not been read')
        batch = iptables_text.render_change(there, wanted)
        tables = dict(batch.tables)
        for version, found in (hooks or {}).items():
            if missing := iptables_text.render_hooks(found):
                tables[version] = (*tables.get(version, ()), *missing)
        if batch.sets:
            ipset.change(batch.sets)
        if tables:
            privileged_iptables.change(self._backend, tables)
        is_new = bool(set(batch.unused) - self._unused)
        self._unused -= {name for name, *_rest in batch.sets}
        self._unused.update(batch.unused)
        self._remove_unused()
        there.update(wanted)
        self._there = there
        return bool(batch.sets or tables or is_new)

    def _remove_unused(self) -> None:
        """The kernel lets go of a rule's set some time after the rule is gone."""
        deadline = time.monotonic() + _RELEASE_TIMEOUT_S
        while self._unused:
            self._unused = set(ipset.remove(sorted(self._unused)))
            if not self._unused or time.monotonic() > deadline:
                return
            time.sleep(0.01)


def _includes(there: iptables_plan.Body | None, wanted: iptables_plan.Body | None) -> bool:
    """Whether the rules that one NIC needs are among those of a chain."""
    if isinstance(there, frozenset) and isinstance(wanted, frozenset):
        return wanted <= there
    return there == wanted


def _only_new(contents: iptables_plan.Contents) -> iptables_plan.Contents:
    """Chains and sets that come or change, but for those that lead to others."""
    return iptables_plan.Contents(
        chains={
            chain: body
            for chain, body in contents.chains.items()
            if body is not None and not iptables_plan.is_way(chain[1])
        },
        sets={name: members for name, members in contents.sets.items() if members is not None},
    )


def _cause(
    change: iptables_plan.Change, failed_groups: Mapping[str, Exception]
) -> Exception | None:
    """Why a NIC does not follow: a group of its does not."""
    policy = change.policy if isinstance(change, iptables_plan.NicChange) else None
    groups = (policy.groups if policy is not None else None) or ()
    return next((failed_groups[group] for group in groups if group in failed_groups), None)
