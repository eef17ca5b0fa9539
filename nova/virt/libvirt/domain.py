"""The domain XML of an instance; pure.

:func:`build_context` decides, :func:`render_domain` writes, with ``libvirt.xml.template`` for the
layout. The format is that of https://libvirt.org/formatdomain.html.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any
from xml.etree import ElementTree

from nova import exception
from nova.db import records
from nova.network import model
from nova.virt.libvirt import xmltemplate

#: The namespace of our element in ``<metadata>``.
METADATA_NAMESPACE = 'urn:multinic-nova:instance:1'
#: The bus has slots 0x00 to 0x1f; see :data:`nova.network.model.FIRST_NIC_SLOT`.
MAX_NICS = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A variable given to the filter of a NIC."""

    name: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A network interface as the template shows it.

    ``ip_address`` is the first IPv4 address and ``further_addresses`` are the others;
    ``name`` is that of :func:`nic_name`, ``has_filter`` whether a filter of libvirt's is for it.
    """

    vif_id: str
    name: str
    bridge_name: str
    mac_address: str
    device: str
    slot: str
    mtu: int | None
    ip_address: str | None
    further_addresses: tuple[str, ...]
    dhcp_server: str | None
    extra_params: tuple[Parameter, ...]
    ra_server: str | None
    has_filter: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The root disk. ``cache`` is a cache mode of libvirt."""

    path: str
    format: str = 'qcow2'
    cache: str = 'none'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """All that the template shows."""

    type: str
    uuid: str
    name: str
    display_name: str
    project_id: str
    user_id: str
    flavor_name: str
    image_id: str
    memory_kb: int
    vcpus: int
    machine_type: str
    cpu_mode: str | None
    disk: Disk
    config_drive: str | None
    console_log: str
    nics: tuple[Nic, ...]
    metadata_namespace: str = METADATA_NAMESPACE


def build_context(
    instance: records.Instance,
    network_info: model.NetworkInfo,
    *,
    disk: Disk,
    console_log: str,
    virt_type: str,
    config_drive: str | None = None,
    machine_type: str = 'pc',
    cpu_mode: str = 'auto',
    has_filters: bool = True,
) -> Domain:
    """What the template needs for this instance.

    :param virt_type: ``kvm`` or ``qemu``.
    :param config_drive: the path of the configuration drive; None: the guest has none.
    :param cpu_mode: a choice of the option ``[libvirt] cpu_mode``.
    :param has_filters: whether the NICs have filters of libvirt's.
    :raises InvalidInput: a NIC's index is beyond the last slot.
    """
    return Domain(
        type=virt_type,
        uuid=instance.uuid,
        name=instance.name,
        display_name=instance.display_name,
        project_id=instance.project_id,
        user_id=instance.user_id,
        flavor_name=instance.flavor.name,
        image_id=instance.image_ref,
        memory_kb=instance.flavor.memory_mb * 1024,
        vcpus=instance.flavor.vcpus,
        machine_type=machine_type,
        cpu_mode=choose_cpu_mode(cpu_mode, virt_type),
        disk=disk,
        config_drive=config_drive,
        console_log=console_log,
        nics=tuple(_build_nic(instance.name, vif, has_filters) for vif in network_info),
    )


def choose_cpu_mode(wanted: str, virt_type: str) -> str | None:
    """libvirt's CPU mode for a choice of ``[libvirt] cpu_mode``; None leaves it to QEMU."""
    if wanted == 'auto':
        return 'host-model' if virt_type == 'kvm' else None
    return None if wanted == 'none' else wanted


def nic_name(instance_name: str, vif: model.VIF) -> str:
    """The name of a NIC on its host: the instance's name and the MAC without colons."""
    return f'{instance_name}-{vif.mac.replace(":", "")}'


def _build_nic(instance_name: str, vif: model.VIF, has_filter: bool) -> Nic:
    if vif.place >= MAX_NICS:
        raise exception.InvalidInput(
            field='networks', reason=f'a guest has PCI slots for {MAX_NICS} interfaces'
        )
    ipv4, ipv6 = vif.network.subnet(4), vif.network.subnet(6)
    addresses = vif.addresses_of(4)
    return Nic(
        vif_id=vif.id,
        name=nic_name(instance_name, vif),
        bridge_name=vif.network.bridge,
        mac_address=vif.mac,
        device=vif.device,
        slot=f'{model.FIRST_NIC_SLOT + vif.place:#04x}',
        mtu=vif.network.mtu,
        ip_address=addresses[0] if addresses else None,
        further_addresses=addresses[1:],
        dhcp_server=ipv4.dhcp_server if ipv4 else None,
        extra_params=(
            *_project_parameters(ipv4, suffix=''),
            *_project_parameters(ipv6, suffix='V6'),
        ),
        ra_server=ipv6.ra_server if ipv6 else None,
        has_filter=has_filter,
    )


def _project_parameters(subnet: model.Subnet | None, *, suffix: str) -> tuple[Parameter, ...]:
    if subnet is None:
        return ()
    return (
        Parameter(name=f'PROJNET{suffix}', value=subnet.network_address),
        Parameter(name=f'PROJMASK{suffix}', value=subnet.netmask),
    )


@functools.cache
def _template() -> Any:
    return xmltemplate.compile_template('libvirt.xml.template')


def render_domain(context: Domain) -> str:
    """The domain XML. Equal contexts give equal texts.

    :raises InvalidName: a value holds a character that XML cannot carry.
    """
    return xmltemplate.render(_template(), domain=context)


def render_interface(context: Domain) -> str:
    """The ``<interface>`` of a domain's only NIC, as it stands in its XML.

    :raises InvalidName: a value holds a character that XML cannot carry.
    """
    (interface,) = ElementTree.fromstring(render_domain(context)).iter('interface')
    return ElementTree.tostring(interface, encoding='unicode')


def parse_macs(xml: str) -> frozenset[str]:
    """The MAC addresses of the NICs in a domain XML of libvirt's."""
    found = ElementTree.fromstring(xml).iterfind('devices/interface/mac')
    return frozenset(str(mac.get('address')) for mac in found)
