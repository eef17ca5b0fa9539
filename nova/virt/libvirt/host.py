"""The libvirt daemon of this host; the only module that imports libvirt.

:class:`Host` is what the driver needs of libvirt, in our own words and values. A failure of
libvirt comes out as :class:`nova.exception.HypervisorError` with libvirt's own text.
API: https://libvirt.org/html/index.html.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import threading
import time
from typing import Any, TypeVar

import libvirt
from oslo_log import log as logging

from nova import exception
from nova.db import records
from nova.virt.libvirt import bindings
from nova.virt.libvirt import offload as offloading

LOG = logging.getLogger(__name__)

T = TypeVar('T')

_POWER_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: records.PowerState.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: records.PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: records.PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: records.PowerState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: records.PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_SHUTOFF: records.PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: records.PowerState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: records.PowerState.SUSPENDED,
}

#: All that libvirt may keep beside a domain; without these flags it refuses to forget the domain.
_UNDEFINE_FLAGS = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)

#: How often libvirt is asked for something for which tools of its may fail.
_TRIES = 10


class Host:
    """A connection to one libvirt daemon, opened when first needed and again when it is lost.

    :param offload: what runs the calls to libvirt. libvirt's objects may be used by several
        threads at once.
    :param open_connection: ``libvirt.open``, or its like.
    """

    def __init__(
        self,
        uri: str,
        *,
        offload: offloading.Offload = offloading.call_directly,
        open_connection: Callable[[str], Any] = libvirt.open,
    ) -> None:
        self._uri = uri
        self._offload = offload
        self._open = open_connection
        self._lock = threading.Lock()
        self._connection: Any = None
        # libvirt prints every error on stderr unless told otherwise; ours arrive as exceptions.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)

    # --- the host itself

    def version(self) -> int:
        """The hypervisor's version: major * 1,000,000 + minor * 1,000 + release."""
        return int(self._call('tell its version', lambda c: c.getVersion()))

    def cpus_and_memory(self) -> tuple[int, int]:
        """Processors and MiB of memory."""
        info = self._call('describe the host', lambda c: c.getInfo())
        return int(info[2]), int(info[1])

    # --- domains

    def domain_names(self) -> list[str]:
        """The names of all domains, running or not, ours or not."""
        domains = self._call('list the domains', lambda c: c.listAllDomains())
        return [str(domain.name()) for domain in domains]

    def has_domain(self, uuid: str) -> bool:
        """Whether there is a domain of this UUID."""
        try:
            self._call(f'find domain {uuid}', lambda c: c.lookupByUUIDString(uuid))
        except exception.DomainNotFound:
            return False
        return True

    def power_state(self, uuid: str) -> records.PowerState:
        """NOSTATE when there is no such domain."""

        def read(connection: Any) -> int:
            return int(connection.lookupByUUIDString(uuid).state()[0])

        try:
            state = self._call(f'tell the state of domain {uuid}', read)
        except exception.DomainNotFound:
            return records.PowerState.NOSTATE
        return _POWER_STATES.get(state, records.PowerState.NOSTATE)

    def define_domain(self, xml: str) -> None:
        """Make a domain that outlives its guest's process and the daemon; it does not run yet."""
        self._call('define the domain', lambda c: c.defineXML(xml))

    def start_domain(self, uuid: str) -> None:
        """Start a defined domain. libvirt puts the filters of its NICs in force before the
        processors run."""
        self._call_for_rules(f'start domain {uuid}', lambda c: c.lookupByUUIDString(uuid).create())

    def destroy_domain(self, uuid: str, timeout_s: float) -> None:
        """End the guest's process. That there is none, or no such domain, is no error.

        :raises HypervisorError: the process still lives after ``timeout_s``.
        """

        def destroy(connection: Any) -> None:
            domain = connection.lookupByUUIDString(uuid)
            if domain.isActive():
                domain.destroy()

        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self._call(f'destroy domain {uuid}', destroy)
            except exception.DomainNotFound:
                return None
            except exception.HypervisorError:
                # A process that waits for a disk ignores even SIGKILL for a while; and one that
                # ends by itself meanwhile makes libvirt answer that the domain does not run.
                if time.monotonic() > deadline:
                    raise
                LOG.warning('Domain %s is still there; trying again.', uuid)
                time.sleep(0.5)

    def undefine_domain(self, uuid: str) -> None:
        """Forget a domain and all that libvirt keeps with it. No such domain is no error."""

        def undefine(connection: Any) -> None:
            connection.lookupByUUIDString(uuid).undefineFlags(_UNDEFINE_FLAGS)

        try:
            self._call(f'undefine domain {uuid}', undefine)
        except exception.DomainNotFound:
            return

    def domain_xml(self, uuid: str, *, stored: bool) -> str | None:
        """The domain as it runs, or as it is stored; None when there is no such domain, or it does
        not run."""

        def read(connection: Any) -> str | None:
            domain = connection.lookupByUUIDString(uuid)
            if stored:
                return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            return str(domain.XMLDesc(0)) if domain.isActive() else None

        try:
            return self._call(f'describe domain {uuid}', read)
        except exception.DomainNotFound:
            return None

    def attach_device(self, uuid: str, xml: str, *, stored: bool) -> None:
        """Plug a device into the running domain, or into what is stored of it."""
        flags = _affect(stored)
        self._call_for_rules(
            f'attach a device to domain {uuid}',
            lambda c: c.lookupByUUIDString(uuid).attachDeviceFlags(xml, flags),
        )

    def detach_device(self, uuid: str, xml: str, *, stored: bool) -> None:
        """Remove a device from what is stored of a domain, or ask the guest that runs to let go of
        it: that it has not yet when this returns is no error."""
        flags = _affect(stored)
        self._call(
            f'detach a device from domain {uuid}',
            lambda c: c.lookupByUUIDString(uuid).detachDeviceFlags(xml, flags),
        )

    def ask_shutdown(self, uuid: str) -> None:
        """Press the guest's power button. That it does not run is no error."""

        def ask(connection: Any) -> None:
            domain = connection.lookupByUUIDString(uuid)
            if domain.isActive():
                domain.shutdown()

        try:
            self._call(f'shut down domain {uuid}', ask)
        except exception.DomainNotFound:
            return

    # --- network filters

    def filter_names(self) -> set[str]:
        """The names of all network filters, ours or not."""
        filters = self._call('list the network filters', lambda c: c.listAllNWFilters())
        return {str(found.name()) for found in filters}

    def define_filter(self, xml: str) -> None:
        """Make a network filter, or replace the one of the same name and UUID."""
        self._call_for_rules('define a network filter', lambda c: c.nwfilterDefineXML(xml))

    def undefine_filter(self, name: str) -> bool:
        """Whether no such filter is left: False when a domain or a filter still uses it."""

        def undefine(connection: Any) -> bool:
            try:
                connection.nwfilterLookupByName(name).undefine()
            except libvirt.libvirtError as exc:
                if exc.get_error_code() == libvirt.VIR_ERR_NO_NWFILTER:
                    return True
                if exc.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
                    return False
                raise
            return True

        return bool(self._call(f'undefine network filter {name}', undefine))

    def filtered_devices(self) -> set[str]:
        """The devices of the NICs that have filters. It is told once libvirt has made or removed
        the rules that it is busy with."""
        found = self._call('list the NICs with filters', lambda c: c.listAllNWFilterBindings())
        return {str(binding.portDev()) for binding in found}

    def filter_again(self, name: str, device: str) -> bool:
        """Put the filter in force again that a running domain names for a device, and that somebody
        has taken away.

        A domain that starts or is about to end is left alone: libvirt itself makes and removes what
        is in force then.

        :returns: whether it was done.
        :raises HypervisorError: libvirt or a tool of its refused; then nothing has changed.
        """

        def bind(connection: Any) -> bool:
            domain = connection.lookupByName(name)
            xml = _bindings_of(domain).get(device)
            if xml is None:
                return False
            with contextlib.ExitStack() as undo:
                undo.callback(connection.nwfilterBindingCreateXML(xml).delete)
                # Neither the NIC nor the domain has gone meanwhile.
                if device in _bindings_of(domain):
                    undo.pop_all()
                    return True
            return False

        try:
            return self._call_for_rules(f'filter {device} again', bind)
        except exception.DomainNotFound:
            return False

    # --- the connection

    def _call_for_rules(self, action: str, function: Callable[[Any], T]) -> T:
        """:meth:`_call` for what has libvirt run tools that make rules, again if one of them fails.

        When anybody changes rules of nftables, an ebtables that is about to do so begins anew, and
        that of iptables 1.8.9 then fails ("RULE_DELETE failed"), since it wants to delete what it
        has deleted. libvirt takes back what it had made until then.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._call(action, function)
            except exception.HypervisorError as exc:
                if not _is_of_rules(exc.__cause__):
                    raise
                LOG.warning('Trying once more to %s: %s', action, exc.message)
        return self._call(action, function)

    def _call(self, action: str, function: Callable[[Any], T]) -> T:
        """What ``function`` returns for the connection. It is called once more on a new one when
        the connection turns out to be lost, as after a restart of the daemon."""
        try:
            connection = self._connect()
            try:
                return self._offload(function, connection)
            except libvirt.libvirtError:
                if _is_alive(connection):
                    raise
                LOG.warning('The connection to libvirt was lost; opening it again.')
                return self._offload(function, self._connect())
        except libvirt.libvirtError as exc:
            raise _mapped(exc, action) from exc

    def _connect(self) -> Any:
        with self._lock:
            if self._connection is None or not _is_alive(self._connection):
                self._connection = self._offload(self._open, self._uri)
            return self._connection


def _bindings_of(domain: Any) -> dict[str, str]:
    """Of a domain that libvirt is busy with starting there are none."""
    state, reason = domain.state()
    runs = state == libvirt.VIR_DOMAIN_RUNNING
    waits = state == libvirt.VIR_DOMAIN_PAUSED and reason != libvirt.VIR_DOMAIN_PAUSED_STARTING_UP
    return bindings.render_bindings(str(domain.XMLDesc(0))) if runs or waits else {}


def _is_alive(connection: Any) -> bool:
    """Asks the client's side of the connection only, so it takes no time."""
    try:
        return bool(connection.isAlive() == 1)
    except libvirt.libvirtError:
        return False


def _is_of_rules(exc: BaseException | None) -> bool:
    """Whether a tool that makes rules has failed."""
    if not isinstance(exc, libvirt.libvirtError):
        return False
    return bool(exc.get_error_domain() == libvirt.VIR_FROM_FIREWALL)


def _mapped(exc: libvirt.libvirtError, action: str) -> exception.HypervisorError:
    reason = exc.get_error_message() or str(exc)
    if exc.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
        return exception.DomainNotFound(reason, name=exc.get_str1() or '', action=action)
    return exception.HypervisorError(action=action, reason=reason)


def _affect(stored: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_CONFIG if stored else libvirt.VIR_DOMAIN_AFFECT_LIVE)
