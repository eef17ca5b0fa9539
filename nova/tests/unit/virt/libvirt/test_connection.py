"""What is left of a guest when something goes wrong, on a daemon in memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
import time
from typing import Any

from oslo_config import cfg
import pytest

libvirt = pytest.importorskip('libvirt', reason='libvirt-python is in the extra "libvirt"')

from nova import exception
from nova.conf import libvirt as libvirt_options
from nova.db import records
from nova.network import model
from nova.network.firewall import noop, rules
from nova.tests.unit.virt.instances import make_instance, make_network_info
from nova.tests.unit.virt.libvirt.fakelibvirt import FakeDaemon, FakeSets, Tracked, error
from nova.virt.libvirt import connection, disk, filters, firewall, host, imagecache

IMAGE = imagecache.CachedImage(path=Path('/images/a.qcow2'), format='qcow2', virtual_size=1024)
INSTANCE = make_instance()
NICS = make_network_info(3)


class FakeImages(imagecache.ImageCache):
    def __init__(self) -> None:
        self.failure: Exception | None = None

    def ensure_image(self, image_id: str) -> imagecache.CachedImage:
        if self.failure is not None:
            raise self.failure
        return IMAGE

    def remove_remains(self) -> None:
        return


@dataclasses.dataclass
class Bench:
    driver: connection.LibvirtConnection
    daemon: FakeDaemon
    images: FakeImages
    plugged: list[model.NetworkInfo]
    kept: list[frozenset[str]]
    instances: Path

    def assert_nothing_is_left(self) -> None:
        assert self.daemon.is_empty()
        assert list(self.instances.iterdir()) == []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    conf = cfg.ConfigOpts()
    libvirt_options.register_opts(conf)
    conf([])
    conf.set_override('virt_type', 'qemu', group='libvirt')
    # qemu-img is a process, which a unit test must not start.
    monkeypatch.setattr(
        disk, 'write_overlay', lambda path, _image, size: path.write_text(str(size))
    )
    daemon, images = FakeDaemon(), FakeImages()
    plugged: list[model.NetworkInfo] = []
    kept: list[frozenset[str]] = []
    driver = connection.LibvirtConnection(
        conf.libvirt,
        tmp_path,
        images,
        plugged.append,
        keep_bridges=lambda wanted: kept.append(frozenset(wanted())),
        dhcp_domain='novalocal',
        make_firewall=lambda libvirt_host: firewall.NWFilterFirewall(
            libvirt_host, daemon.forget_tap, noop.NoopFirewall(), FakeSets(), Tracked()
        ),
        libvirt_host=host.Host('qemu:///system', open_connection=daemon.open),
    )
    driver.init_host('compute1')
    driver.apply_security_groups({}, rules.Ruleset())
    return Bench(driver, daemon, images, plugged, kept, tmp_path / 'instances')


def test_spawn_and_destroy(bench: Bench) -> None:
    bench.driver.spawn(INSTANCE, NICS)
    assert bench.plugged == [NICS]
    assert (bench.instances / INSTANCE.uuid / 'disk').read_text() == str(20 * 1024**3)
    assert bench.driver.power_state(INSTANCE) == records.PowerState.RUNNING
    assert bench.driver.list_instance_names() == [INSTANCE.name]
    bench.driver.destroy(INSTANCE, NICS)
    bench.assert_nothing_is_left()
    bench.driver.destroy(INSTANCE, NICS)
    assert bench.driver.power_state(INSTANCE) == records.PowerState.NOSTATE


def test_what_is_left_of_its_taps_goes_with_the_guest(bench: Bench) -> None:
    bench.driver.spawn(INSTANCE, NICS)
    bench.driver.destroy(INSTANCE, NICS)
    assert set(bench.daemon.forgotten) == {vif.device for vif in NICS}


def test_who_asks_for_the_bridges_to_be_kept_names_them(bench: Bench) -> None:
    bench.driver.keep_bridges(lambda: {'br-a', 'br-b'})
    assert bench.kept == [{'br-a', 'br-b'}]


def test_a_configuration_drive_comes_and_goes_with_the_guest(bench: Bench) -> None:
    instance = make_instance(config_drive=True)
    bench.driver.spawn(instance, NICS)
    path = bench.instances / instance.uuid / 'disk.config'
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"<source file='{path}'/>" in bench.driver.to_xml(instance, NICS)
    bench.driver.destroy(instance, NICS)
    bench.assert_nothing_is_left()


def test_no_configuration_drive_unless_it_is_needed(bench: Bench) -> None:
    bench.driver.spawn(INSTANCE, NICS)
    assert not (bench.instances / INSTANCE.uuid / 'disk.config').exists()
    assert 'disk.config' not in bench.driver.to_xml(INSTANCE, NICS)


def test_the_filters_are_there_before_the_guest_is(bench: Bench) -> None:
    bench.driver.spawn(INSTANCE, NICS)
    calls = [c for c in bench.daemon.calls if c in ('nwfilterDefineXML', 'defineXML', 'create')]
    assert calls[-5:] == ['nwfilterDefineXML'] * 3 + ['defineXML', 'create']


@pytest.mark.parametrize('method', ['nwfilterDefineXML', 'defineXML', 'create'])
def test_a_refusal_of_libvirts_leaves_nothing(bench: Bench, method: str) -> None:
    bench.daemon.refuse[method] = [error(libvirt.VIR_ERR_INTERNAL_ERROR, f'no {method} today')]
    with pytest.raises(exception.Fault, match=f'no {method} today'):
        bench.driver.spawn(INSTANCE, NICS)
    bench.assert_nothing_is_left()


@pytest.mark.parametrize('method', ['undefineFlags', 'undefine'])
def test_the_cause_is_told_even_if_undoing_fails(
    bench: Bench, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall, '_RELEASE_TIMEOUT_S', -1.0)
    bench.daemon.refuse['create'] = [error(libvirt.VIR_ERR_INTERNAL_ERROR, 'the cause')]
    bench.daemon.refuse[method] = [error(libvirt.VIR_ERR_INTERNAL_ERROR, 'what followed')]
    with pytest.raises(exception.HypervisorError, match='the cause'):
        bench.driver.spawn(INSTANCE, NICS)
    assert not (bench.instances / INSTANCE.uuid).exists()
    bench.driver.destroy(INSTANCE, NICS)
    bench.assert_nothing_is_left()


def test_an_image_that_cannot_be_had_leaves_nothing(bench: Bench) -> None:
    bench.images.failure = exception.ImageNotFound(image_id=INSTANCE.image_ref)
    with pytest.raises(exception.ImageNotFound):
        bench.driver.spawn(INSTANCE, NICS)
    bench.assert_nothing_is_left()
    assert bench.plugged == []


def test_a_bridge_that_cannot_be_made_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_network_info: model.NetworkInfo) -> None:
        raise exception.NetworkSetupFailed(network='net1', reason='no eth1')

    monkeypatch.setattr(bench.driver, '_ensure_bridges', refuse)
    with pytest.raises(exception.NetworkSetupFailed):
        bench.driver.spawn(INSTANCE, NICS)
    bench.assert_nothing_is_left()


def test_a_value_that_xml_cannot_carry_is_refused_before_anything_is_done(bench: Bench) -> None:
    calls = list(bench.daemon.calls)
    with pytest.raises(exception.InvalidName):
        bench.driver.spawn(make_instance(display_name='a\0b'), NICS)
    assert bench.daemon.calls == calls


def test_a_guest_that_exists_is_left_alone(bench: Bench) -> None:
    bench.driver.spawn(INSTANCE, NICS)
    with pytest.raises(exception.HypervisorError, match='exists already'):
        bench.driver.spawn(INSTANCE, NICS)
    assert bench.driver.power_state(INSTANCE) == records.PowerState.RUNNING
    assert (bench.instances / INSTANCE.uuid / 'disk').exists()


def test_a_guest_that_cannot_be_ended_keeps_its_filters(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.driver.spawn(INSTANCE, NICS)
    now = iter(range(0, 10_000, 15))
    monkeypatch.setattr(time, 'monotonic', lambda: next(now))
    monkeypatch.setattr(time, 'sleep', lambda _seconds: None)
    busy = error(libvirt.VIR_ERR_SYSTEM_ERROR, 'Device or resource busy')
    bench.daemon.refuse['destroy'] = [busy] * 10
    with pytest.raises(exception.HypervisorError, match='busy'):
        bench.driver.destroy(INSTANCE, NICS)
    assert len([name for name in bench.daemon.filters if INSTANCE.name in name]) == 3
    assert (bench.instances / INSTANCE.uuid / 'disk').exists()


def test_foreign_domains_are_not_ours(bench: Bench) -> None:
    for uuid, name in (('a', 'router'), ('b', 'instance-0000002a'), ('c', 'instance-x')):
        bench.driver._host.define_domain(f'<domain><uuid>{uuid}</uuid><name>{name}</name></domain>')
    assert bench.driver.list_instance_names() == ['instance-0000002a']


def test_to_xml_needs_no_host_and_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob('*'))
    calls = list(bench.daemon.calls)
    assert bench.driver.to_xml(INSTANCE, NICS) == bench.driver.to_xml(INSTANCE, NICS)
    assert bench.daemon.calls == calls
    assert sorted(tmp_path.rglob('*')) == before


def test_the_console(bench: Bench) -> None:
    bench.driver.spawn(INSTANCE, NICS)
    with pytest.raises(exception.ConsoleNotAvailable):
        bench.driver.console_output(INSTANCE, 100)
    folder = bench.instances / INSTANCE.uuid
    (folder / 'console.log').write_bytes(b'0123456789')
    assert bench.driver.console_output(INSTANCE, 100) == b'0123456789'
    assert bench.driver.console_output(INSTANCE, 4) == b'6789'
    (folder / 'console.log.0').write_bytes(b'abcdef')
    assert bench.driver.console_output(INSTANCE, 12) == b'ef0123456789'
    assert bench.driver.console_output(INSTANCE, 10) == b'0123456789'


def test_what_the_host_has(bench: Bench) -> None:
    found = bench.driver.host_resources()
    assert (found.hypervisor_version, found.vcpus, found.memory_mb) == (7_002_000, 8, 16_000)
    assert found.disk_gb > 0


@pytest.mark.parametrize(
    ('root_gb', 'virtual_size', 'size'),
    [(0, 5, 5), (1, 5, 1024**3), (1, 1024**3, 1024**3), (20, 1024**3, 20 * 1024**3)],
)
def test_the_size_of_the_disk(root_gb: int, virtual_size: int, size: int) -> None:
    image = dataclasses.replace(IMAGE, virtual_size=virtual_size)
    assert disk.choose_size(image, 'x', root_gb) == size


def test_a_disk_is_never_smaller_than_its_image() -> None:
    image = dataclasses.replace(IMAGE, virtual_size=1024**3 + 1)
    with pytest.raises(exception.ImageUnacceptable, match='1 GiB of the flavor'):
        disk.choose_size(image, 'x', 1)


def spawned(bench: Bench) -> Any:
    """The domain of a guest with NICs 0 and 1."""
    bench.driver.spawn(INSTANCE, model.NetworkInfo(NICS.vifs[:2]))
    return bench.daemon.domains[INSTANCE.uuid]


def test_a_nic_comes_and_goes(bench: Bench) -> None:
    domain, third = spawned(bench), NICS[2]
    before = set(bench.daemon.filters)
    for _ in range(2):
        bench.driver.attach_interface(INSTANCE, third)
        assert third.mac in domain.stored & domain.live
    assert bench.plugged[-1] == model.NetworkInfo((third,))
    assert bench.daemon.calls.count('attachDeviceFlags') == 2
    assert bench.daemon.filters.keys() - before == {filters.filter_name(INSTANCE.name, third.mac)}
    for _ in range(2):
        assert bench.driver.detach_interface(INSTANCE, third, 0)
    assert third.mac not in domain.stored | domain.live
    assert set(bench.daemon.filters) == before


def test_the_filter_is_there_before_the_nic(bench: Bench) -> None:
    spawned(bench)
    bench.daemon.refuse['nwfilterDefineXML'] = [error(libvirt.VIR_ERR_INTERNAL_ERROR)]
    with pytest.raises(exception.FirewallSetupFailed):
        bench.driver.attach_interface(INSTANCE, NICS[2])
    assert 'attachDeviceFlags' not in bench.daemon.calls


def test_a_deaf_guest_keeps_its_nic_and_the_filter(bench: Bench) -> None:
    domain, second = spawned(bench), NICS[1]
    domain.deaf = True
    assert not bench.driver.detach_interface(INSTANCE, second, 0)
    assert second.mac in domain.live - domain.stored
    assert filters.filter_name(INSTANCE.name, second.mac) in bench.daemon.filters
    domain.deaf = False
    assert bench.driver.detach_interface(INSTANCE, second, 0)
    assert filters.filter_name(INSTANCE.name, second.mac) not in bench.daemon.filters


def test_a_request_that_is_refused_while_another_is_answered(bench: Bench) -> None:
    domain = spawned(bench)
    domain.deaf = True
    assert not bench.driver.detach_interface(INSTANCE, NICS[1], 0)
    bench.daemon.refuse['detachDeviceFlags'] = [error(libvirt.VIR_ERR_OPERATION_FAILED)]
    assert not bench.driver.detach_interface(INSTANCE, NICS[1], 0)


def test_a_detach_from_what_is_gone(bench: Bench) -> None:
    assert bench.driver.detach_interface(INSTANCE, NICS[1], 0)


def test_a_stopped_guest_takes_and_loses_nics(bench: Bench) -> None:
    domain = spawned(bench)
    bench.driver.power_off(INSTANCE, 1)
    assert 'destroy' not in bench.daemon.calls
    bench.driver.attach_interface(INSTANCE, NICS[2])
    assert bench.driver.detach_interface(INSTANCE, NICS[0], 0)
    assert domain.stored == {NICS[1].mac, NICS[2].mac}
    wanted = model.NetworkInfo(NICS.vifs[1:])
    for _ in range(2):
        bench.driver.power_on(INSTANCE, wanted)
    assert bench.daemon.domains[INSTANCE.uuid].live == {NICS[1].mac, NICS[2].mac}
    assert bench.daemon.calls.count('create') == 2


def test_a_guest_that_does_not_shut_down_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned(bench).deaf = True
    waited: list[float] = []
    monkeypatch.setattr(time, 'sleep', waited.append)
    monkeypatch.setattr(time, 'monotonic', lambda: len(waited) * 0.1)
    bench.driver.power_off(INSTANCE, 1)
    assert sum(waited) > 0.9
    assert 'destroy' in bench.daemon.calls
    assert bench.driver.power_state(INSTANCE) == records.PowerState.SHUTDOWN


def test_further_addresses_stand_in_the_filter(bench: Bench) -> None:
    spawned(bench)
    addresses = (*NICS[0].addresses_of(4), '10.0.0.200')
    bench.driver.update_interface(INSTANCE, dataclasses.replace(NICS[0], addresses=addresses))
    xml = bench.daemon.filters[filters.filter_name(INSTANCE.name, NICS[0].mac)]
    assert [xml.count(f"value='{address}'") for address in addresses] == [1, 1]
