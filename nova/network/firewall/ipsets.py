"""Sets of addresses for rules of iptables, in which each remote group is one match; pure.

A set changes without the rules that refer to it. It is of one network, since networks may overlap,
and of one family. Names: at most 31 characters (``IPSET_MAXNAMELEN``).
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import hashlib

from nova.network.firewall import rules

#: All addresses, as sets of ranges hold them: they know no prefix of length 0.
EVERYWHERE = {4: ('0.0.0.0/1', '128.0.0.0/1'), 6: ('::/1', '8000::/1')}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IpSet:
    """``kind`` is ``hash:net``, or ``hash:net,port`` for entries with a protocol and a port; see
    :data:`nova.privileged.ipset.Set`, which :meth:`values` gives."""

    name: str
    kind: str = 'hash:net'
    version: int
    entries: frozenset[str]

    def values(self) -> tuple[str, str, int, tuple[str, ...]]:
        """For :func:`nova.privileged.ipset.ensure`."""
        return self.name, self.kind, self.version, tuple(sorted(self.entries))


def build_member_set(group_id: str, network_id: str, version: int, ruleset: rules.Ruleset) -> IpSet:
    """The addresses of a group's members as NICs on a network see them; empty for a group that
    nobody knows."""
    group = ruleset.group(group_id)
    return IpSet(
        name=member_set_name(group_id, network_id, version),
        version=version,
        entries=frozenset() if group is None else group.addresses(network_id, version),
    )


def member_set_name(group_id: str, network_id: str, version: int) -> str:
    """The name of the set of :func:`build_member_set`."""
    return f'nova-m{version}-{digest((group_id, network_id))}'


def digest(parts: Iterable[str]) -> str:
    """Sixteen characters that stand for these, in this order."""
    return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:16]
