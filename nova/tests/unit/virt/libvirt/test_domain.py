from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
import pytest

from nova import exception
from nova.db import records
from nova.network import model
from nova.tests.unit.virt.instances import make_instance, make_network_info, make_vif
from nova.tests.unit.virt.libvirt import schemas
from nova.virt.libvirt import domain, filters

DISK = domain.Disk(path='/var/lib/nova/instances/7d0a5b1e/disk')
CONSOLE = '/var/lib/nova/instances/7d0a5b1e/console.log'
COUNTS = (0, 1, 2, 3, 8)


def build(
    instance: records.Instance | None = None,
    network_info: model.NetworkInfo | None = None,
    **changes: Any,
) -> domain.Domain:
    arguments = {'disk': DISK, 'console_log': CONSOLE, 'virt_type': 'qemu', **changes}
    return domain.build_context(
        instance or make_instance(),
        make_network_info(2) if network_info is None else network_info,
        **arguments,
    )


def parse(network_info: model.NetworkInfo) -> etree._Element:
    return etree.fromstring(domain.render_domain(build(network_info=network_info)))


def attribute(element: etree._Element, child: str, name: str) -> str:
    found = element.find(child)
    assert found is not None
    return str(found.get(name))


def parameters(interface: etree._Element) -> list[tuple[str, str]]:
    return [(str(p.get('name')), str(p.get('value'))) for p in interface.iter('parameter')]


@pytest.mark.parametrize('nics', COUNTS)
def test_the_text(golden: Callable[[str, str], None], nics: int) -> None:
    text = domain.render_domain(build(network_info=make_network_info(nics)))
    golden(f'virt/domain-{nics}-nics.xml', text)


def test_the_text_with_kvm_and_other_choices(golden: Callable[[str, str], None]) -> None:
    context = build(
        make_instance(flavor={'vcpus': 16, 'memory_mb': 524_288}),
        make_network_info(1),
        virt_type='kvm',
        machine_type='pc-i440fx-7.2',
        disk=dataclasses.replace(DISK, cache='writeback'),
    )
    golden('virt/domain-kvm.xml', domain.render_domain(context))


def test_a_configuration_drive_moves_no_nic(golden: Callable[[str, str], None]) -> None:
    without = schemas.check(domain.render_domain(build()), 'domain')
    text = domain.render_domain(build(config_drive='/srv/a/disk.config'))
    golden('virt/domain-config-drive.xml', text)
    slots = [
        [attribute(nic, 'address', 'slot') for nic in tree.iter('interface')]
        for tree in (without, schemas.check(text, 'domain'))
    ]
    assert slots[0] == slots[1]


@pytest.mark.parametrize('nics', [*COUNTS, domain.MAX_NICS])
def test_libvirt_knows_every_element(nics: int) -> None:
    text = domain.render_domain(build(network_info=make_network_info(nics), virt_type='kvm'))
    assert len(schemas.check(text, 'domain').findall('devices/interface')) == nics


@pytest.mark.parametrize('nics', [*COUNTS, domain.MAX_NICS])
def test_nics_keep_their_order_and_their_slots(nics: int) -> None:
    network_info = make_network_info(nics)
    interfaces = parse(network_info).findall('devices/interface')
    assert [attribute(i, 'mac', 'address') for i in interfaces] == [v.mac for v in network_info]
    assert [int(attribute(i, 'address', 'slot'), 16) for i in interfaces] == [
        0x10 + index for index in range(nics)
    ]


def test_a_slot_belongs_to_the_index_and_not_to_the_place() -> None:
    interfaces = parse(model.NetworkInfo((make_vif(2), make_vif(15)))).findall('devices/interface')
    assert [attribute(i, 'address', 'slot') for i in interfaces] == ['0x12', '0x1f']


def test_all_other_devices_are_below_the_nics() -> None:
    root = parse(make_network_info(8))
    slots = [
        int(str(address.get('slot')), 16)
        for device in root.iterfind('devices/*')
        if device.tag != 'interface'
        for address in device.findall('address')
    ]
    assert slots == [4, 5]
    assert max(slots) < model.FIRST_NIC_SLOT


def test_an_index_without_a_slot_is_refused() -> None:
    with pytest.raises(exception.InvalidInput):
        build(network_info=model.NetworkInfo((make_vif(16),)))


