"""Guests on a real libvirtd: made with every NIC in its place, and gone without a trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab import guest_report, libvirtd
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.tests.integration.virt.conftest import NOTHING, Bench

pytestmark = pytest.mark.root

Traces = Callable[[], dict[str, list[str]]]
NAME = 'instance-00000001'


def read_report(bench: Bench, boots: int = 1) -> guest_report.Report:
    """The guest's report of its boot number ``boots``, by way of the driver."""

    def reports() -> list[guest_report.Report]:
        return guest_report.parse_reports(bench.call('console', max_bytes=100_000))

    assert wait_until(lambda: len(reports()) >= boots, 60), bench.call('console', max_bytes=4000)
    return reports()[boots - 1]


def read_rules(bench: Bench) -> list[str]:
    """All rules of the filters; libvirt puts the NICs in an order of its own."""
    return sorted(bench.shell('ebtables -t nat -L --Lx').splitlines())


def test_a_guest_has_its_nics_in_order_and_leaves_nothing(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=3)

    devices = [line.split() for line in bench.virsh('domiflist', NAME).splitlines() if line]
    assert [(d[1], d[2], d[3], d[4]) for d in devices] == [
        ('bridge', f'br10{i}', 'virtio', f'fa:16:3e:01:00:0{i}') for i in range(3)
    ]
    assert len(bench.virsh('nwfilter-binding-list').splitlines()) >= 3
    assert bench.call('state') == 'RUNNING'
    assert bench.call('names') == [NAME]

    report = read_report(bench)
    assert [(nic.mac, nic.pci[5:], nic.address) for nic in report.nics] == [
        (f'fa:16:3e:01:00:0{i}', f'00:{0x10 + i:02x}.0', f'10.{i}.0.10/24') for i in range(3)
    ]
    assert all(nic.gateway_answers for nic in report.nics)

    bench.call('destroy', nics=3)
    assert clean() == NOTHING
    bench.call('destroy', nics=3)
    assert bench.call('state') == 'NOSTATE'


def test_a_guest_without_nics(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=0)
    assert read_report(bench).nics == ()
    bench.call('destroy', nics=0)
    assert clean() == NOTHING


def test_a_guest_that_libvirt_refuses_leaves_nothing(bench: Bench, clean: Traces) -> None:
    # There is no bridge br103, which libvirt finds when the first three NICs are made.
    outcome = bench.outcome('spawn', nics=4)
    assert outcome['error'] == 'HypervisorError'
    assert 'br103' in outcome['text']
    assert clean() == NOTHING


def test_a_flavor_that_is_too_small_leaves_nothing(bench: Bench, clean: Traces) -> None:
    outcome = bench.outcome('spawn', memory_mb=0)
    assert outcome['error'] == 'HypervisorError'
    assert clean() == NOTHING


def test_a_second_spawn_leaves_the_first_alone(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=1)
    assert bench.outcome('spawn', nics=1)['error'] == 'HypervisorError'
    assert bench.call('state') == 'RUNNING'
    bench.call('destroy', nics=1)
    assert clean() == NOTHING


def test_destroy_without_knowing_the_nics(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=2)
    bench.call('destroy', nics=0)
    assert clean() == NOTHING


def test_two_guests_do_not_touch_each_other(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', number=1, nics=1)
    bench.call('spawn', number=17, nics=2)
    bench.call('destroy', number=1, nics=1)
    assert bench.call('state', number=17) == 'RUNNING'
    assert len(clean()['filters']) == 2
    bench.call('destroy', number=17, nics=2)
    assert clean() == NOTHING


def test_the_console_takes_commands_and_keeps_a_log(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=1)
    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
        assert console.run('echo $((6*7))').output == '42\n'
    assert 'NOVA-GUEST-READY' in bench.call('console', max_bytes=100_000)
    assert len(bench.call('console', max_bytes=10)) <= 10
    bench.call('destroy', nics=1)
    assert bench.outcome('console', max_bytes=10)['error'] == 'ConsoleNotAvailable'


def test_a_name_with_markup_reaches_libvirt_as_it_is(bench: Bench, clean: Traces) -> None:
    name = """</nova:name><devices a='"&amp;"'>"""
    bench.call('spawn', nics=1, display_name=name)
    assert '&lt;/nova:name&gt;&lt;devices' in bench.virsh('dumpxml', NAME)
    bench.call('destroy', nics=1)


def test_guests_outlive_a_restart_of_libvirtd(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=2)
    rules = read_rules(bench)
    libvirtd.stop_libvirtd(bench.sandbox)
    libvirtd.start_libvirtd(bench.sandbox)
    assert bench.call('state') == 'RUNNING'
    bench.call('init')
    assert wait_until(lambda: read_rules(bench) == rules, 60)
    bench.call('destroy', nics=2)
    assert clean() == NOTHING


def test_a_guest_learns_its_nics_from_the_drive(bench: Bench, clean: Traces) -> None:
    """Nobody serves DHCP to it; the MAC addresses tell it which NIC is which."""
    bench.call('spawn', nics=3, static=[0, 1, 2])

    report = read_report(bench)
    assert [(nic.mac, nic.pci[5:], nic.address, nic.lease) for nic in report.nics] == [
        (f'fa:16:3e:01:00:0{i}', f'00:{0x10 + i:02x}.0', f'10.{i}.0.10/24', False) for i in range(3)
    ]
    assert report.default_routes() == ('default via 10.0.0.1 dev eth0 metric 100',)
    for index in range(3):
        answer = bench.shell(f'busybox ping -c 1 -W 5 -I br10{index} 10.{index}.0.10')
        assert '1 packets received' in answer

    bench.call('destroy', nics=3, static=[0, 1, 2])
    assert clean() == NOTHING


def test_a_drive_that_was_asked_for(bench: Bench, clean: Traces) -> None:
    bench.call('spawn', nics=2, config_drive=True, user_data='aGVsbG8K')
    assert all(nic.lease for nic in read_report(bench).nics)

    with Console(bench.sandbox, NAME) as console:
        console.wait_ready()
        assert console.run('cat /config/openstack/latest/user_data').output == 'hello\n'

    bench.call('destroy', nics=2)
    assert clean() == NOTHING
