"""Bridges on this host."""

from __future__ import annotations

from collections.abc import Iterable

from nova import exception, privileged
from nova.network import topology
from nova.privileged import link as privileged_link


def ensure_bridges(links: Iterable[topology.BridgeLink]) -> None:
    """Have these bridges; what is already so is left alone.

    :raises NetworkSetupFailed: one cannot be made. Those before it are there.
    """
    for link in links:
        try:
            uplink = link.physical_interface
            if link.vlan is not None and uplink is not None and link.vlan_device is not None:
                device = link.vlan_device
                privileged_link.ensure_vlan(device, _alias(device), uplink, link.vlan, link.mtu)
                uplink = device
            privileged_link.ensure_bridge(link.name, _alias(link.name), uplink, link.mtu)
        except privileged.ERRORS as exc:
            raise exception.NetworkSetupFailed(network=link.name, reason=str(exc)) from exc


def remove_bridge(name: str) -> bool:
    """Remove the bridge if we made it.

    :returns: whether we did.
    :raises NetworkSetupFailed: it cannot be removed.
    """
    try:
        return bool(privileged_link.remove_bridge(name, _alias(name)))
    except privileged.ERRORS as exc:
        raise exception.NetworkSetupFailed(network=name, reason=str(exc)) from exc


def remove_vlan(device: str) -> bool:
    """Remove the VLAN device if we made it.

    :returns: whether we did.
    :raises NetworkSetupFailed: it cannot be removed.
    """
    try:
        return bool(privileged_link.remove_vlan(device, _alias(device)))
    except privileged.ERRORS as exc:
        raise exception.NetworkSetupFailed(network=device, reason=str(exc)) from exc


def _alias(name: str) -> str:
    """What a device of ours carries (IFLA_IFALIAS), so that no other is ever removed."""
    return f'nova:{name}'
