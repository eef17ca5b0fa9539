"""What a guest may not do, done from each of its NICs; it is looked for on its host and on another.

The outcome of each driver is a file of nova/tests/data/attacks, which ``--regenerate`` writes, and
of which the page doc/source/firewall-attacks.rst is made
(nova/tests/functional/test_attack_page.py).
"""

from __future__ import annotations

from collections.abc import Callable
import json
from typing import Any

import pytest

from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import interpreter, rules
from nova.tests.integration.firewall import attacks, packets, scenes
from nova.tests.integration.firewall.conftest import Case, World
from nova.tests.integration.firewall.stage import NICS, PLACES, Stage

pytestmark = pytest.mark.root

HOSTS = 'Services of the hosts'
NETWORKS = 'Packets for other networks, by way of a host that routes'


class Outcome:
    """``rows`` are the attacks: how many frames each NIC sends (None: those of a kernel), and by
    place whether NIC 0, 1... was held. ``leaks`` tells what was seen."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.leaks: list[tuple[str, str, int, str]] = []

    def add(self, row: str, number: int, held: scenes.Held, frames: int | None = None) -> None:
        """What is found again about a NIC counts as well."""
        known = self.rows.setdefault(row, {'frames': frames} | {p: [] for p in PLACES})
        for place in PLACES:
            if len(known[place]) == number:
                known[place].append(held[place])
            else:
                known[place][number] &= held[place]

    def unheld(self) -> set[str]:
        return {row for row, found in self.rows.items() if not all(all(found[p]) for p in PLACES)}


def attack(stage: Stage) -> Outcome:
    """Everything from every NIC."""
    outcome = Outcome()
    for number, (nic, victim) in enumerate(zip(stage.nics, stage.neighbours, strict=True)):
        other = stage.nics[(number + 1) % NICS]
        for row, frames in attacks.build_attacks(nic, other, victim).items():
            seen = stage.send(number, *frames)
            outcome.leaks += [(row, p, number, f.hex()) for p, fs in seen.items() for f in fs]
            outcome.add(row, number, {p: not found for p, found in seen.items()}, len(frames))
            learned = {
                mac
                for world in (stage.here, stage.there)
                for mac in world.learned(nic.bridge)
                if mac.startswith('fa:16:3e')
            }
            if not learned <= {nic.first_hop.mac}:
                outcome.leaks.append((row, 'learned', number, ' '.join(sorted(learned))))
            stage.settle(number)
    for number in range(NICS):
        outcome.add(attacks.FORWARDING, number, scenes.forward_and_bridge(stage, number))
        outcome.add(attacks.OTHER_ADDRESS, number, scenes.answer_for_another(stage, number))
        stage.settle(number)
    with scenes.routing(stage) as heard:
        for number in range(NICS):
            outcome.add(HOSTS, number, scenes.ask_hosts(stage, number, heard))
            outcome.add(NETWORKS, number, scenes.cross_networks(stage, number))
    return outcome


def test_attacks(
    world: World,
    other_host: World,
    driver: firewall_driver.FirewallDriver,
    case: Case,
    golden: Callable[[str, str], None],
) -> None:
    stage = Stage(world, other_host)
    stage.protect(driver)
    stage.plug()

    outcome = attack(stage)

    leaks = [leak for leak in outcome.leaks if leak[0] not in case.unheld]
    assert leaks == []
    assert outcome.unheld() == set(case.unheld)
    for row, reason in case.unheld.items():
        outcome.rows[row]['reason'] = reason
    text = json.dumps({'driver': case.name, 'rows': outcome.rows}, indent=1)
    golden(f'attacks/{case.name}.json', text + '\n')


def test_all_of_it_succeeds_where_there_is_no_firewall(world: World, other_host: World) -> None:
    stage = Stage(world, other_host)
    stage.plug()

    outcome = attack(stage)

    assert outcome.unheld() == set(outcome.rows)
    for place in PLACES:
        held = {row for row, found in outcome.rows.items() if any(found[place])}
        assert held == set(), place


def test_the_reference_refuses_every_frame() -> None:
    nic, other, victim = packets.nic(0), packets.nic(1), packets.nic(10, 0)
    allowed = [
        (row, frame.hex())
        for row, frames in attacks.build_attacks(nic, other, victim).items()
        for frame in frames
        if interpreter.judge(frame, rules.Direction.EGRESS, nic, rules.Ruleset()).allowed
    ]
    assert allowed == []
