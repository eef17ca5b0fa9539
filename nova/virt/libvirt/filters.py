"""Network filters of libvirt's: what every NIC is held to; pure.

Every NIC has a container filter, ``nova-instance-<instance name>-<MAC without colons>``, which the
domain XML names. It refers to those of the shared filters below that fit the NIC, and to its
security groups' (:mod:`nova.virt.libvirt.groupfilters`), and gives them the NIC's values.

The first hop is rules of ebtables, a list of what may pass; everything else is dropped:

* from the guest, with the NIC's own MAC only: ARP that tells its own addresses, or probes for them
  (RFC 5227), IPv4 from its own addresses, and the DHCP client;
* to the guest: ARP, IPv4, and DHCP answers of the network's own server only;
* of IPv6 from the guest: from its own addresses, the link-local one being that which is made of
  its MAC; the requests of address detection (RFC 4862) and of listeners (RFC 3810), which have no
  address yet; never announcements of routers, redirects or answers of DHCPv6 servers;
* of IPv6 to the guest: all, but announcements from the network's own router, and answers of
  DHCPv6 from its own server only, and no redirects;
* no other kind of frame, and no ARP, IPv4 or IPv6 on a NIC without an address of the family.

They are all in the root chain: libvirt runs a tool for every rule and eight for every chain of its
own, so this costs half of its ``clean-traffic`` filter.

Behind it are rules of iptables and ip6tables, as far as the NIC has addresses of the family: what
ebtables cannot see (kinds of ICMP that only routers send, and whatever a packet is once its
fragments are put together), what belongs to an admitted connection, and the groups. What would take
many rules is one that refers to a set, since each is three runs of a tool.

The drawback of the mechanism is what none of these tools can match: extension headers of IPv6, the
target of neighbour discovery, hop limits, and what is inside of DHCP.

A shared filter carries a digest of its content in its name and is never redefined, since libvirt
would rebuild the rules of every NIC that uses it. The values of a NIC stand in its container
filter, and not only in the domain XML: a container that is redefined takes effect on a running NIC,
and libvirt makes the new rules before it takes the old ones away. It changes the parameters of a
running interface the other way round, and the NIC would be open in between.

Formats: https://libvirt.org/formatnwfilter.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import hashlib
import re
import uuid

from nova.network.firewall import interpreter, ipsets, rules
from nova.virt.libvirt import xmltemplate

#: UUIDs of our filters are made of it and their names: whoever defines a filter again gives the
#: same UUID, without which libvirt refuses.
_UUID_NAMESPACE = uuid.UUID('35c4c6a1-7d5c-44bc-8f0c-6f9a2f4d1c8e')

#: What is shared by all NICs, of this version and of others.
SHARED_NAME = re.compile(r'nova-base(-[a-z0-9]+)*-[0-9a-f]{8}')
NIC_NAME = re.compile(r'nova-instance-(?P<instance>.+)-[0-9a-f]{12}')


def owner_of(name: str) -> str | None:
    """The name of the instance whose NIC's filter has this name; None for any other filter."""
    found = NIC_NAME.fullmatch(name)
    return found['instance'] if found else None


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """A network filter and its definition."""

    name: str
    xml: str


def build_filter(name: str, content: str) -> Filter:
    """A filter that is known by its name, whatever it says."""
    escaped = xmltemplate.escape(name, 'filter name')
    identity = uuid.uuid5(_UUID_NAMESPACE, name)
    xml = f"<filter name='{escaped}' chain='root'>\n  <uuid>{identity}</uuid>\n{content}</filter>\n"
    return Filter(name, xml)


def build_shared_filter(name: str, content: str) -> Filter:
    """A filter of its own content: ``name`` and a digest of the rules are its name."""
    return build_filter(f'{name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}', content)


def render_rule(action: str, direction: str, priority: int, match: str) -> str:
    """A rule; an empty ``match`` matches all frames."""
    head = f"  <rule action='{action}' direction='{direction}' priority='{priority}'"
    return f'{head}>\n    <{match}/>\n  </rule>\n' if match else f'{head}/>\n'


