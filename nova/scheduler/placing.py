"""Which host takes an instance. Pure: values in, values out.

A filter says whether a host can take the instance at all; a weight says how good it would be. A new
rule is a new function in one of the two tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses

from nova.db import records


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """How often each thing a host has may be claimed."""

    cpu: float
    ram: float
    disk: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that may be claimed of a host in all."""

    vcpus: int
    memory_mb: int
    disk_gb: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """A compute node as the scheduler sees it."""

    node: records.ComputeNode
    limits: Limits
    up: bool
    enabled: bool

    @property
    def host(self) -> str:
        """The name of the host."""
        return self.node.host


Filter = Callable[[HostState, records.Flavor], bool]
Weight = Callable[[HostState, records.Flavor], float]


def build_host_state(
    node: records.ComputeNode, ratios: Ratios, *, up: bool, enabled: bool
) -> HostState:
    """Join what a node has with what the operator allows to be claimed of it."""
    limits = Limits(
        vcpus=int(node.vcpus * ratios.cpu),
        memory_mb=int(node.memory_mb * ratios.ram),
        disk_gb=int(node.disk_gb * ratios.disk),
    )
    return HostState(node=node, limits=limits, up=up, enabled=enabled)


def is_serving(state: HostState, _flavor: records.Flavor) -> bool:
    """Whether the compute service there takes instances now."""
    return state.up and state.enabled


def is_cpu_left(state: HostState, flavor: records.Flavor) -> bool:
    """Whether the claims of processors stay within the limit."""
    return state.node.vcpus_used + flavor.vcpus <= state.limits.vcpus


def is_memory_left(state: HostState, flavor: records.Flavor) -> bool:
    """Whether the claims of memory stay within the limit."""
    return state.node.memory_mb_used + flavor.memory_mb <= state.limits.memory_mb


def is_disk_left(state: HostState, flavor: records.Flavor) -> bool:
    """Whether the claims of disk stay within the limit."""
    return state.node.disk_gb_used + flavor.root_gb <= state.limits.disk_gb


def weigh_free_memory(state: HostState, _flavor: records.Flavor) -> float:
    """The share of the host's memory that is not claimed: spreads instances."""
    return 1 - state.node.memory_mb_used / max(state.limits.memory_mb, 1)


FILTERS: dict[str, Filter] = {
    'the service is up and enabled': is_serving,
    'enough processors': is_cpu_left,
    'enough memory': is_memory_left,
    'enough disk': is_disk_left,
}
WEIGHTS: Sequence[Weight] = (weigh_free_memory,)


def choose_hosts(states: Iterable[HostState], flavor: records.Flavor) -> list[HostState]:
    """The hosts that pass every filter, the best first; equals in the order of their names."""
    fit = [s for s in states if all(test(s, flavor) for test in FILTERS.values())]
    return sorted(fit, key=lambda s: (-sum(weigh(s, flavor) for weigh in WEIGHTS), s.host))


def explain_refusal(states: Iterable[HostState], flavor: records.Flavor) -> str:
    """For an operator: how many hosts were left after each filter."""
    left = list(states)
    counts = [f'{len(left)} host(s)']
    for name, test in FILTERS.items():
        left = [state for state in left if test(state, flavor)]
        counts.append(f'{len(left)} with: {name}')
    return ', '.join(counts)
