"""What the rest of the project knows about an instance's NICs: one immutable snapshot.

:class:`NetworkInfo` holds an instance's VIFs in NIC order; each :class:`VIF` is on a
:class:`Network`, which has at most one :class:`Subnet` per address family. The domain XML, the
filters, the DHCP files, the metadata and the API are all rendered from the same snapshot, so
they cannot disagree. Everything here is a value: frozen, made of tuples and strings, comparable,
and able to cross RPC (:mod:`nova.primitive`).

Addresses are strings in canonical form (``str(netaddr.IPAddress(...))``), ranges are
``address/prefix``, MAC addresses are lower case with colons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses
import enum
import hashlib

import netaddr

from nova import primitive

#: Linux IFNAMSIZ less its terminating NUL (include/uapi/linux/if.h).
DEVICE_NAME_MAX = 15
#: NIC number i of a guest sits in this slot of PCI bus 0 plus i. Everything else is below, so
#: that a guest finds its NICs in the order of their indexes, whatever else it has.
FIRST_NIC_SLOT = 0x10
#: Where guests look for metadata, on every network (link-local: RFC 3927, RFC 4291).
METADATA_ADDRESS, METADATA_ADDRESS_V6 = '169.254.169.254', 'fe80::a9fe:a9fe'
#: The first 16 bits of the interface ids of our hosts, where each has an address of its own.
_HOST_MARK = 0x6E6F


class NetworkKind(enum.StrEnum):
    """How a network is made; each kind is served by the manager class of that name."""

    FLAT = 'flat'
    FLAT_DHCP = 'flat_dhcp'
    VLAN = 'vlan'


class Ipv6Mode(enum.StrEnum):
    """How a guest gets its IPv6 addresses where we announce the network (RFC 4861, section 4.2).

    The first two leave it to the guest, which makes the address of its MAC (RFC 4291, appendix A);
    ``STATELESS`` adds DHCPv6 for DNS. With ``STATEFUL`` DHCPv6 gives the address.
    """

    SLAAC = 'slaac'
    STATELESS = 'stateless'
    STATEFUL = 'stateful'


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A static route given to the guest: ``cidr`` is reached through ``gateway``."""

    cidr: str
    gateway: str


@primitive.versioned('1.1')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One address range of a network.

    ``gateway`` is None on a network that leads nowhere. ``dhcp_server`` is the address that DHCP
    answers come from, a field of its own because it need not be the gateway; None where nobody
    serves DHCP.

    Of IPv6 only: ``ipv6_mode`` is None where nobody announces the range; else the announcements
    come from the link-local address ``ra_server``. A gateway is a default route of every guest
    of the network, since an announcement reaches all of them alike.
    """

    cidr: str
    gateway: str | None = None
    dhcp_server: str | None = None
    dns: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    ipv6_mode: Ipv6Mode | None = None
    ra_server: str | None = None

    @property
    def version(self) -> int:
        """4 or 6."""
        return int(netaddr.IPNetwork(self.cidr).version)

    @property
    def network_address(self) -> str:
        """The lowest address of the range, without the prefix length."""
        return str(netaddr.IPNetwork(self.cidr).network)

    @property
    def netmask(self) -> str:
        """In the family's own notation: ``255.255.255.0``, ``ffff:ffff:ffff:ffff::``."""
        return str(netaddr.IPNetwork(self.cidr).netmask)

    @property
    def prefix_length(self) -> int:
        """Leading one bits of the netmask."""
        return int(netaddr.IPNetwork(self.cidr).prefixlen)

    def __contains__(self, address: str) -> bool:
        return netaddr.IPAddress(address) in netaddr.IPNetwork(self.cidr)


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as its guests see it. ``id`` is the network's UUID, ``host`` the host that
    serves its gateway and DHCP (None: not chosen yet)."""

    id: str
    label: str
    kind: NetworkKind
    bridge: str
    subnets: tuple[Subnet, ...] = ()
    mtu: int | None = None
    vlan: int | None = None
    physical_network: str | None = None
    host: str | None = None
    multi_host: bool = False

    def subnet(self, version: int) -> Subnet | None:
        """The range of IP ``version`` 4 or 6, or None."""
        return next((s for s in self.subnets if s.version == version), None)


class VifState(enum.StrEnum):
    """Whether a NIC is in its guest."""

    ATTACHING = 'attaching'
    ACTIVE = 'active'
    DETACHING = 'detaching'
    """It is wanted no more, but the guest has not let go of it yet. Its addresses stay its own
    until then."""


@primitive.versioned('1.1')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VIF:
    """An instance's network interface.

    ``id`` is a UUID, the key of everything that belongs to this NIC. ``index`` is its place in
    the guest, from 0, kept for life and never given to another NIC while the instance lives.
    ``addresses`` are the fixed IPs of all families, the first of each family being the one that
    DHCP hands out. ``security_groups`` are uuids. ``slot`` is its place on the guest's bus, from 0,
    kept for life but given to another NIC afterwards; None means the same number as ``index``.
    """

    id: str
    index: int
    mac: str
    network: Network
    addresses: tuple[str, ...] = ()
    default_route: bool = False
    tag: str | None = None
    security_groups: tuple[str, ...] = ()
    slot: int | None = None
    state: VifState = VifState.ACTIVE

    @property
    def place(self) -> int:
        """The slot of the guest's bus that the NIC is in, counted from the first one for NICs."""
        return self.index if self.slot is None else self.slot

    @property
    def device(self) -> str:
        """Name of the host's tap device, at most 15 characters, from the id and so unique."""
        return f'tap{self.id.replace("-", "")[: DEVICE_NAME_MAX - 3]}'

    @property
    def pci_address(self) -> str:
        """Where the guest finds the NIC (``domain:bus:slot.function``)."""
        return f'0000:00:{FIRST_NIC_SLOT + self.place:02x}.0'

    @property
    def link_local(self) -> str:
        """The address that the guest's kernel makes of the MAC (RFC 4291, appendix A)."""
        return mac_address_v6('fe80::/64', self.mac)

    def addresses_of(self, version: int) -> tuple[str, ...]:
        """The fixed IPs of IP ``version`` 4 or 6, in order."""
        return of_family(version, self.addresses)


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True)
class NetworkInfo:
    """All NICs of one instance, in the order of their index."""

    vifs: tuple[VIF, ...] = ()

    def __post_init__(self) -> None:
        indexes = [vif.index for vif in self.vifs]
        if indexes != sorted(set(indexes)):
            raise ValueError(f'NIC indexes {indexes} are not strictly increasing')

    def __iter__(self) -> Iterator[VIF]:
        return iter(self.vifs)

    def __len__(self) -> int:
        return len(self.vifs)

    def __getitem__(self, position: int) -> VIF:
        return self.vifs[position]