def render_reference(part: Filter, **parameters: Iterable[str]) -> str:
    """A reference to a filter, with the values of its variables."""
    lines = [
        f"    <parameter name='{name}' value='{xmltemplate.escape(value, 'parameter')}'/>\n"
        for name, values in parameters.items()
        for value in values
    ]
    if not lines:
        return f"  <filterref filter='{part.name}'/>\n"
    return f"  <filterref filter='{part.name}'>\n{''.join(lines)}  </filterref>\n"


def _render(text: str) -> str:
    """Rules, of which ``text`` has one in each line: action, direction, priority and match."""
    lines = [line.split(maxsplit=3) for line in text.strip().splitlines()]
    return ''.join(
        render_rule(action, direction, int(priority), ''.join(match))
        for action, direction, priority, *match in lines
    )


# Direction 'inout' is only for rules without addresses and ports: libvirt swaps source and target
# for the frames of one direction.
_BASE = 'drop inout 1000'
# A client of DHCP, and none but the right server: neither relays nor servers are guests. Who asks
# all listeners is a router (RFC 2236, section 9). An address has an iterator of its own, or libvirt
# wants as many MAC addresses as there are of it.
_IPV4 = """
drop out 200 ip protocol='udp' srcportstart='67'
drop out 200 ip protocol='udp' srcportstart='0' srcportend='67' dstportstart='67'
drop out 200 ip protocol='udp' srcportstart='69' srcportend='65535' dstportstart='67'
drop in 200 ip protocol='udp' srcportstart='67'
drop out 200 ip protocol='igmp' dstipaddr='224.0.0.1'
accept out 500 ip srcmacaddr='$MAC' srcipaddr='$ADDRESS[@1]'
drop out 400 arp arpdstipaddr='255.255.255.255'
accept out 500 arp srcmacaddr='$MAC' hwtype='1' protocoltype='0x0800' opcode='Request' \
arpsrcmacaddr='$MAC' arpsrcipaddr='$ADDRESS[@1]'
accept out 500 arp srcmacaddr='$MAC' hwtype='1' protocoltype='0x0800' opcode='Reply' \
arpsrcmacaddr='$MAC' arpsrcipaddr='$ADDRESS[@1]'
accept out 500 arp srcmacaddr='$MAC' hwtype='1' protocoltype='0x0800' opcode='Request' \
arpsrcmacaddr='$MAC' arpsrcipaddr='0.0.0.0' arpdstipaddr='$ADDRESS[@1]'
accept in 500 mac protocolid='ipv4'
accept in 500 mac protocolid='arp'
"""
_DHCP = """
accept out 100 ip srcmacaddr='$MAC' srcipaddr='0.0.0.0' dstipaddr='255.255.255.255' \
protocol='udp' srcportstart='68' dstportstart='67'
accept in 100 ip srcipaddr='$DHCPSERVER' protocol='udp' srcportstart='67' dstportstart='68'
"""
# Types: 130 questions to listeners, 131 to 133 and 143 their reports and the question for routers,
# 134 routers, 135 neighbours, 137 redirects (RFC 4861, section 4; RFC 2710; RFC 3810).
_IPV6 = """
drop out 300 ipv6 protocol='icmpv6' type='130'
drop out 300 ipv6 protocol='icmpv6' type='134'
drop out 300 ipv6 protocol='icmpv6' type='137' typeend='138'
drop out 300 ipv6 protocol='udp' srcportstart='547'
drop out 300 ipv6 protocol='udp' dstportstart='546'
drop out 300 ipv6 protocol='udp' srcportstart='0' srcportend='545' dstportstart='547'
drop out 300 ipv6 protocol='udp' srcportstart='548' srcportend='65535' dstportstart='547'
drop in 300 ipv6 protocol='icmpv6' type='134'
drop in 300 ipv6 protocol='icmpv6' type='137' typeend='138'
drop in 300 ipv6 protocol='udp' srcportstart='547'
accept out 500 ipv6 srcmacaddr='$MAC' srcipaddr='$ADDRESS[@1]'
accept out 500 ipv6 srcmacaddr='$MAC' srcipaddr='::' protocol='icmpv6' type='131' typeend='133'
accept out 500 ipv6 srcmacaddr='$MAC' srcipaddr='::' protocol='icmpv6' type='135'
accept out 500 ipv6 srcmacaddr='$MAC' srcipaddr='::' protocol='icmpv6' type='143'
accept in 500 mac protocolid='ipv6'
"""
_RA = "accept in 100 ipv6 srcipaddr='$RASERVER' protocol='icmpv6' type='134'"
_DHCPV6 = """
accept in 100 ipv6 srcipaddr='$DHCPV6SERVER' protocol='udp' srcportstart='547' dstportstart='546'
"""


