"""First-hop safety of NICs by libvirt's network filters.

Every NIC has a container filter, ``nova-instance-<instance name>-<MAC without colons>``, which the
domain XML names and gives its addresses to. It refers to those of the shared filters below that
fit the NIC. Together they are a list of what may pass; everything else is dropped:

* from the guest, with the NIC's own MAC only: ARP that tells its own addresses, or asks as
  address probes do (RFC 5227), IPv4 from its own addresses, and the DHCP client;
* to the guest: ARP, IPv4, and DHCP answers of the network's own server only;
* of IPv6 from the guest: from its own addresses, the link-local one being that which is made of
  its MAC; the requests of address detection (RFC 4862) and of listeners (RFC 3810), which have no
  address yet; never announcements of routers, redirects or answers of DHCPv6 servers;
* of IPv6 to the guest: all, but announcements, redirects and answers of DHCPv6 servers from the
  network's own router only;
* no other kind of frame, and no ARP, IPv4 or IPv6 on a NIC without an address of the family.

What these rules cannot see is the target inside a neighbour advertisement: ebtables matches no
further than the type.

The rules are all in the root chain and speak ebtables only: libvirt runs a tool for every rule and
eight for every chain of its own, so this costs half of its ``clean-traffic`` filter. A shared
filter carries a digest of its content in its name and is never redefined, since libvirt would
rebuild the rules of every NIC that uses it.

The addresses that a NIC may use stand in its container filter, as the parameter ``ADDRESS``, and
not only in the domain XML: a container that is redefined takes effect on a running NIC, and libvirt
makes the new rules before it takes the old ones away. It changes the parameters of a running
interface the other way round, and the NIC would be open in between.

Formats: https://libvirt.org/formatnwfilter.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import hashlib
import re
import time
from typing import TYPE_CHECKING
import uuid

from oslo_log import log as logging

from nova import exception
from nova.network import model
from nova.network.firewall import rules
from nova.virt.libvirt import domain, xmltemplate

if TYPE_CHECKING:
    from nova.virt.libvirt import host

LOG = logging.getLogger(__name__)

#: UUIDs of our filters are made of it and their names: whoever defines a filter again gives the
#: same UUID, without which libvirt refuses.
_UUID_NAMESPACE = uuid.UUID('35c4c6a1-7d5c-44bc-8f0c-6f9a2f4d1c8e')

_SHARED_NAME = re.compile(r'nova-base(-[a-z0-9]+)?-[0-9a-f]{8}')

#: Takes the name of a tap device.
ForgetTap = Callable[[str], None]

#: Seconds for which libvirt may go on counting a filter as used after its domain is gone.
_RELEASE_TIMEOUT_S = 5.0

# In order of priority: what a guest may ask of a DHCP server, and the right server's answers.
_DHCP_RULES = """\
  <rule action='accept' direction='out' priority='100'>
    <ip srcmacaddr='$MAC' srcipaddr='0.0.0.0' dstipaddr='255.255.255.255' protocol='udp'\
 srcportstart='68' dstportstart='67'/>
  </rule>
  <rule action='accept' direction='in' priority='100'>
    <ip srcipaddr='$DHCPSERVER' protocol='udp' srcportstart='67' dstportstart='68'/>
  </rule>
"""
# No other DHCP answers, in either direction; in the end nothing that was not accepted. The two
# rules may not become one of direction 'inout', for which libvirt swaps the ports on the way out.
_BASE_RULES = """\
  <rule action='drop' direction='out' priority='200'>
    <ip protocol='udp' srcportstart='67'/>
  </rule>
  <rule action='drop' direction='in' priority='200'>
    <ip protocol='udp' srcportstart='67'/>
  </rule>
  <rule action='drop' direction='inout' priority='1000'/>
"""
# The address has an iterator of its own, or libvirt wants as many MAC addresses as there are of it.
_IPV4_RULES = """\
  <rule action='accept' direction='out' priority='500'>
    <ip srcmacaddr='$MAC' srcipaddr='$ADDRESS[@1]'/>
  </rule>
  <rule action='accept' direction='out' priority='500'>
    <arp srcmacaddr='$MAC' arpsrcmacaddr='$MAC' arpsrcipaddr='$ADDRESS[@1]'/>
  </rule>
  <rule action='accept' direction='out' priority='500'>
    <arp srcmacaddr='$MAC' arpsrcmacaddr='$MAC' arpsrcipaddr='0.0.0.0' opcode='Request'/>
  </rule>
  <rule action='accept' direction='in' priority='500'>
    <mac protocolid='ipv4'/>
  </rule>
  <rule action='accept' direction='in' priority='500'>
    <mac protocolid='arp'/>
  </rule>
