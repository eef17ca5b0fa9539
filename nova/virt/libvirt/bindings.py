"""Bindings, by which libvirt has the filter of a NIC in force for its device; pure.

libvirt makes one when it plugs a NIC in and removes it with the NIC. Anybody may remove it sooner
(``virsh nwfilter-binding-delete``), and then nothing filters the NIC.

Format: https://libvirt.org/formatnwfilter.html#filter-binding-xml (``virNWFilterBindingDef``).
"""

from __future__ import annotations

from xml.etree import ElementTree


def render_bindings(domain_xml: str) -> dict[str, str]:
    """What binds the NICs of a domain that runs to the filters that it names for them, by device.

    :param domain_xml: as libvirt describes the domain while it runs, with the devices' names.
    """
    domain = ElementTree.fromstring(domain_xml)
    made = {}
    for interface in domain.iterfind('devices/interface'):
        device, mac, reference = map(interface.find, ('target', 'mac', 'filterref'))
        if device is not None and mac is not None and reference is not None:
            made[device.get('dev', '')] = _render(domain, device, mac, reference)
    return made


def _render(
    domain: ElementTree.Element,
    device: ElementTree.Element,
    mac: ElementTree.Element,
    reference: ElementTree.Element,
) -> str:
    binding = ElementTree.Element('filterbinding')
    owner = ElementTree.SubElement(binding, 'owner')
    for key in ('name', 'uuid'):
        ElementTree.SubElement(owner, key).text = domain.findtext(key)
    ElementTree.SubElement(binding, 'portdev', name=device.get('dev', ''))
    ElementTree.SubElement(binding, 'mac', address=mac.get('address', ''))
    binding.append(reference)
    return ElementTree.tostring(binding, encoding='unicode')