# --- sets of what iptables is to do with certain kinds of packets, whoever they are from or for

_ROUTER_V4 = (5, 9)  # redirect, router advertisement (RFC 792, RFC 1256)
_LISTENERS = interpreter.MLD_REPORTS | {130}
_NEIGHBOURS = frozenset({133, 134, 135, 136})
#: Of the kinds of ICMPv6 that no group is asked about, those that a guest may send; the first hop
#: has seen to the rest.
_GUEST_V6 = interpreter.MLD_REPORTS | {133, 135, 136}
#: Extension headers that hide what follows from those who walk over the others.
_OPAQUE_V6 = (135, 139, 140, 253, 254)


def _build_kinds(name: str, version: int, kinds: Iterable[str]) -> ipsets.IpSet:
    """A set of kinds of packets, as ``protocol:port`` or ``protocol:type/code``."""
    entries = frozenset(
        f'{everywhere},{kind}' for everywhere in ipsets.EVERYWHERE[version] for kind in kinds
    )
    return ipsets.IpSet(
        name=f'nova-{name}-{ipsets.digest(sorted(entries))[:8]}',
        kind='hash:net,port',
        version=version,
        entries=entries,
    )


def _types(protocol: int, types: Iterable[int]) -> list[str]:
    return [f'{protocol}:{kind}/{code}' for kind in types for code in range(256)]


#: Refused in both directions; and of those that groups are not asked about, the port is that of
#: the server.
REFUSED_V4 = _build_kinds('refused4', 4, _types(rules.ICMP, _ROUTER_V4))
SERVICE_V4 = _build_kinds('service4', 4, ['17:67'])
_OTHER_CONTROL = interpreter.ICMPV6_CONTROL - _LISTENERS - _NEIGHBOURS
_OPAQUE = [f'{protocol}:0' for protocol in _OPAQUE_V6]
REFUSED_V6_OUT = _build_kinds(
    'refused6-out',
    6,
    [*_types(rules.ICMPV6, interpreter.ICMPV6_CONTROL - _GUEST_V6), *_OPAQUE],
)
REFUSED_V6_IN = _build_kinds(
    'refused6-in', 6, [*_types(rules.ICMPV6, _OTHER_CONTROL | {133}), *_OPAQUE]
)
SERVICE_V6 = _build_kinds(
    'service6', 6, ['17:547', *_types(rules.ICMPV6, _LISTENERS | _NEIGHBOURS)]
)
SHARED_SETS = (REFUSED_V4, SERVICE_V4, REFUSED_V6_OUT, REFUSED_V6_IN, SERVICE_V6)