"""


# Types: 131 and 143 reports of listeners, 133 and 134 routers, 135 neighbours, 137 redirects
# (RFC 4861, section 4; RFC 2710; RFC 3810). 547 is a DHCPv6 server.
_IPV6_RULES = """\
  <rule action='drop' direction='out' priority='300'>
    <ipv6 protocol='icmpv6' type='134'/>
  </rule>
  <rule action='drop' direction='out' priority='300'>
    <ipv6 protocol='icmpv6' type='137'/>
  </rule>
  <rule action='drop' direction='out' priority='300'>
    <ipv6 protocol='udp' srcportstart='547'/>
  </rule>
  <rule action='drop' direction='in' priority='300'>
    <ipv6 protocol='icmpv6' type='134'/>
  </rule>
  <rule action='drop' direction='in' priority='300'>
    <ipv6 protocol='icmpv6' type='137'/>
  </rule>
  <rule action='drop' direction='in' priority='300'>
    <ipv6 protocol='udp' srcportstart='547'/>
  </rule>
  <rule action='accept' direction='out' priority='500'>
    <ipv6 srcmacaddr='$MAC' srcipaddr='$ADDRESS[@1]'/>
  </rule>
  <rule action='accept' direction='out' priority='500'>
    <ipv6 srcmacaddr='$MAC' srcipaddr='::' protocol='icmpv6' type='131'/>
  </rule>
  <rule action='accept' direction='out' priority='500'>
    <ipv6 srcmacaddr='$MAC' srcipaddr='::' protocol='icmpv6' type='133'/>
  </rule>
  <rule action='accept' direction='out' priority='500'>
    <ipv6 srcmacaddr='$MAC' srcipaddr='::' protocol='icmpv6' type='135'/>
  </rule>
  <rule action='accept' direction='out' priority='500'>
    <ipv6 srcmacaddr='$MAC' srcipaddr='::' protocol='icmpv6' type='143'/>
  </rule>
  <rule action='accept' direction='in' priority='500'>
    <mac protocolid='ipv6'/>
  </rule>
"""
# Before those that drop what any other says.
_RA_RULES = """\
  <rule action='accept' direction='in' priority='100'>
    <ipv6 srcipaddr='$RASERVER' protocol='icmpv6' type='134'/>
  </rule>
  <rule action='accept' direction='in' priority='100'>
    <ipv6 srcipaddr='$RASERVER' protocol='icmpv6' type='137'/>
  </rule>
  <rule action='accept' direction='in' priority='100'>
    <ipv6 srcipaddr='$RASERVER' protocol='udp' srcportstart='547' dstportstart='546'/>
  </rule>
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """A network filter and its definition."""

    name: str
    xml: str


def _filter_xml(name: str, content: str) -> str:
    escaped = xmltemplate.escape(name, 'filter name')
    identity = uuid.uuid5(_UUID_NAMESPACE, name)
    return (
        f"<filter name='{escaped}' chain='root'>\n  <uuid>{identity}</uuid>\n{content}</filter>\n"
    )


def build_shared_filter(name: str, content: str) -> Filter:
    """A filter of its own content: ``name`` and a digest of the rules are its name."""
    full_name = f'{name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}'
    return Filter(full_name, _filter_xml(full_name, content))


BASE = build_shared_filter('nova-base', _BASE_RULES)
BASE_IPV4 = build_shared_filter('nova-base-ipv4', _IPV4_RULES)
BASE_DHCP = build_shared_filter('nova-base-dhcp', _DHCP_RULES)
BASE_IPV6 = build_shared_filter('nova-base-ipv6', _IPV6_RULES)
BASE_RA = build_shared_filter('nova-base-ra', _RA_RULES)
SHARED = (BASE, BASE_IPV4, BASE_DHCP, BASE_IPV6, BASE_RA)


def filter_name(instance_name: str, vif: model.VIF) -> str:
    """The name of a NIC's filter, which its domain XML refers to."""
    return f'nova-instance-{domain.nic_name(instance_name, vif)}'


