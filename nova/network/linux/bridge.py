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
            privileged_link.ensure_bridge(
                link.name, _alias(link.name), link.physical_interface, link.mtu
            )
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


def _alias(name: str) -> str:
    """What a bridge of ours carries (IFLA_IFALIAS), so that no other is ever removed."""
    return f'nova:{name}'