def test_every_address_reaches_the_filter() -> None:
    (interface,) = parse(model.NetworkInfo((make_vif(1),))).findall('devices/interface')
    assert parameters(interface) == [
        ('IP', '10.1.0.11'),
        ('IP', '10.1.0.200'),
        ('DHCPSERVER', '10.1.0.2'),
        ('PROJNET', '10.1.0.0'),
        ('PROJMASK', '255.255.254.0'),
        ('PROJNETV6', 'fd00:1::'),
        ('PROJMASKV6', 'ffff:ffff:ffff:ffff::'),
        ('RASERVER', 'fe80::1'),
    ]


def test_what_a_network_has_not_is_not_written() -> None:
    bare = make_vif(3, subnets=(), addresses=())
    quiet = make_vif(4, subnets=(model.Subnet(cidr='10.4.0.0/24', gateway='10.4.0.1'),))
    first, second = parse(model.NetworkInfo((bare, quiet))).findall('devices/interface')
    assert parameters(first) == []
    assert parameters(second) == [
        ('IP', '10.4.0.14'),
        ('PROJNET', '10.4.0.0'),
        ('PROJMASK', '255.255.255.0'),
    ]


@pytest.mark.parametrize('nics', COUNTS)
def test_the_filter_is_the_one_that_the_firewall_makes(nics: int) -> None:
    network_info = make_network_info(nics)
    named = [f.get('filter') for f in parse(network_info).iter('filterref')]
    made = [filters.filter_name(make_instance().name, vif.mac) for vif in network_info]
    assert named == made
    assert len(set(made)) == nics


def test_the_name_of_a_nic() -> None:
    assert domain.nic_name('instance-0000002a', make_vif(1)) == 'instance-0000002a-fa163e001101'


@pytest.mark.parametrize('nics', COUNTS)
def test_rendering_again_gives_the_same(nics: int) -> None:
    instance, network_info = make_instance(), make_network_info(nics)
    context = build(instance, network_info)
    first = domain.render_domain(context)
    assert domain.render_domain(context) == first
    assert domain.render_domain(build(instance, network_info)) == first
    assert (instance, network_info) == (make_instance(), make_network_info(nics))


@pytest.mark.parametrize(
    ('wanted', 'virt_type', 'mode'),
    [
        ('auto', 'kvm', 'host-model'),
        ('auto', 'qemu', None),
        ('none', 'kvm', None),
        ('host-passthrough', 'kvm', 'host-passthrough'),
        ('host-model', 'qemu', 'host-model'),
    ],
)
def test_the_cpu_mode(wanted: str, virt_type: str, mode: str | None) -> None:
    assert domain.choose_cpu_mode(wanted, virt_type) == mode


ATTACKS = [
    'x</nova:name></nova:instance></metadata><devices><disk/></devices>',
    """' onload='x""",
    '" x="',
    '&lt;&amp;&#0;',
    ']]>',
    '<!--',
    '<![CDATA[',
    '$nic.mac_address #for $x in $y',
    'tab\tand\nnewline',
    'é 漢字 🐧',
]


def shape(text: str) -> list[str]:
    """All elements with their attributes' names, in order."""
    root = etree.fromstring(text, etree.XMLParser(resolve_entities=False))
    return [f'{element.tag!s} {sorted(map(str, element.attrib))}' for element in root.iter()]


@pytest.mark.parametrize('value', ATTACKS)
@pytest.mark.parametrize('field', ['display_name', 'project_id', 'user_id', 'image_ref'])
def test_a_value_stays_a_value(field: str, value: str) -> None:
    usual = domain.render_domain(build())
    text = domain.render_domain(build(make_instance(**{field: value})))
    assert shape(text) == shape(usual)
    assert value in [element.text for element in etree.fromstring(text).iter()]


@given(st.text())
def test_any_text_is_carried_or_refused(value: str) -> None:
    instance = make_instance(display_name=value, flavor={'name': value})
    context = build(instance, disk=domain.Disk(path=value))
    try:
        text = domain.render_domain(context)
    except exception.InvalidName:
        assert any(ord(c) < 0x20 or 0xD800 <= ord(c) <= 0xDFFF or ord(c) > 0xFFFD for c in value)
        return
    assert shape(text) == shape(domain.render_domain(build()))


@given(st.text(min_size=1))
def test_any_text_in_a_nic_is_carried_or_refused(value: str) -> None:
    network = dataclasses.replace(make_vif(0).network, bridge=value)
    context = build(network_info=model.NetworkInfo((make_vif(0, network=network),)))
    try:
        text = domain.render_domain(context)
    except exception.InvalidName:
        return
    assert shape(text) == shape(domain.render_domain(build(network_info=make_network_info(1))))


def test_nothing_is_not_printed_as_nothing() -> None:
    context = dataclasses.replace(build(), user_id=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r'\$domain\.user_id is None'):
        domain.render_domain(context)