def build_nic_filter(instance_name: str, vif: model.VIF) -> Filter:
    """The container filter of a NIC; pure."""
    subnet = vif.network.subnet(4)
    references = [_reference(BASE)]
    if addresses := vif.addresses_of(4):
        references.append(_reference(BASE_IPV4, addresses))
    if subnet is not None and subnet.dhcp_server is not None:
        references.append(_reference(BASE_DHCP))
    if addresses_v6 := vif.addresses_of(6):
        references.append(_reference(BASE_IPV6, (vif.link_local, *addresses_v6)))
    subnet_v6 = vif.network.subnet(6)
    if subnet_v6 is not None and subnet_v6.ra_server is not None:
        references.append(_reference(BASE_RA))
    name = filter_name(instance_name, vif)
    return Filter(name, _filter_xml(name, ''.join(references)))


def _reference(part: Filter, addresses: Iterable[str] = ()) -> str:
    parameters = ''.join(
        f"    <parameter name='ADDRESS' value='{xmltemplate.escape(address, 'address')}'/>\n"
        for address in addresses
    )
    if not parameters:
        return f"  <filterref filter='{part.name}'/>\n"
    return f"  <filterref filter='{part.name}'>\n{parameters}  </filterref>\n"


class NWFilterFirewall:
    """Keeps the filters of the guests of one host.

    :param forget_tap: removes what libvirt left of the rules of a tap device that is gone.
    """

    uses_filterref = True

    def __init__(self, libvirt_host: host.Host, forget_tap: ForgetTap) -> None:
        self._host = libvirt_host
        self._forget_tap = forget_tap

    def init_host(self) -> None:
        """Make the shared filters, and remove those of former versions that no NIC uses.

        :raises FirewallSetupFailed: libvirt refused.
        """
        names = self._host.filter_names()
        for shared in SHARED:
            if shared.name not in names:
                self._define(shared, vif='every interface')
        current = {shared.name for shared in SHARED}
        for name in sorted(filter(_SHARED_NAME.fullmatch, names - current)):
            if self._host.undefine_filter(name):
                LOG.info('Removed the network filter %s of a former version.', name)

    def prepare(self, instance_name: str, vifs: Iterable[model.VIF]) -> None:
        """Make the filters of these NICs; libvirt puts each in force when it makes the NIC. Of a
        NIC that is there already, its addresses change in force at once.

        :raises FirewallSetupFailed: libvirt refused.
        """
        for vif in vifs:
            self._define(build_nic_filter(instance_name, vif), vif=vif.id)

    def remove(self, instance_name: str, vifs: Iterable[model.VIF]) -> None:
        """Remove the filters of these NICs, and any other that is of the same instance, all of
        which must be gone from the host. What is not there is no error.

        :raises FirewallSetupFailed: a filter is still in use.
        """
        nic_filter = re.compile(re.escape(f'nova-instance-{instance_name}-') + '[0-9a-f]{12}')
        found = set(filter(nic_filter.fullmatch, self._host.filter_names()))
        gone = list(vifs)
        for name in sorted(found | {filter_name(instance_name, vif) for vif in gone}):
            self._undefine(name)
        for vif in gone:
            self._forget_tap(vif.device)

    def remove_nic(self, instance_name: str, vif: model.VIF) -> None:
        """Remove the filter of one NIC, which must be gone from the host. That it is not there is
        no error.

        :raises FirewallSetupFailed: it is still in use.
        """
        self._undefine(filter_name(instance_name, vif))
        self._forget_tap(vif.device)

    def apply_groups(
        self,
        guests: Mapping[str, model.NetworkInfo],
        ruleset: rules.Ruleset,
        *,
        repair: bool = False,
    ) -> frozenset[str]:
        """Security groups are not for these filters, which hold the first-hop stage only.

        :returns: the ids of the NICs that follow their groups: none.
        """
        return frozenset()

    def _define(self, wanted: Filter, *, vif: str) -> None:
        try:
            self._host.define_filter(wanted.xml)
        except exception.HypervisorError as exc:
            raise exception.FirewallSetupFailed(vif=vif, reason=str(exc)) from exc

    def _undefine(self, name: str) -> None:
        deadline = time.monotonic() + _RELEASE_TIMEOUT_S
        while not self._host.undefine_filter(name):
            if time.monotonic() > deadline:
                raise exception.FirewallSetupFailed(vif=name, reason='its filter is still in use')
            time.sleep(0.1)
