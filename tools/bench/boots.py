"""Boots of guests with eight NICs and one, timed inside a sandbox with libvirtd; see test_boots.py.

Prints a line of JSON: for each way, the seconds of each round from the first rule to a guest that
is started (and stands still: its own work would be measured too).
"""

from __future__ import annotations

from collections.abc import Callable
import json
import subprocess
import sys
import time

import libvirt

from nova import privileged
from nova.network.firewall import driver, iptables, nftables, rules
from nova.privileged import nft
from nova.virt.libvirt import filters, firewall, host

NICS, RULES = 8, 50
_GROUPS = tuple(
    rules.SecurityGroup(
        id=f'group-{number}',
        rules=tuple(
            rules.parse_rule(
                rule_id=f'{number}-{port}', direction='ingress', protocol='tcp', port_min=port
            )
            for port in range(1, RULES + 1)
        ),
    )
    for number in range(NICS)
)


def build_nic(number: int) -> rules.NicPolicy:
    mac = f'fa:16:3e:00:00:{number:02x}'
    return rules.NicPolicy(
        vif_id=str(number),
        device=f'tap{number:012x}',
        bridge=f'br{number}',
        network_id=str(number),
        first_hop=rules.FirstHop(
            mac=mac,
            ipv4=(f'10.{number}.0.5',),
            ipv6=(rules.build_link_local(mac), f'2001:db8:{number:x}::5'),
            dhcp_servers=(f'10.{number}.0.2',),
            routers=('fe80::1',),
        ),
        groups=(f'group-{number}',),
    )


#: The name of a NIC's network filter, if it has one.
Reference = Callable[[rules.NicPolicy], str | None]


def build_xml(policies: list[rules.NicPolicy], reference: Reference) -> str:
    def refer(nic: rules.NicPolicy) -> str:
        name = reference(nic)
        if name is None:
            return ''
        # without an address libvirt would wait for the guest's first packet
        address = f"<parameter name='IP' value='{nic.first_hop.ipv4[0]}'/>"
        return f"<filterref filter='{name}'>{address}</filterref>"

    interfaces = ''.join(
        f"<interface type='bridge'><source bridge='{nic.bridge}'/>"
        f"<mac address='{nic.first_hop.mac}'/><target dev='{nic.device}'/>"
        f"<model type='virtio'/>{refer(nic)}</interface>"
        for nic in policies
    )
    return (
        "<domain type='qemu'><name>bench</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f'<devices>{interfaces}</devices></domain>'
    )


Way = tuple[driver.FirewallDriver | None, Callable[[], None]]


class Bench:
    """A host with a bridge for each NIC, and the ways in which a guest is started on it."""

    def __init__(self) -> None:
        self.policies = [build_nic(number) for number in range(NICS)]
        for nic in self.policies:
            subprocess.run(['ip', 'link', 'add', nic.bridge, 'type', 'bridge'], check=True)
            subprocess.run(['ip', 'link', 'set', nic.bridge, 'up'], check=True)
        self.connection = libvirt.open('qemu:///system')
        self.ruleset = rules.Ruleset(groups=_GROUPS)

    def start(self, count: int, reference: Reference = lambda _nic: None) -> None:
        xml = build_xml(self.policies[:count], reference)
        self.connection.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED)

    def plain(self, filter_name: str | None = None, count: int = NICS) -> Way:
        return None, lambda: self.start(count, lambda _nic: filter_name)

    def protected(
        self,
        firewall: driver.FirewallDriver,
        reference: Reference = lambda _nic: None,
        count: int = NICS,
    ) -> Way:
        def start() -> None:
            firewall.prepare('bench', self.policies[:count], self.ruleset)
            self.start(count, reference)
            firewall.apply('bench', self.policies[:count], self.ruleset)

        return firewall, start

    def time(self, way: Way) -> float:
        """Seconds of one start; afterwards all is as before."""
        used, start = way
        if used is not None:
            used.init_host({}, self.ruleset)
        begin = time.monotonic()
        start()
        seconds = time.monotonic() - begin
        self.connection.lookupByName('bench').destroy()
        if used is not None:
            used.remove('bench')
        return seconds


def main() -> None:
    rounds, times = (int(argument) for argument in sys.argv[1:])
    privileged.network.set_client_mode(False)
    bench = Bench()

    def name(nic: rules.NicPolicy) -> str:
        return filters.filter_name('bench', nic.first_hop.mac)

    by_filters = firewall.make(host.Host('qemu:///system'), nft.forget_tap)
    quick = {
        'no filters': bench.plain(),
        'nftables': bench.protected(nftables.NftablesFirewall()),
        'iptables': bench.protected(iptables.IptablesFirewall('nft')),
    }
    slow = {
        'clean-traffic': bench.plain('clean-traffic'),
        'nwfilter': bench.protected(by_filters, name),
        'clean-traffic, 1 NIC': bench.plain('clean-traffic', 1),
        'nwfilter, 1 NIC': bench.protected(by_filters, name, 1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*quick, *slow)}
    for _round in range(rounds):
        for ways in (*[quick] * times, slow):
            for label, way in ways.items():
                seconds[label].append(bench.time(way))
    print(json.dumps(seconds))


if __name__ == '__main__':
    main()
