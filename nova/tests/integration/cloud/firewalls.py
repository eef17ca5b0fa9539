"""A cloud that has one firewall after the other, and what its tests look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import re
import subprocess
from typing import Any

from lab import compute, libvirtd, links
from lab.daemon import Daemon
from lab.sandbox import end
from nova.network.firewall import rules
from nova.tests.integration.cloud import clouds
from nova.tests.integration.firewall import libvirt_ports, packets
from nova.tests.integration.firewall.conftest import without_drops

DRIVERS = ('nftables', 'iptables', 'nwfilter')
#: The first network has IPv4 only, and so a NIC there no business with IPv6.
LABELS = ('net-a', 'dual')
DUAL = ('10.61.0.0/24', '--range-v6', 'fd00:61::/64', '--gateway-v6', 'fd00:61::1')

_SHARED = ('bridge nova', 'inet nova')
#: Where a driver has its rules, by tables of nftables.
TABLES = {
    'nftables': _SHARED,
    'iptables': (*_SHARED, 'ip mangle', 'ip6 mangle'),
    'nwfilter': (*_SHARED, 'bridge nat', 'ip filter', 'ip6 filter'),
}
#: Somebody makes holes into the firewall.
DAMAGE = {
    'nftables': 'nft flush chain bridge nova from_guest && nft flush set bridge nova macs',
    'iptables': (
        'iptables -t mangle -F && ip6tables -t mangle -F && nft flush set bridge nova macs'
    ),
    'nwfilter': (
        'nft flush chain bridge nat PREROUTING && iptables -F libvirt-in'
        ' && ip6tables -F FORWARD && nft flush chain bridge nova to_any'
        ' && virsh -q nwfilter-binding-list | (read -r device rest;'
        ' virsh -q nwfilter-binding-delete "$device")'
    ),
}
#: What is seen at the device of a bridge only, and by nobody who is on the network.
_ELSEWHERE = 'Nobody gets it.'

#: One echo request; says whether its answer came within half a second.
_PING = """
import os, select, socket, struct, sys, time
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
mark = os.getpid() & 0xFFFF
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
head = struct.pack("!BBHHH", 8, 0, 0, mark, 1)
raw.sendto(struct.pack("!BBHHH", 8, 0, checksum(head), mark, 1), (sys.argv[1], 0))
end = time.monotonic() + 0.5
found = False
while not found and time.monotonic() < end and select.select([raw], [], [], 0.5)[0]:
    packet = raw.recv(2048)
    kind, _, _, ident, _ = struct.unpack("!BBHHH", packet[20:28])
    found = (kind, ident) == (0, mark)
print("yes" if found else "no")
"""
#: Changes rules of nobody's all the time, until a tool of libvirt's has stumbled over it.
_DISTURB = """
nft add table bridge operator
nft add set bridge operator seen '{ type ifname; }'
stumbled() { grep -c 'RULE_DELETE failed' "$1"; }
before=$(stumbled "$1")
# As many as one nft makes: what waited for it in a pipe would go on after the end.
some() {
    for _ in $(seq 50); do
        echo 'add element bridge operator seen { x }'
        echo 'delete element bridge operator seen { x }'
    done
}
while [ "$(stumbled "$1")" = "$before" ]; do
    some | nft -i >/dev/null
