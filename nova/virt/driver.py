"""The port between the compute manager and a hypervisor.

An adapter never sees the database or the network manager: it gets records and one
:class:`nova.network.model.NetworkInfo` and makes them true on its host.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Mapping
import dataclasses

from nova.db import records
from nova.network import model
from nova.network.firewall import rules


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostResources:
    """What a host has, before anything is claimed of it."""

    hypervisor_type: str
    hypervisor_version: int
    """major * 1,000,000 + minor * 1,000 + release, as libvirt counts."""
    vcpus: int
    memory_mb: int
    disk_gb: int


class ComputeDriver(abc.ABC):
    """One host's hypervisor. Calls may block on the hypervisor but not the service's other
    green threads."""

    @abc.abstractmethod
    def init_host(self, host: str) -> None:
        """Called once when the service starts, before any other call.

        :raises HypervisorError: the hypervisor cannot be reached.
        """

    @abc.abstractmethod
    def host_resources(self) -> HostResources:
        """What the host has, in all."""

    @abc.abstractmethod
    def spawn(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        """Make and start the guest. When it returns, the guest runs with every NIC filtered from
        its first frame; when it raises, nothing of the guest is left on the host.

        :raises ImageNotFound: the image is gone.
        :raises ImageUnacceptable: its content is not what its format says, or it is unsafe.
        :raises ImageDownloadFailed: it could not be fetched.
        :raises NetworkSetupFailed: a link that the guest needs could not be made.
        :raises HypervisorError: the hypervisor refused the domain.
        """

    @abc.abstractmethod
    def destroy(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        """Take the guest and everything made for it off the host. Whatever is already gone is
        no error, so a destroy that was cut short may be called again.

        :raises HypervisorError: the domain could not be destroyed; nothing else was touched.
        """

    @abc.abstractmethod
    def attach_interface(self, instance: records.Instance, vif: model.VIF) -> None:
        """Plug a NIC into the guest, which may run or not, filtered from its first frame. One that
        is there already is no error. When it raises, :meth:`detach_interface` must be called.

        :raises NetworkSetupFailed: a link that it needs could not be made.
        :raises HypervisorError: the hypervisor refused it.
        """

    @abc.abstractmethod
    def detach_interface(
        self, instance: records.Instance, vif: model.VIF, timeout_s: float
    ) -> bool:
        """Take a NIC out of the guest with everything made for it. One that is gone is no error.

        :param timeout_s: how long the guest may take to let go of it.
        :returns: whether it is gone. A guest that has been asked may still let go of it later.
        :raises HypervisorError: the hypervisor refused.
        """

    @abc.abstractmethod
    def update_interface(self, instance: records.Instance, vif: model.VIF) -> None:
        """Let a NIC of the guest use the addresses that it now has, and no others.

        :raises FirewallSetupFailed: its filter could not be changed.
        """

    @abc.abstractmethod
    def power_off(self, instance: records.Instance, timeout_s: float) -> None:
        """Stop the guest; one that does not run is no error.

        :param timeout_s: how long it may take to shut down by itself; 0 does not ask it.
        :raises HypervisorError: it could not be stopped.
        """

    @abc.abstractmethod
    def power_on(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        """Start the guest again from its disk, with these NICs; one that runs is left alone.

        :raises NetworkSetupFailed: a link that the guest needs could not be made.
        :raises HypervisorError: the hypervisor refused the domain.
        """

    @abc.abstractmethod
    def power_state(self, instance: records.Instance) -> records.PowerState:
        """The guest's power state; NOSTATE when there is no such guest."""

    @abc.abstractmethod
    def console_output(self, instance: records.Instance, max_bytes: int) -> bytes:
        """The last ``max_bytes`` bytes that the guest wrote to its serial console.

        :raises ConsoleNotAvailable: the guest has no console log.
        """

    @abc.abstractmethod
    def apply_security_groups(
        self,
        guests: Mapping[str, model.NetworkInfo],
        ruleset: rules.Ruleset,
        *,
        repair: bool = False,
    ) -> frozenset[str]:
        """Have the NICs of these guests, by instance name, follow ``ruleset``, which holds all
        groups that they are in. A NIC that is not there yet is no error.

        :param repair: look also whether somebody else has changed the rules, and put them right.
        :returns: the ids of the NICs on which the rules are in force now.
        """

    @abc.abstractmethod
    def keep_bridges(self, wanted: Callable[[], Collection[str]]) -> None:
        """Remove the bridges that were made for guests' NICs and that no guest needs any more.

        :param wanted: says the names of those that guests need; see
            :meth:`nova.network.linux.links.HostLinks.keep_only`.
        :raises NetworkSetupFailed: one could not be removed.
        """

    @abc.abstractmethod
    def list_instance_names(self) -> list[str]:
        """The names of all of our domains on this host, in no order."""
