"""NICs that come and go while a guest runs, and guests that are stopped and started."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

import pytest

from lab.guest_console import Console
from lab.guest_report import parse_reports
from nova.tests.integration.virt.conftest import NOTHING, Bench
from nova.tests.integration.virt.test_filters import udp
from nova.tests.integration.virt.test_guests import NAME, read_report, read_rules

pytestmark = pytest.mark.root

Traces = Callable[[], dict[str, list[str]]]


def test_attach_and_detach(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=1)
    before = {kind: list(found) for kind, found in clean().items()}
    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
        for _ in range(2):
            bench.call('attach', nics=1, nic=1)
            bench.call('attach', nics=1, nic=1)  # once more changes nothing
            (report,) = parse_reports(console.run('sleep 1; scan; report', 60).output)
            first, second = report.nics
            assert (second.mac, second.pci) == ('fa:16:3e:01:00:01', '0000:00:11.0')
            assert second.address == '10.1.0.10/24'
            assert second.gateway_answers
            assert first.address == '10.0.0.10/24'
            assert bench.call('detach', nic=1, timeout_s=60) is True
            assert bench.call('detach', nic=1, timeout_s=0) is True
            assert clean() == before
    bench.call('destroy', nics=1)
    assert clean() == NOTHING


def test_a_slot_that_is_not_the_index(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=1)
    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
        bench.call('attach', nic=2, slot=15)
        (report,) = parse_reports(console.run('sleep 1; scan; report', 60).output)
    assert [nic.pci for nic in report.nics] == ['0000:00:10.0', '0000:00:1f.0']
    bench.call('destroy', nics=1)
    assert clean() == NOTHING


def test_a_deaf_guest_keeps_its_nic_until_it_hears(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=2)
    read_report(bench)
    bench.virsh('suspend', NAME)
    assert bench.call('detach', nic=1, timeout_s=1) is False
    assert len(clean()['filters']) == 2
    assert bench.call('detach', nic=1, timeout_s=0) is False
    bench.virsh('resume', NAME)
    assert bench.call('detach', nic=1, timeout_s=60) is True
    assert len(clean()['filters']) == 1
    bench.call('destroy', nics=1)
    assert clean() == NOTHING


def test_what_libvirt_refuses(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=1)
    before = {kind: list(found) for kind, found in clean().items()}
    # There is no bridge br103.
    assert bench.outcome('attach', nic=3)['error'] == 'HypervisorError'
    assert bench.call('detach', nic=3, timeout_s=0) is True
    assert clean() == before
    bench.call('destroy', nics=1)


def test_a_stopped_guest(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=1)
    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
    bench.call('power_off', timeout_s=0)
    assert bench.call('state') == 'SHUTDOWN'
    bench.call('power_off', timeout_s=5)
    bench.call('attach', nic=1)
    bench.call('attach', nic=2)
    assert bench.call('detach', nic=2, timeout_s=0) is True
    bench.call('power_on', nics=2)
    bench.call('power_on', nics=2)
    report = read_report(bench, boots=2)
    assert report.boot_count == 2
    assert [nic.address for nic in report.nics] == ['10.0.0.10/24', '10.1.0.10/24']
    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
        # it has to shut down by itself: this test is not given so much time
        bench.call('power_off', timeout_s=3600)
    assert bench.call('state') == 'SHUTDOWN'
    bench.call('destroy', nics=2)
    assert clean() == NOTHING


def test_further_addresses_and_no_open_moment(bench: Bench, clean: Traces) -> None:
    """What a NIC may send changes while it runs, and at no moment may it send anything else."""
    bench.call('spawn', nics=1)

    def frame(source: str) -> str:
        return udp(source, '10.0.0.1', 4000, 4001).hex()

    def seen(source: str) -> bool:
        with bench.frames('watch', 'br100') as watching:
            assert watching.stdout is not None
            watching.stdout.readline()
            console.run(f'inject eth0 {frame(source)}')
            time.sleep(0.5)
            watching.terminate()
            return frame(source) in watching.communicate()[0]

    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
        assert seen('10.0.0.10')
        assert not seen('10.0.0.99')
        rules = read_rules(bench)
        bench.call('update', nic=0, further=['10.0.0.99'])
        assert seen('10.0.0.10')
        assert seen('10.0.0.99')
        assert not seen('10.0.0.77')
        with bench.frames('watch', 'br100') as watching:
            assert watching.stdout is not None
            watching.stdout.readline()
            done = threading.Event()

            def flood() -> None:
                forged = frame('10.0.0.77')
                while not done.is_set():
                    console.run(f'for i in 1 2 3 4 5 6 7 8 9 10; do inject eth0 {forged}; done')

            thread = threading.Thread(target=flood)
            thread.start()
            for further in ([], ['10.0.0.99'], []):
                bench.call('update', nic=0, further=further)
            done.set()
            thread.join()
            watching.terminate()
            assert frame('10.0.0.77') not in watching.communicate()[0]
        assert not seen('10.0.0.99')
    assert read_rules(bench) == rules
    bench.call('destroy', nics=1)
    assert clean() == NOTHING