def of_family(version: int, addresses: Iterable[str]) -> tuple[str, ...]:
    """Those of ``addresses`` that are of IP ``version`` 4 or 6, in order."""
    return tuple(a for a in addresses if netaddr.IPAddress(a).version == version)


def mac_address_v6(cidr: str, mac: str) -> str:
    """The address of the /64 ``cidr`` that belongs to ``mac`` (modified EUI-64: RFC 4291,
    appendix A)."""
    return str(netaddr.EUI(mac).ipv6(netaddr.IPNetwork(cidr).first))


def mac_of_link_local(address: str) -> str | None:
    """The MAC address that a link-local address is made of (RFC 4291, appendix A); None: it is
    another address."""
    number = int(netaddr.IPAddress(address))
    if ':' not in address or number >> 64 != 0xFE80 << 48 or number >> 24 & 0xFFFF != 0xFFFE:
        return None
    high, low = number >> 40 & 0xFFFFFF, number & 0xFFFFFF
    octets = ((high ^ 0x020000) << 24 | low).to_bytes(6)
    return octets.hex(':')


def router_link_local(network_id: str) -> str:
    """The link-local address on every bridge of ours of this network, which router announcements
    come from. Made of the id, so that a host knows it of a network that another serves."""
    tail = hashlib.sha256(f'router {network_id}'.encode()).digest()[:8]
    return str(netaddr.IPAddress((0xFE80 << 112) | int.from_bytes(tail), 6))


def host_address_v6(cidr: str, key: str) -> str:
    """The address in the /64 ``cidr`` of a host of ours that is known as ``key``; see
    :func:`is_host_address_v6`."""
    digest = hashlib.sha256(f'host {key}'.encode()).digest()[:6]
    interface = _HOST_MARK << 48 | int.from_bytes(digest)
    return str(netaddr.IPAddress(netaddr.IPNetwork(cidr).first | interface, 6))


def is_host_address_v6(address: str) -> bool:
    """Whether it is one that :func:`host_address_v6` may make, and so no NIC's."""
    return int(netaddr.IPAddress(address)) >> 48 & 0xFFFF == _HOST_MARK


def bounded_device_name(prefix: str, key: str) -> str:
    """A device name of at most 15 characters that is ``prefix`` and a digest of ``key``.

    Equal keys give equal names; names of different keys differ but for a collision of a 40-bit
    or longer digest.
    """
    room = DEVICE_NAME_MAX - len(prefix)
    if room < 10:
        raise ValueError(f'prefix {prefix!r} leaves no room for a digest')
    return prefix + hashlib.sha256(key.encode()).hexdigest()[:room]
