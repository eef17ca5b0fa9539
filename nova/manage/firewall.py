"""``nova-manage firewall``: what is in force on a server's NICs, and why a packet passes or not."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import dataclasses
import json
from typing import Any

from nova import exception, wiring
from nova.db import api as db
from nova.db import records
from nova.manage.verbs import Verbs
from nova.network import model, security_groups
from nova.network.firewall import explain, rules


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A NIC with all that its rules are made of. ``applied`` is the revision that its host said
    last is in force, ``wanted`` that of its groups now. ``names`` are those of groups."""

    vif: model.VIF
    policy: rules.NicPolicy
    ruleset: rules.Ruleset
    names: dict[str, str]
    applied: str | None
    wanted: str

    @property
    def follows(self) -> bool:
        return self.applied == self.wanted


def add_verbs(noun: argparse.ArgumentParser) -> None:
    """Add the verbs of this noun, with their arguments, to the command line."""
    verbs = Verbs(noun)
    show_parser = verbs.add('show', show, "print the effective rules of a server's NICs")
    why_parser = verbs.add('why', why, 'say which rule lets a packet pass or drops it')
    for parser in (show_parser, why_parser):
        parser.add_argument(
            'server', metavar='SERVER', help='its id, or its name if no other has it'
        )
    why_parser.add_argument('nic', metavar='NIC', help='its index, MAC address or id')
    why_parser.add_argument(
        'direction', choices=tuple(rules.Direction), help='as the server sees it'
    )
    why_parser.add_argument('protocol', metavar='PROTOCOL', help='tcp, icmp:8:0, arp, a number…')
    for name in ('source', 'target'):
        why_parser.add_argument(
            name, metavar=name.upper(), help='ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT'
        )
    why_parser.add_argument(
        '--mac', help="the frame's source; default: the NIC's own, or a stranger's"
    )
    why_parser.add_argument(
        '--established', action='store_true', help='it belongs to a connection that was admitted'
    )


def show(conf: Any, arguments: argparse.Namespace) -> None:
    """Print what each NIC of a server may do, and whether it is in force.

    :raises InstanceNotFound:
    """
    instance = find_server(arguments.server)
    nics = load_nics(conf, instance)
    host = HostView.of(conf, instance)
    if arguments.json:
        print(json.dumps([_values(nic, host) for nic in nics], indent=2))
        return
    for nic in nics:
        print('\n'.join(render_nic(_values(nic, host))))
    print('\n'.join(render_drops(host.drops)))


def why(conf: Any, arguments: argparse.Namespace) -> None:
    """Print which rule lets a packet of a NIC pass or drops it.

    :raises InstanceNotFound:
    :raises VifNotFound:
    :raises InvalidInput: with the part of the packet that is wrong.
    """
    instance = find_server(arguments.server)
    nic = choose_nic(load_nics(conf, instance), arguments.nic)
    packet = explain.parse_packet(
        arguments.direction,
        arguments.protocol,
        arguments.source,
        arguments.target,
        mac=arguments.mac,
        established=arguments.established,
    )
    verdict = explain.judge(packet, nic.policy, nic.ruleset)
    text = explain.describe_verdict(verdict, nic.ruleset, nic.names)
    host = HostView.of(conf, instance)
    if arguments.json:
        values = dataclasses.asdict(verdict) | {'text': text, 'follows': nic.follows}
        drops = {'drops': host.drops, 'drops_of_nic': host.drops_of(nic)}
        print(json.dumps(values | drops, indent=2))
        return
    print(text)
    if not nic.follows:
        print('The NIC does not follow its groups yet: what is in force may be older.')
    if not verdict.allowed and verdict.reason in (host.drops or {}):
        own = (host.drops_of(nic) or {}).get(verdict.reason, 0)
        print(f'Frames of this NIC dropped for this reason: {own}')
        print(f'Frames dropped for this reason on this host: {(host.drops or {})[verdict.reason]}')