# Libvirt swaps the flags of sets like addresses and ports: of frames to the guest, 'src,src' is the
# source and the source port, of those from it the target and the target port. ``state`` NONE makes
# a rule of one direction, with no match of the state of the connection.
_IS = "ipset='{}' ipsetflags='src,src' state='NONE'"
#: Priorities of what iptables does, in between which are the rules of the operator and the groups.
PROVIDER_PRIORITY, GROUP_PRIORITY = 300, 500
_STATE_V4 = f"""
drop inout 100 all {_IS.format(REFUSED_V4.name)}
accept inout 150 all {_IS.format(SERVICE_V4.name)}
accept inout 200 all state='ESTABLISHED,RELATED'
"""
# What is invalid are first fragments without all headers, which are not put together (RFC 8200,
# section 4.5).
_STATE_V6 = f"""
drop out 90 all-ipv6 state='INVALID'
drop in 100 all-ipv6 {_IS.format(REFUSED_V6_IN.name)}
drop out 100 all-ipv6 ipset='{REFUSED_V6_OUT.name}' ipsetflags='dst,dst' state='NONE'
accept inout 150 all-ipv6 {_IS.format(SERVICE_V6.name)}
accept inout 200 all-ipv6 state='ESTABLISHED,RELATED'
"""

BASE = build_shared_filter('nova-base', _render(_BASE))
BASE_IPV4 = build_shared_filter('nova-base-ipv4', _render(_IPV4))
BASE_DHCP = build_shared_filter('nova-base-dhcp', _render(_DHCP))
BASE_IPV6 = build_shared_filter('nova-base-ipv6', _render(_IPV6))
BASE_RA = build_shared_filter('nova-base-ra', _render(_RA))
BASE_DHCPV6 = build_shared_filter('nova-base-dhcpv6', _render(_DHCPV6))
STATE: Mapping[int, Filter] = {
    4: build_shared_filter('nova-base-state4', _render(_STATE_V4)),
    6: build_shared_filter('nova-base-state6', _render(_STATE_V6)),
}
#: What nothing admitted; for NICs that have groups, of which there may be none.
CLOSED: Mapping[int, Filter] = {
    4: build_shared_filter('nova-base-closed4', _render('drop inout 1000 all')),
    6: build_shared_filter('nova-base-closed6', _render('drop inout 1000 all-ipv6')),
}
SHARED = (
    *(BASE, BASE_IPV4, BASE_DHCP, BASE_IPV6, BASE_RA, BASE_DHCPV6),
    *STATE.values(),
    *CLOSED.values(),
)


# --- the filter of a NIC


def filter_name(instance_name: str, mac: str) -> str:
    """The name of a NIC's filter, which its domain XML refers to."""
    return f'nova-instance-{instance_name}-{mac.replace(":", "")}'


def build_nic_filter(
    instance_name: str, nic: rules.NicPolicy, groups: Iterable[Filter] = (), *, anew: bool = False
) -> Filter:
    """The container filter of a NIC, which refers to ``groups`` too.

    :param anew: do the same by another definition, so that libvirt makes the rules anew.
    """
    hop = nic.first_hop
    parts = [render_reference(BASE, ANEW=['yes'] if anew else ())]
    if hop.ipv4:
        parts.append(render_reference(BASE_IPV4, ADDRESS=hop.ipv4))
        if hop.dhcp_servers:
            parts.append(render_reference(BASE_DHCP, DHCPSERVER=hop.dhcp_servers))
    if hop.ipv6:
        parts.append(render_reference(BASE_IPV6, ADDRESS=hop.ipv6))
        if hop.routers:
            parts.append(render_reference(BASE_RA, RASERVER=hop.routers))
        if hop.dhcpv6_servers:
            parts.append(render_reference(BASE_DHCPV6, DHCPV6SERVER=hop.dhcpv6_servers))
    for version in versions(nic):
        parts.append(render_reference(STATE[version]))
        if nic.groups is not None:
            parts.append(render_reference(CLOSED[version]))
    parts += [render_reference(group) for group in groups]
    return build_filter(filter_name(instance_name, hop.mac), ''.join(parts))


def versions(nic: rules.NicPolicy) -> tuple[int, ...]:
    """The families that a NIC may speak."""
    return tuple(version for version in (4, 6) if nic.first_hop.addresses(version))
