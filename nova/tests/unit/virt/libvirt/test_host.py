from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

libvirt = pytest.importorskip('libvirt', reason='libvirt-python is in the extra "libvirt"')

from nova import exception
from nova.db import records
from nova.tests.unit.virt.libvirt.fakelibvirt import FakeDaemon, error
from nova.virt.libvirt import host

UUID = '7d0a5b1e-52f5-4c3c-9c14-0c4de7e3a001'
XML = f'<domain><uuid>{UUID}</uuid><name>instance-0000002a</name></domain>'


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def made(daemon: FakeDaemon) -> host.Host:
    return host.Host('qemu:///system', open_connection=daemon.open)


def test_nothing_is_opened_before_it_is_needed(daemon: FakeDaemon, made: host.Host) -> None:
    assert daemon.opened == 0
    assert made.version() == 7_002_000
    assert made.cpus_and_memory() == (8, 16_000)
    assert daemon.opened == 1


def test_a_lost_connection_is_opened_again(daemon: FakeDaemon, made: host.Host) -> None:
    made.version()
    daemon.refuse['getVersion'] = [error(libvirt.VIR_ERR_RPC, 'End of file while reading data')]
    assert made.version() == 7_002_000
    assert daemon.opened == 2


def test_a_daemon_that_is_gone_is_an_error(daemon: FakeDaemon, made: host.Host) -> None:
    made.version()
    daemon.refuse['getVersion'] = [error(libvirt.VIR_ERR_RPC, 'End of file')]
    daemon.refuse['open'] = [error(libvirt.VIR_ERR_SYSTEM_ERROR, 'Connection refused')]
    with pytest.raises(exception.HypervisorError, match='Connection refused'):
        made.version()
    assert made.version() == 7_002_000


def test_a_refusal_is_told_in_libvirts_words(daemon: FakeDaemon, made: host.Host) -> None:
    daemon.refuse['defineXML'] = [error(libvirt.VIR_ERR_XML_ERROR, 'missing source')]
    with pytest.raises(exception.HypervisorError) as caught:
        made.define_domain(XML)
    assert str(caught.value) == 'The hypervisor refused to define the domain: missing source'
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    assert daemon.calls.count('defineXML') == 1


def test_the_life_of_a_domain(made: host.Host) -> None:
    assert not made.has_domain(UUID)
    made.define_domain(XML)
    assert made.domain_names() == ['instance-0000002a']
    assert made.power_state(UUID) == records.PowerState.SHUTDOWN
    made.start_domain(UUID)
    assert made.power_state(UUID) == records.PowerState.RUNNING
    made.destroy_domain(UUID, timeout_s=1)
    made.destroy_domain(UUID, timeout_s=1)
    made.undefine_domain(UUID)
    made.undefine_domain(UUID)
    made.destroy_domain(UUID, timeout_s=1)
    assert made.power_state(UUID) == records.PowerState.NOSTATE
    assert not made.has_domain(UUID)


def test_a_domain_that_is_not_there_cannot_be_started(made: host.Host) -> None:
    with pytest.raises(exception.DomainNotFound):
        made.start_domain(UUID)


def test_a_guest_that_does_not_end_is_an_error(daemon: FakeDaemon, made: host.Host) -> None:
    made.define_domain(XML)
    made.start_domain(UUID)
    daemon.refuse['destroy'] = [error(libvirt.VIR_ERR_SYSTEM_ERROR, 'Device or resource busy')]
    with pytest.raises(exception.HypervisorError, match='busy'):
        made.destroy_domain(UUID, timeout_s=-1)


RACE = 'Failed to apply firewall rules /usr/sbin/ebtables -t nat -N x: RULE_DELETE failed'


def test_rules_over_which_a_tool_stumbled_are_made_again(
    daemon: FakeDaemon, made: host.Host
) -> None:
    stumbled = error(libvirt.VIR_ERR_INTERNAL_ERROR, RACE, libvirt.VIR_FROM_FIREWALL)
    made.define_domain(XML)
    daemon.refuse = {'create': [stumbled, stumbled], 'nwfilterDefineXML': [stumbled]}
    made.start_domain(UUID)
    assert made.power_state(UUID) == records.PowerState.RUNNING
    made.define_filter("<filter name='f'/>")
    assert made.filter_names() == {'f'}
    daemon.refuse = {'create': [stumbled] * 100}
    daemon.calls.clear()
    with pytest.raises(exception.HypervisorError, match='RULE_DELETE'):
        made.start_domain(UUID)
    assert 1 < daemon.calls.count('create') < 20


def test_nothing_else_is_tried_again(daemon: FakeDaemon, made: host.Host) -> None:
    made.define_domain(XML)
    daemon.refuse = {'create': [error(libvirt.VIR_ERR_INTERNAL_ERROR, 'no memory')]}
    with pytest.raises(exception.HypervisorError, match='no memory'):
        made.start_domain(UUID)
    assert daemon.calls.count('create') == 1


def test_a_filter_in_use_stays(daemon: FakeDaemon, made: host.Host) -> None:
    made.define_filter("<filter name='a'/>")
    daemon.used.add('a')
    assert not made.undefine_filter('a')
    assert made.filter_names() == {'a'}
    daemon.used.clear()
    assert made.undefine_filter('a')
    assert made.undefine_filter('a')
    assert made.filter_names() == set()


def test_every_call_is_offloaded(daemon: FakeDaemon) -> None:
    offloaded: list[Any] = []

    def offload(function: Callable[..., Any], /, *arguments: Any) -> Any:
        offloaded.append(function)
        return function(*arguments)

    made = host.Host('qemu:///system', offload=offload, open_connection=daemon.open)
    made.version()
    made.define_domain(XML)
    assert offloaded[0] == daemon.open
    assert len(offloaded) == 3
