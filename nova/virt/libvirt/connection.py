"""The driver for KVM and QEMU through libvirt.

A guest is: a folder below ``state_path/instances``, named after the instance's UUID, with its
disks and its console log; a filter for each NIC; and a persistent domain of the instance's name and
UUID. All of it is found again from the instance alone, so nothing is remembered in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import contextlib
import functools
from pathlib import Path
import re
import shutil
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from nova import exception
from nova.db import records
from nova.image import glance
from nova.metadata import documents
from nova.network import model, topology
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import drivers, rules
from nova.network.linux import links
from nova.privileged.files import read_tail
from nova.privileged.nft import forget_tap
from nova.virt import configdrive, driver
from nova.virt.libvirt import console, disk, domain, firewall, host, imagecache, kvmprobe, taps
from nova.virt.libvirt import offload as offloading

LOG = logging.getLogger(__name__)

_GIB = 1024**3
#: Seconds between two looks at a guest that has been asked for something.
_POLL_S = 0.1
#: Makes what filters the NICs of a host, given the connection to its libvirt.
MakeFirewall = Callable[[host.Host], firewall_driver.FirewallDriver]

_OUR_DOMAIN = re.compile(r'instance-[0-9a-f]{8,}')


class LibvirtConnection(driver.ComputeDriver):
    """One host's guests.

    :param libvirt_group: the option group ``[libvirt]``.
    :param state_path: the folder of what the host must not lose.
    :param images: the images of this host.
    :param ensure_bridges: makes the bridges that an instance's NICs are plugged into; called
        before each spawn, and idempotent.
    :param keep_bridges: removes those of them that no guest needs any more; see
        :meth:`nova.network.linux.links.HostLinks.keep_only`.
    :param dhcp_domain: the DNS domain that guests are told they are in.
    :param libvirt_host: the connection to libvirt; made of the option group when not given.
    :param offload: runs what blocks; see :class:`nova.virt.libvirt.offload.Offload`.
    :param read_file: reads console logs, which belong to root.
    :param make_firewall: makes what filters the NICs, which may be filters of libvirt's.
    """

    def __init__(
        self,
        libvirt_group: cfg.ConfigOpts.GroupAttr,
        state_path: str | Path,
        images: imagecache.ImageCache,
        ensure_bridges: Callable[[model.NetworkInfo], None],
        *,
        keep_bridges: Callable[[Callable[[], Collection[str]]], None],
        dhcp_domain: str,
        make_firewall: MakeFirewall,
        libvirt_host: host.Host | None = None,
        offload: offloading.Offload = offloading.call_directly,
        read_file: console.ReadFile = console.read_file,
    ) -> None:
        self._options = libvirt_group
        self._state_path = Path(state_path)
        self._instances = self._state_path / 'instances'
        self._images = images
        self._ensure_bridges = ensure_bridges
        self._keep_bridges = keep_bridges
        self._dhcp_domain = dhcp_domain
        self._host = libvirt_host or host.Host(libvirt_group.connection_uri, offload=offload)
        self._firewall = taps.TapFirewall(make_firewall(self._host))
        self._offload = offload
        self._read_file = read_file
        # What init_host finds out of the machine.
        self._virt_type = 'kvm' if libvirt_group.virt_type == 'kvm' else 'qemu'
        self._disk_cache = 'none'

    def init_host(self, host: str) -> None:
        LOG.info('Host %s uses libvirt with hypervisor version %d', host, self._host.version())
        # Only its owner may list it; QEMU, which is another user, need only pass through.
        self._instances.mkdir(mode=0o711, parents=True, exist_ok=True)
        if self._options.virt_type == 'auto' and kvmprobe.is_kvm_usable(self._state_path):
            self._virt_type = 'kvm'
        if not disk.supports_direct_io(self._instances):
            self._disk_cache = 'writeback'
        self._images.remove_remains()
        LOG.info('New guests: type %s, disk cache %s', self._virt_type, self._disk_cache)

    def host_resources(self) -> driver.HostResources:
        vcpus, memory_mb = self._host.cpus_and_memory()
        return driver.HostResources(
            hypervisor_type='QEMU',
            hypervisor_version=self._host.version(),
            vcpus=vcpus,
            memory_mb=memory_mb,
            disk_gb=shutil.disk_usage(self._instances).total // _GIB,
        )

    def to_xml(self, instance: records.Instance, network_info: model.NetworkInfo) -> str:
        """The domain XML of an instance with these NICs. It depends on nothing else that may
        change while the service runs, and changes nothing.

        :raises InvalidName: a value holds a character that XML cannot carry.
        :raises InvalidInput: a NIC's index is beyond the guest's last PCI slot.
        """
        return domain.render_domain(self._build_context(instance, network_info))

    def _build_context(
        self, instance: records.Instance, network_info: model.NetworkInfo
    ) -> domain.Domain:
        return domain.build_context(
            instance,
            network_info,
            disk=domain.Disk(path=str(self._disk_path(instance)), cache=self._disk_cache),
            config_drive=self._config_drive(instance, network_info),
            console_log=str(self._console_path(instance)),
            virt_type=self._virt_type,
            machine_type=self._options.machine_type,
            cpu_mode=self._options.cpu_mode,
            has_filters=self._firewall.uses_filterref,
        )

    def spawn(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        xml = self.to_xml(instance, network_info)
        if self._host.has_domain(instance.uuid):
            # Nothing is undone here: it is not of this call's making.
            raise exception.HypervisorError(
                action=f'define domain {instance.name}', reason='it exists already'
            )
        with contextlib.ExitStack() as undo:
            _on_failure(undo, self._remove_folder, instance)
            self._write_disk(instance)
            self._write_config_drive(instance, network_info)
            self._ensure_bridges(network_info)
            _on_failure(undo, self._firewall.remove, instance.name, network_info)
            self._firewall.prepare(instance.name, network_info)
            _on_failure(undo, self._host.undefine_domain, instance.uuid)
            self._host.define_domain(xml)
            # A start that fails half way leaves no process behind; libvirt sees to that. But it
            # may also succeed and only the answer be lost.
            _on_failure(undo, self._destroy_domain, instance)
            self._host.start_domain(instance.uuid)
            undo.pop_all()
        LOG.info('Guest %s runs with %d NICs', instance.name, len(network_info))

    def destroy(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        self._destroy_domain(instance)
        self._host.undefine_domain(instance.uuid)
        self._firewall.remove(instance.name, network_info)
        self._remove_folder(instance)
        LOG.info('Guest %s is gone', instance.name)

    def attach_interface(self, instance: records.Instance, vif: model.VIF) -> None:
        xml = self._interface_xml(instance, vif)
        self._ensure_bridges(model.NetworkInfo((vif,)))
        self._firewall.prepare(instance.name, [vif])
        for stored in (True, False):
            known = self._host.domain_xml(instance.uuid, stored=stored)
            if known is not None and vif.mac not in domain.parse_macs(known):
                self._host.attach_device(instance.uuid, xml, stored=stored)
        LOG.info('Guest %s has NIC %d', instance.name, vif.index)

    def detach_interface(
        self, instance: records.Instance, vif: model.VIF, timeout_s: float
    ) -> bool:
        # Whether the guest has let go is read from the running domain, which libvirt changes when
        # QEMU reports DEVICE_DELETED. libvirt's own events tell it sooner, but only to who listens
        # at that moment: a guest may answer while this service or libvirtd is being restarted.
        xml = self._interface_xml(instance, vif)
        if self._has_nic(instance, vif, stored=True):
            self._host.detach_device(instance.uuid, xml, stored=True)
        deadline = time.monotonic() + timeout_s
        self._ask_to_let_go(instance, vif, xml)
        while self._has_nic(instance, vif, stored=False):
            if time.monotonic() > deadline:
                LOG.warning('Guest %s does not let go of NIC %d', instance.name, vif.index)
                return False
            time.sleep(_POLL_S)
        self._firewall.remove_nic(instance.name, vif)
        LOG.info('Guest %s has NIC %d no more', instance.name, vif.index)
        return True

    def _ask_to_let_go(self, instance: records.Instance, vif: model.VIF, xml: str) -> None:
        if not self._has_nic(instance, vif, stored=False):
            return
        try:
            self._host.detach_device(instance.uuid, xml, stored=False)
        except exception.HypervisorError as exc:
            # It is refused while the guest still has to answer an earlier request.
            LOG.warning('NIC %d of guest %s: %s', vif.index, instance.name, exc.message)

    def _has_nic(self, instance: records.Instance, vif: model.VIF, *, stored: bool) -> bool:
        xml = self._host.domain_xml(instance.uuid, stored=stored)
        return xml is not None and vif.mac in domain.parse_macs(xml)

    def _interface_xml(self, instance: records.Instance, vif: model.VIF) -> str:
        context = self._build_context(instance, model.NetworkInfo((vif,)))
        return domain.render_interface(context)

    def update_interface(self, instance: records.Instance, vif: model.VIF) -> None:
        self._firewall.prepare(instance.name, [vif])

    def power_off(self, instance: records.Instance, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        if timeout_s:
            self._host.ask_shutdown(instance.uuid)
        while time.monotonic() < deadline:
            if self._host.domain_xml(instance.uuid, stored=False) is None:
                LOG.info('Guest %s has shut down', instance.name)
                return
            time.sleep(_POLL_S)
        self._destroy_domain(instance)
        LOG.info('Guest %s is stopped', instance.name)

    def power_on(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        if self._host.domain_xml(instance.uuid, stored=False) is not None:
            return
        self._write_config_drive(instance, network_info)
        self._ensure_bridges(network_info)
        self._firewall.prepare(instance.name, network_info)
        self._host.define_domain(self.to_xml(instance, network_info))
        self._host.start_domain(instance.uuid)
        LOG.info('Guest %s runs again with %d NICs', instance.name, len(network_info))

    def power_state(self, instance: records.Instance) -> records.PowerState:
        return self._host.power_state(instance.uuid)

    def console_output(self, instance: records.Instance, max_bytes: int) -> bytes:
        try:
            return console.read_log(self._console_path(instance), max_bytes, self._read_file)
        except FileNotFoundError as exc:
            raise exception.ConsoleNotAvailable(instance_id=instance.uuid) from exc

    def apply_security_groups(
        self,
        guests: Mapping[str, model.NetworkInfo],
        ruleset: rules.Ruleset,
        *,
        repair: bool = False,
    ) -> frozenset[str]:
        return self._firewall.apply_groups(guests, ruleset, repair=repair)

    def keep_bridges(self, wanted: Callable[[], Collection[str]]) -> None:
        self._keep_bridges(wanted)

    def list_instance_names(self) -> list[str]:
        return [name for name in self._host.domain_names() if _OUR_DOMAIN.fullmatch(name)]

    # --- files

    def _folder(self, instance: records.Instance) -> Path:
        return self._instances / instance.uuid

    def _disk_path(self, instance: records.Instance) -> Path:
        return self._folder(instance) / 'disk'

    def _console_path(self, instance: records.Instance) -> Path:
        return self._folder(instance) / 'console.log'

    def _write_disk(self, instance: records.Instance) -> None:
        image = self._images.ensure_image(instance.image_ref)
        size = disk.choose_size(image, instance.image_ref, instance.flavor.root_gb)
        self._folder(instance).mkdir(mode=0o711, exist_ok=True)
        disk.write_overlay(self._disk_path(instance), image, size)

    def _config_drive(
        self, instance: records.Instance, network_info: model.NetworkInfo
    ) -> str | None:
        if not configdrive.is_wanted(instance, network_info):
            return None
        return str(self._folder(instance) / 'disk.config')

    def _write_config_drive(
        self, instance: records.Instance, network_info: model.NetworkInfo
    ) -> None:
        path = self._config_drive(instance, network_info)
        if path is None:
            return
        content = documents.build_openstack(instance, network_info, self._dhcp_domain)
        try:
            configdrive.write_image(Path(path), content)
        except OSError as exc:
            raise exception.HypervisorError(
                action='make the configuration drive', reason=str(exc)
            ) from exc

    def _remove_folder(self, instance: records.Instance) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._offload(shutil.rmtree, self._folder(instance))

    def _destroy_domain(self, instance: records.Instance) -> None:
        self._host.destroy_domain(instance.uuid, self._options.shutdown_timeout_s)


def from_conf(conf: cfg.ConfigOpts, *, offload: offloading.Offload) -> LibvirtConnection:
    """The driver that the options describe.

    :param offload: see :class:`nova.virt.libvirt.offload.Offload`.
    """

    host_links = links.HostLinks(conf.run_path)

    def ensure_bridges(network_info: model.NetworkInfo) -> None:
        networks = [vif.network for vif in network_info]
        wanted = topology.plan_links(networks, conf.network.physical_networks)
        host_links.ensure(links.GUESTS, wanted)

    images = imagecache.ImageCache(
        Path(conf.state_path) / 'cache' / 'images',
        glance.from_conf(conf),
        max_image_gb=conf.glance.max_image_gb,
        attempts=conf.glance.num_retries + 1,
        offload=offload,
    )
    return LibvirtConnection(
        conf.libvirt,
        conf.state_path,
        images,
        ensure_bridges,
        keep_bridges=functools.partial(host_links.keep_only, links.GUESTS),
        dhcp_domain=conf.network.dhcp_domain,
        offload=offload,
        read_file=read_tail,
        make_firewall=choose_firewall(conf.firewall),
    )


def choose_firewall(options: cfg.ConfigOpts.GroupAttr) -> MakeFirewall:
    """For the option group ``[firewall]``."""

    def make(libvirt_host: host.Host) -> firewall_driver.FirewallDriver:
        return drivers.make(options) or firewall.make(libvirt_host, forget_tap)

    return make


def _on_failure(undo: contextlib.ExitStack, function: Callable[..., Any], *args: Any) -> None:
    """Have ``function(*args)`` called should the block of ``undo`` not reach its end."""

    def run() -> None:
        try:
            function(*args)
        except (exception.NovaException, OSError):
            # For the caller, who wants the cause of the failure and not what followed from it;
            # the other undos still run.
            LOG.exception('Undoing a spawn: %s%r failed', function.__name__, args)

    undo.callback(run)