@dataclasses.dataclass(frozen=True, slots=True)
class HostView:
    """What the kernel of this host says, if the server is on it: ``drops`` are frames dropped on
    all NICs, by reason; None where it cannot be asked."""

    driver: Any = None
    drops: dict[str, int] | None = None

    @classmethod
    def of(cls, conf: Any, instance: records.Instance) -> HostView:
        if instance.host != conf.host:
            return cls()
        driver = _make_driver(conf)
        try:
            return cls(driver, dict(driver.drops()))
        except exception.FirewallSetupFailed:
            return cls()

    def holds(self, nic: Nic) -> bool | None:
        """Whether the kernel has in force what the NIC needs; None: it cannot be asked."""
        try:
            return None if self.driver is None else self.driver.holds(nic.policy, nic.ruleset)
        except exception.FirewallSetupFailed:
            return None

    def drops_of(self, nic: Nic) -> dict[str, int] | None:
        """The frames of this NIC's that were dropped, by reason; None: it cannot be asked."""
        try:
            return None if self.driver is None else dict(self.driver.drops_of(nic.policy.device))
        except exception.FirewallSetupFailed:
            return None


def _make_driver(conf: Any) -> Any:
    # What speaks to the kernel and to libvirt is there on compute hosts only.
    from nova.network.firewall import drivers

    if (driver := drivers.make(conf.firewall)) is not None:
        return driver
    from nova.virt.libvirt import connection, host

    make = connection.choose_firewall(conf.firewall)
    return make(host.Host(conf.libvirt.connection_uri))


# --- from the database


def find_server(text: str) -> records.Instance:
    """:raises InstanceNotFound: no server, or several servers, are called so."""
    found = [i for i in db.instance_list() if text in (i.uuid, i.display_name, i.name)]
    if len(found) != 1:
        raise exception.InstanceNotFound(instance_id=text)
    return found[0]


def load_nics(conf: Any, instance: records.Instance) -> list[Nic]:
    """In the server's order."""
    network_info = wiring.build_network_api(conf).network_infos([instance.uuid])[instance.uuid]
    state = db.security_groups_state(security_groups.groups_of_vifs(network_info))
    applied = {
        v.uuid: v.firewall_revision for v in db.vifs_of_instances([instance.uuid])[instance.uuid]
    }
    ruleset = security_groups.build_ruleset(state)
    return [
        Nic(
            vif=vif,
            policy=rules.build_nic_policy(vif, vif.security_groups),
            ruleset=ruleset,
            names={uuid: group.name for uuid, group in state.groups.items()},
            applied=applied.get(vif.id),
            wanted=state.revision_of(vif.security_groups),
        )
        for vif in network_info
    ]


def choose_nic(nics: Sequence[Nic], text: str) -> Nic:
    """:raises VifNotFound:"""
    for nic in nics:
        if text.lower() in (str(nic.vif.index), nic.vif.mac, nic.vif.id):
            return nic
    raise exception.VifNotFound(vif_id=text)


# --- printing


def _values(nic: Nic, host: HostView) -> dict[str, Any]:
    return {
        'index': nic.vif.index,
        'id': nic.vif.id,
        'device': nic.vif.device,
        'network': nic.vif.network.label,
        'groups': [nic.names.get(group, group) for group in nic.policy.groups or ()],
        'rules': list(explain.describe_nic(nic.policy, nic.ruleset, nic.names)),
        'revision_applied': nic.applied,
        'revision_wanted': nic.wanted,
        'follows': nic.follows,
        'in_kernel': host.holds(nic),
        'drops': host.drops_of(nic),
    }


def render_nic(values: dict[str, Any]) -> Iterator[str]:
    """A NIC as :func:`_values` has it, for a terminal."""
    groups = ', '.join(values['groups']) or 'none'
    yield f'NIC {values["index"]}  {values["device"]} on {values["network"]}, groups: {groups}'
    behind = '' if values['follows'] else f', but its groups are at {values["revision_wanted"]}'
    yield f'  revision {values["revision_applied"] or "none"} is in force{behind}'
    if values['in_kernel'] is not None:
        is_so = 'holds these rules' if values['in_kernel'] else 'does NOT hold these rules'
        yield f'  the kernel {is_so}'
    yield from (f'  {line}' for line in values['rules'])
    if values['drops']:
        counts = (f'{reason} {count}' for reason, count in sorted(values['drops'].items()))
        yield f'  dropped: {", ".join(counts)}'


def render_drops(drops: dict[str, int] | None) -> Iterator[str]:
    """The counters of the host, the largest first."""
    if drops is None:
        yield 'Counters of drops are read on the host of the server, by root or the service user.'
        return
    yield 'Dropped on this host, all NICs:'
    for reason, count in sorted(drops.items(), key=lambda item: -item[1]):
        yield f'  {count:>10}  {reason}: {explain.REASONS.get(reason, reason)}'
