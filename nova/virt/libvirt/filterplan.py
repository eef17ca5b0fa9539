"""Which network filters and sets the NICs of a host need; decisions only.

:mod:`nova.virt.libvirt.firewall` puts them in force, as the difference of two plans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
import dataclasses

from nova.network.firewall import ipsets, rules
from nova.virt.libvirt import filters, groupfilters


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What the driver was told: NICs by device, and the names of their instances."""

    nics: Mapping[str, rules.NicPolicy]
    owners: Mapping[str, str]
    ruleset: rules.Ruleset

    def devices_of(self, instance_name: str) -> set[str]:
        """Those of the instance's NICs; none if it is not known."""
        return {device for device, owner in self.owners.items() if owner == instance_name}

    def merge(
        self,
        instance_name: str,
        now: Iterable[rules.NicPolicy],
        gone: Iterable[str],
        ruleset: rules.Ruleset,
    ) -> Wanted:
        """With ``now`` and without ``gone``, NICs of this instance, and with groups that
        ``ruleset`` does not speak of as they are."""
        added, removed = {nic.device: nic for nic in now}, set(gone)
        groups = {group.id: group for group in (*self.ruleset.groups, *ruleset.groups)}
        return Wanted(
            {d: nic for d, nic in self.nics.items() if d not in removed} | added,
            {d: owner for d, owner in self.owners.items() if d not in removed}
            | dict.fromkeys(added, instance_name),
            rules.Ruleset(
                groups=tuple(groups[key] for key in sorted(groups)), provider=ruleset.provider
            ),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What the NICs of a host need beyond what is shared by all. ``groups`` and ``nics`` map names
    of filters to their definitions; those of ``nics`` refer to those of ``groups``, which refer to
    ``sets``."""

    sets: Mapping[str, ipsets.IpSet]
    groups: Mapping[str, str]
    nics: Mapping[str, str]


NOTHING = Plan({}, {}, {})


def build_plan(
    nics: Iterable[rules.NicPolicy],
    owners: Mapping[str, str],
    ruleset: rules.Ruleset,
    anew: Collection[str] = (),
) -> Plan:
    """What these NICs need.

    :param owners: the names of the NICs' instances by device.
    :param anew: the devices whose filters are defined otherwise than usual, to the same effect.
    """
    present = list(nics)
    families: dict[tuple[str, str], set[int]] = {}
    for nic in present:
        for group_id in ('', *(nic.groups or ())):
            families.setdefault((group_id, nic.network_id), set()).update(filters.versions(nic))
    built = {
        (group_id, network_id): groupfilters.build_group(group_id, network_id, found, ruleset)
        if group_id
        else groupfilters.build_provider(network_id, found, ruleset)
        for (group_id, network_id), found in families.items()
        if group_id or ruleset.provider
    }
    containers = {}
    for nic in present:
        keys = [('', nic.network_id)] if ruleset.provider else []
        keys += [(group_id, nic.network_id) for group_id in nic.groups or ()]
        found_filters = [built[key].filter for key in keys]
        made = filters.build_nic_filter(
            owners[nic.device], nic, found_filters, anew=nic.device in anew
        )
        containers[made.name] = made.xml
    return Plan(
        sets={used.name: used for group in built.values() for used in group.sets},
        groups={group.filter.name: group.filter.xml for group in built.values()},
        nics=containers,
    )


def plan_instance(wanted: Wanted, instance_name: str) -> Plan:
    """What the NICs of one instance need."""
    owners = dict.fromkeys(wanted.devices_of(instance_name), instance_name)
    return build_plan([wanted.nics[device] for device in owners], owners, wanted.ruleset)


def inexpressible(new: rules.Ruleset, old: rules.Ruleset) -> list[rules.SecurityGroupRule]:
    """Rules that are new and that no filter can say."""
    known = {rule for group in old.groups for rule in group.rules}
    return [
        rule
        for group in new.groups
        for rule in group.rules
        if rule not in known and not groupfilters.is_expressible(rule)
    ]
