from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nova.db import records
from nova.scheduler import placing

FLAVOR = records.Flavor(id=1, flavorid='1', name='f', memory_mb=1024, vcpus=2, root_gb=10)
RATIOS = placing.Ratios(cpu=2.0, ram=1.0, disk=1.0)


def state(
    host: str = 'h',
    *,
    vcpus_used: int = 0,
    memory_mb_used: int = 0,
    disk_gb_used: int = 0,
    up: bool = True,
    enabled: bool = True,
) -> placing.HostState:
    node = records.ComputeNode(
        id=1,
        uuid=host,
        host=host,
        hypervisor_type='QEMU',
        hypervisor_version=1,
        vcpus=4,
        memory_mb=4096,
        disk_gb=40,
        vcpus_used=vcpus_used,
        memory_mb_used=memory_mb_used,
        disk_gb_used=disk_gb_used,
        instances=0,
    )
    return placing.build_host_state(node, RATIOS, up=up, enabled=enabled)


def chosen(*states: placing.HostState) -> list[str]:
    return [s.host for s in placing.choose_hosts(states, FLAVOR)]


def test_limits_follow_the_ratios() -> None:
    assert state().limits == placing.Limits(vcpus=8, memory_mb=4096, disk_gb=40)


def test_the_host_with_most_free_memory_comes_first_and_equals_by_name() -> None:
    assert chosen(state('b'), state('a'), state('full', memory_mb_used=1024)) == ['a', 'b', 'full']


def test_hosts_that_are_down_disabled_or_full_are_left_out() -> None:
    assert chosen(state('down', up=False), state('disabled', enabled=False)) == []
    assert chosen(state('cpu', vcpus_used=7), state('exactly', vcpus_used=6)) == ['exactly']
    assert chosen(state('ram', memory_mb_used=3073), state('exactly', memory_mb_used=3072)) == [
        'exactly'
    ]
    assert chosen(state('disk', disk_gb_used=31), state('exactly', disk_gb_used=30)) == ['exactly']


def test_a_refusal_says_which_filter_emptied_the_list() -> None:
    states = [state('a', up=False), state('b', vcpus_used=8)]
    assert placing.explain_refusal(states, FLAVOR) == (
        '2 host(s), 1 with: the service is up and enabled, 0 with: enough processors, '
        '0 with: enough memory, 0 with: enough disk'
    )


@given(used=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5000), st.integers(0, 50))))
def test_a_chosen_host_never_ends_above_its_limits(used: list[tuple[int, int, int]]) -> None:
    states = [
        state(str(i), vcpus_used=cpu, memory_mb_used=ram, disk_gb_used=disk)
        for i, (cpu, ram, disk) in enumerate(used)
    ]
    for s in placing.choose_hosts(states, FLAVOR):
        assert s.node.vcpus_used + FLAVOR.vcpus <= s.limits.vcpus
        assert s.node.memory_mb_used + FLAVOR.memory_mb <= s.limits.memory_mb
        assert s.node.disk_gb_used + FLAVOR.root_gb <= s.limits.disk_gb
