"""What a guest may not send, sent from each of its NICs, and looked for everywhere.

The outcome is the table of doc/source/firewall-attacks.rst, which ``--regenerate`` writes.
"""

from __future__ import annotations

import pathlib

import pytest

from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import interpreter, rules
from nova.tests import conftest as tests_conftest
from nova.tests.integration.firewall import attacks, packets
from nova.tests.integration.firewall.conftest import DRIVERS, World, run

pytestmark = pytest.mark.root

_PAGE = pathlib.Path(__file__).parents[4] / 'doc/source/firewall-attacks.rst'
_HEAD = """\
.. Written by nova/tests/integration/firewall/test_attacks.py; --regenerate writes it again.

What guests may not send
========================

Each row is a family of frames that every NIC of a guest with three sends, on the bridge of its
network. A victim on the same bridge, the way to other hosts (the bridge's uplink) and the bridge's
table of addresses are watched. *held* means that nothing of it came through; the number is that of
the different frames sent from each NIC. The same test sends them without a firewall, and sees them
come through.

"""
_NICS = 3


def test_attacks(
    world: World,
    driver: firewall_driver.FirewallDriver,
    driver_name: str,
    request: pytest.FixtureRequest,
) -> None:
    nics = [packets.nic(number) for number in range(_NICS)]
    victims = [packets.nic(10 + number, number) for number in range(_NICS)]
    for nic in nics:
        world.bridge(nic.bridge)
    driver.prepare('instance-00000001', nics, rules.Ruleset())
    driver.prepare('instance-00000002', victims, rules.Ruleset())
    results: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    wrong = []
    for number, (nic, victim) in enumerate(zip(nics, victims, strict=True)):
        sender = world.port(nic.device, nic.bridge)
        watchers = [
            world.port(victim.device, nic.bridge),
            world.port(f'uplink{number}', nic.bridge),
        ]
        other = nics[(number + 1) % _NICS]
        for row, frames in attacks.build_attacks(nic, other, victim).items():
            for watcher in watchers:
                watcher.drain()
            last = packets.mark(nic.first_hop.mac, packets.v4(nic), 1)
            sender.send(*frames, last)
            leaked = [frame.hex() for watcher in watchers for frame in watcher.until(last)]
            counts[row] = len(frames)
            results.setdefault(row, []).append('held' if not leaked else 'NOT HELD')
            wrong += [(row, number, frame) for frame in leaked]
            wrong += [(row, number, frame.hex()) for frame in frames if _reference(frame, nic)]
        known = {nic.first_hop.mac}
        learned = {mac for mac in world.learned(nic.bridge) if mac.startswith('fa:16:3e')}
        assert learned <= known, learned
    assert wrong == []
    if driver_name == max(DRIVERS):
        text = _render(driver_name, results, counts)
        regenerate = bool(request.config.getoption('--regenerate'))
        tests_conftest.compare_golden(_PAGE, text, regenerate=regenerate)


def test_they_come_through_where_there_is_no_firewall(world: World) -> None:
    nic, other, victim = packets.nic(0), packets.nic(1), packets.nic(10, 0)
    world.bridge(nic.bridge)
    sender, watcher = world.port(nic.device, nic.bridge), world.port('uplink', nic.bridge)
    for row, frames in attacks.build_attacks(nic, other, victim).items():
        last = packets.mark(nic.first_hop.mac, packets.v4(nic), 1)
        watcher.drain()
        sender.send(*frames, last)
        assert watcher.until(last), row
        # Or the bridge would believe that the victim is where its address was used.
        run('ip', 'link', 'set', nic.bridge, 'type', 'bridge', 'fdb_flush')


def _reference(frame: bytes, nic: rules.NicPolicy) -> bool:
    """Whether the interpreter would let it pass."""
    return interpreter.judge(frame, rules.Direction.EGRESS, nic, rules.Ruleset()).allowed


def _render(driver_name: str, results: dict[str, list[str]], counts: dict[str, int]) -> str:
    lines = [f'.. list-table:: {driver_name}', '   :header-rows: 1', '']
    header = ['Attack', 'Frames', *(f'NIC {number}' for number in range(_NICS))]
    for cells in (header, *([row, str(counts[row]), *found] for row, found in results.items())):
        lines += [f'   {"* " if first else "  "}- {cell}' for first, cell in _numbered(cells)]
    return _HEAD + '\n'.join(lines) + '\n'


def _numbered(cells: list[str]) -> list[tuple[bool, str]]:
    return [(place == 0, cell) for place, cell in enumerate(cells)]
