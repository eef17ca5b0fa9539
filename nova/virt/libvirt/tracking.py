"""Whether what libvirt makes of network filters is there, and is asked by the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import errno
from typing import Protocol

from nova import exception, privileged
from nova.network.firewall import rules
from nova.privileged import link as privileged_link
from nova.privileged import nft as privileged_nft
from nova.privileged import nwfilter as privileged_nwfilter
from nova.virt.libvirt import filters


class Tracking(Protocol):
    """Whether what libvirt makes of filters is there and is asked; as :class:`KernelTracking`."""

    def ensure(self) -> bool:
        """Have it asked.

        :returns: whether something had to be done.
        :raises FirewallSetupFailed: the kernel cannot.
        """

    def lost(self, nics: Iterable[rules.NicPolicy]) -> set[str]:
        """The devices of those NICs that exist and for which libvirt's rules are not there.

        :raises FirewallSetupFailed: nobody tells.
        """


class KernelTracking:
    """Has iptables see what bridges hand on, and enter libvirt's chains; and looks into them."""

    def lost(self, nics: Iterable[rules.NicPolicy]) -> set[str]:
        with reported():
            found = {k: set(v) for k, v in privileged_nwfilter.filtered_devices().items()}
            return {
                nic.device
                for nic in nics
                if not all(nic.device in found[name] for name in _tools(nic))
                and _exists(nic.device)
            }

    def ensure(self) -> bool:
        with reported():
            is_on = privileged_nft.are_bridged_packets_tracked()
            if not is_on and not privileged_nft.ensure_bridged_packets_tracked():
                reason = 'network filters need the kernel module br_netfilter for groups'
                raise exception.FirewallSetupFailed(vif='every interface', reason=reason)
            return privileged_nwfilter.ensure_entered() or not is_on


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """What libvirt or the kernel refuses, as what a firewall driver says of it.

    :raises FirewallSetupFailed: one of them refused.
    """
    try:
        yield
    except exception.HypervisorError as exc:
        raise exception.FirewallSetupFailed(vif='every interface', reason=str(exc)) from exc
    except privileged.ERRORS as exc:
        raise exception.FirewallSetupFailed(vif='every interface', reason=str(exc)) from exc


def _tools(nic: rules.NicPolicy) -> list[str]:
    """Those that have rules of the NIC."""
    tools = {4: 'iptables', 6: 'ip6tables'}
    return ['ebtables', *(tools[version] for version in filters.versions(nic))]


def _exists(device: str) -> bool:
    try:
        privileged_link.identify(device)
    except OSError as exc:
        if exc.errno == errno.ENODEV:
            return False
        raise
    return True
