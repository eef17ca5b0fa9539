"""A libvirt daemon in memory, at the border of libvirt's own Python binding.

It keeps what it is told and raises what :attr:`FakeDaemon.refuse` says; whether XML makes sense is
for the real one to judge, in the integration tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import libvirt
from lxml import etree

from nova.network.firewall import rules


def error(code: int, text: str = 'refused', domain: int = 0) -> libvirt.libvirtError:
    made = libvirt.libvirtError(text)
    made.err = (code, domain, text, 2, None, None, None, 0, 0)
    return made


class FakeDaemon:
    """What the daemon knows. ``refuse`` maps the name of a method of libvirt's to the errors that
    its next calls raise, one after the other."""

    def __init__(self) -> None:
        self.domains: dict[str, FakeDomain] = {}
        self.filters: dict[str, str] = {}
        self.refuse: dict[str, list[libvirt.libvirtError]] = {}
        self.calls: list[str] = []
        self.used: set[str] = set()
        # devices for which it has filters in force
        self.filtered: set[str] = set()
        # what somebody else than a domain has had put in force
        self.bound: list[str] = []
        #: Definitions of filters, as they came.
        self.defined: list[str] = []
        # of domains, by MAC address
        self.interfaces: dict[str, str] = {}
        self.forgotten: list[str] = []
        self.opened = 0

    def open(self, uri: str) -> FakeConnection:
        self.enter('open')
        self.opened += 1
        return FakeConnection(self)

    def enter(self, name: str) -> None:
        self.calls.append(name)
        if self.refuse.get(name):
            raise self.refuse[name].pop(0)

    def forget_tap(self, device: str) -> None:
        """In the place of the kernel, where libvirt may leave rules of the device."""
        self.forgotten.append(device)

    def is_empty(self) -> bool:
        return not self.domains and not any('nova-instance' in name for name in self.filters)


class FakeConnection:
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon
        self.alive = 1

    def isAlive(self) -> int:
        return self.alive

    def getVersion(self) -> int:
        try:
            self._daemon.enter('getVersion')
        except libvirt.libvirtError as exc:
            if exc.get_error_code() == libvirt.VIR_ERR_RPC:
                self.alive = 0
            raise
        return 7_002_000

    def getInfo(self) -> list[Any]:
        return ['x86_64', 16_000, 8, 2600, 1, 1, 8, 1]

    def defineXML(self, xml: str) -> FakeDomain:
        self._daemon.enter('defineXML')
        root = etree.fromstring(xml)
        uuid = str(root.findtext('uuid'))
        made = FakeDomain(self._daemon, uuid, str(root.findtext('name')))
        made.stored = {self._keep(nic) for nic in root.iterfind('devices/interface')}
        self._daemon.domains[uuid] = made
        self._daemon.used |= {str(f.get('filter')) for f in root.iter('filterref')}
        return made

    def _keep(self, interface: Any) -> str:
        mac = str(interface.xpath('string(mac/@address)'))
        self._daemon.interfaces[mac] = etree.tostring(interface, encoding='unicode')
        return mac

    def lookupByName(self, name: str) -> FakeDomain:
        for domain in self._daemon.domains.values():
            if domain.name() == name:
                return domain
        raise error(libvirt.VIR_ERR_NO_DOMAIN, f'no domain with name {name}')

    def lookupByUUIDString(self, uuid: str) -> FakeDomain:
        self._daemon.enter('lookupByUUIDString')
        if uuid not in self._daemon.domains:
            raise error(libvirt.VIR_ERR_NO_DOMAIN, f'no domain with uuid {uuid}')
        return self._daemon.domains[uuid]

    def listAllDomains(self) -> list[FakeDomain]:
        return list(self._daemon.domains.values())

    def nwfilterDefineXML(self, xml: str) -> None:
        self._daemon.enter('nwfilterDefineXML')
        self._daemon.filters[str(etree.fromstring(xml).get('name'))] = xml
        self._daemon.defined.append(xml)

    def listAllNWFilters(self) -> list[FakeFilter]:
        return [FakeFilter(self._daemon, name) for name in self._daemon.filters]

    def listAllNWFilterBindings(self) -> list[FakeBinding]:
        return [FakeBinding(self._daemon, device) for device in self._daemon.filtered]

    def nwfilterBindingCreateXML(self, xml: str) -> FakeBinding:
        self._daemon.enter('nwfilterBindingCreateXML')
        device = str(etree.fromstring(xml).xpath('string(portdev/@name)'))
        self._daemon.filtered.add(device)
        self._daemon.bound.append(xml)
        return FakeBinding(self._daemon, device)

    def nwfilterLookupByName(self, name: str) -> FakeFilter:
        if name not in self._daemon.filters:
            raise error(libvirt.VIR_ERR_NO_NWFILTER, f'no filter {name}')
        return FakeFilter(self._daemon, name)


class FakeDomain:
    def __init__(self, daemon: FakeDaemon, uuid: str, name: str) -> None:
        self._daemon = daemon
        self._uuid = uuid
        self._name = name
        self.active = False
        self.starting = False
        # its NICs go after the next look at them
        self.vanishing = False
        # it goes when something filters
        self.undefined = False
        # MAC addresses; a deaf guest lets go of none
        self.stored: set[str] = set()
        self.live: set[str] = set()
        self.deaf = False

    def name(self) -> str:
        return self._name

    def create(self) -> None:
        self._daemon.enter('create')
        self.active = True
        self.live = set(self.stored)

    def XMLDesc(self, flags: int) -> str:
        macs = self.stored if flags & libvirt.VIR_DOMAIN_XML_INACTIVE else self.live
        bare = "<interface><mac address='{}'/></interface>"
        nics = (self._daemon.interfaces.get(mac, bare.format(mac)) for mac in sorted(macs))
        if self.vanishing:
            self.live.clear()
        known_by = f'<name>{self._name}</name><uuid>{self._uuid}</uuid>'
        return f'<domain>{known_by}<devices>{"".join(nics)}</devices></domain>'

    def attachDeviceFlags(self, xml: str, flags: int) -> None:
        self._daemon.enter('attachDeviceFlags')
        root = etree.fromstring(xml)
        macs = self.stored if flags == libvirt.VIR_DOMAIN_AFFECT_CONFIG else self.live
        macs.add(str(root.xpath('string(mac/@address)')))
        self._daemon.used |= {str(f.get('filter')) for f in root.iter('filterref')}

    def detachDeviceFlags(self, xml: str, flags: int) -> None:
        self._daemon.enter('detachDeviceFlags')
        root = etree.fromstring(xml)
        mac = str(root.xpath('string(mac/@address)'))
        if flags == libvirt.VIR_DOMAIN_AFFECT_CONFIG:
            self.stored.discard(mac)
        elif not self.deaf:
            self.live.discard(mac)
        if mac not in self.stored | self.live:
            self._daemon.used -= {str(f.get('filter')) for f in root.iter('filterref')}

    def shutdown(self) -> None:
        self._daemon.enter('shutdown')
        if not self.deaf:
            self.active = False
            self.live.clear()

    def isActive(self) -> bool:
        return self.active

    def state(self) -> tuple[int, int]:
        if self.undefined and self._daemon.filtered:
            raise error(libvirt.VIR_ERR_NO_DOMAIN, 'no domain')
        if self.starting:
            return (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP)
        running = libvirt.VIR_DOMAIN_RUNNING if self.active else libvirt.VIR_DOMAIN_SHUTOFF
        return (running, 0)

    def destroy(self) -> None:
        self._daemon.enter('destroy')
        self.active = False
        self.live.clear()

    def undefineFlags(self, flags: int) -> None:
        self._daemon.enter('undefineFlags')
        assert flags & libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        del self._daemon.domains[self._uuid]
        self._daemon.used.clear()


class FakeFilter:
    def __init__(self, daemon: FakeDaemon, name: str) -> None:
        self._daemon = daemon
        self._name = name

    def name(self) -> str:
        return self._name

    def undefine(self) -> None:
        self._daemon.enter('undefine')
        if self._name in self._daemon.used:
            raise error(libvirt.VIR_ERR_OPERATION_INVALID, 'nwfilter is in use')
        del self._daemon.filters[self._name]


class FakeBinding:
    def __init__(self, daemon: FakeDaemon, device: str) -> None:
        self._daemon = daemon
        self._device = device

    def portDev(self) -> str:
        return self._device

    def delete(self) -> None:
        self._daemon.filtered.discard(self._device)


class FakeSets:
    """Sets in memory; those in ``used`` stay, and ``refused`` is no address."""

    def __init__(self) -> None:
        self.refused = ''
        self.entries: dict[str, set[str]] = {}
        self.used: set[str] = set()

    def ensure(self, sets: Sequence[tuple[str, str, int, Sequence[str]]]) -> None:
        if self.refused and self.refused in str(sets):
            raise OSError(5, f'no address: {self.refused}')
        self.entries |= {name: set(entries) for name, _kind, _version, entries in sets}

    def find_equal(self, sets: Sequence[tuple[str, str, int, Sequence[str]]]) -> list[str]:
        return [name for name, _k, _v, found in sets if self.entries.get(name) == set(found)]

    def remove(self, names: Sequence[str]) -> list[str]:
        for name in set(names) - self.used:
            self.entries.pop(name, None)
        return [name for name in names if name in self.used]

    def list_names(self) -> list[str]:
        return list(self.entries)


class Tracked:
    """A kernel that somebody may change. ``flushed`` are the devices whose rules are not there, at
    the next looks and then for good."""

    def __init__(self) -> None:
        self.is_on = True
        self.flushed: list[set[str]] = [set()]

    def lost(self, nics: Iterable[rules.NicPolicy]) -> set[str]:
        found = self.flushed.pop(0) if len(self.flushed) > 1 else self.flushed[0]
        return {nic.device for nic in nics} & found

    def ensure(self) -> bool:
        was_on, self.is_on = self.is_on, True
        return not was_on