done
"""


@dataclasses.dataclass
class Site:
    """A host with a firewall, and the service that has it in force."""

    cloud: clouds.Cloud
    driver: str
    service: Daemon

    def snapshot(self) -> str:
        """All rules, with handles, which are new for whatever is made anew, without what was
        counted of drops."""
        return without_drops(self._listing())

    def _listing(self) -> str:
        tables = [f'nft -a -s list table {table}' for table in TABLES[self.driver]]
        return self.cloud.sandbox.output('/bin/sh', '-c', '; '.join([*tables, 'ipset save | sort']))

    def damage(self) -> None:
        self.cloud.sandbox.run(['/bin/sh', '-c', DAMAGE[self.driver]])

    def restart(self) -> None:
        self.service = compute.restart_service(self.service)

    def explain(self, *words: str) -> Any:
        return compute.manage_json(self.cloud.sandbox, 'firewall', *words)

    def answers(self, address: str) -> bool:
        """Whether a guest answers to its host."""
        return self.cloud.sandbox.output('python3', '-c', _PING, address).strip() == 'yes'

    def filters(self) -> set[str]:
        """The network filters that not every NIC has."""
        words = libvirtd.virsh(self.cloud.sandbox, 'nwfilter-list').split()
        return {word for word in words if word.startswith(('nova-instance', 'nova-secgroup'))}

    def traces(self, devices: Sequence[str]) -> list[str]:
        """The rules of these NICs."""
        lines = self._listing().splitlines()
        return [line for line in lines if any(device in line for device in devices)]

    @contextlib.contextmanager
    def disturbed(self) -> Iterator[subprocess.Popen[str]]:
        """Somebody else changes rules meanwhile, and ends when libvirt has stumbled over it."""
        command = ['/bin/sh', '-c', _DISTURB, 'sh', libvirtd.LOG]
        process = self.cloud.sandbox.popen(command)
        try:
            yield process
        finally:
            end(process)
            self.cloud.sandbox.run(['nft', 'delete', 'table', 'bridge', 'operator'])


@contextlib.contextmanager
def having(cloud: clouds.Cloud, driver: str) -> Iterator[Site]:
    """The services run, with this firewall."""
    extra = {'DEFAULT': {'reconcile_interval_s': '2'}, 'firewall': {'driver': driver}}
    compute.write_config(cloud.sandbox, compute.Settings(extra=extra))
    site = Site(cloud, driver, compute.start_service(cloud.sandbox, 'nova-all'))
    try:
        compute.wait_up(cloud.sandbox, [site.service])
        yield site
    finally:
        site.service.stop()


def normalise(snapshot: str) -> list[str]:
    """Rules without handles, wherever they are among each other, and sets without the number that
    each gets when it is made."""
    lines = (line.partition(' # handle')[0] for line in snapshot.splitlines())
    return sorted(re.sub(r' initval \S+$', '', line) for line in lines)


def device_of(interface: dict[str, Any]) -> str:
    """The tap of a NIC as the API lists it."""
    return f'tap{interface["port_id"].replace("-", "")[:12]}'


@contextlib.contextmanager
def bystander(cloud: clouds.Cloud, bridge: str) -> Iterator[str]:
    """A port of a bridge, which nothing filters; gives its device."""
    device = f'by{bridge}'[:15]
    ends = ('name', f'{device[:14]}-', 'type', 'veth', 'peer', 'name', device)
    cloud.sandbox.run(['ip', 'link', 'add', *ends])
    try:
        for end in (device, ends[1]):
            cloud.sandbox.run(['ip', 'link', 'set', end, 'addrgenmode', 'none', 'up'])
        cloud.sandbox.run(['ip', 'link', 'set', ends[1], 'master', bridge])
        links.wait_up(device, cloud.sandbox.output)
        links.wait_up(ends[1], cloud.sandbox.output)
        yield device
    finally:
        cloud.sandbox.run(['ip', 'link', 'del', device])


def build_policy(interface: dict[str, Any], network: dict[str, Any]) -> rules.NicPolicy:
    """Who a NIC is, for frames that are about it; of a NIC without IPv6 with an address of somebody
    else's."""
    addresses = [fixed['ip_address'] for fixed in interface['fixed_ips']]
    own6 = [address for address in addresses if ':' in address]
    return rules.NicPolicy(
        vif_id=interface['port_id'],
        device=device_of(interface),
        bridge=network['bridge'],
        network_id=network['uuid'],
        first_hop=rules.FirstHop(
            mac=interface['mac_addr'],
            ipv4=tuple(address for address in addresses if ':' not in address),
            ipv6=(
                rules.build_link_local(interface['mac_addr']),
                *(own6 or ['2001:db8:bad::5']),
            ),
            dhcp_servers=(network['gateway'],),
            routers=(packets.OUTSIDER_LINK_LOCAL,),
        ),
    )


def is_held(driver: str, row: str, frame: bytes, nic: rules.NicPolicy) -> bool:
    """Whether the driver keeps this frame of a row of attacks from all who are on the network."""
    reason = libvirt_ports.UNHELD.get(row, '') if driver == 'nwfilter' else ''
    if not reason or reason.startswith(_ELSEWHERE):
        return True
    # In the name of somebody else: that much every mechanism sees.
    is_ipv6 = frame[12:14] == b'\x86\xdd'
    own = {packets.raw_address(address) for address in (*nic.first_hop.ipv6, '::')}
    return is_ipv6 and frame[22:38] not in own
