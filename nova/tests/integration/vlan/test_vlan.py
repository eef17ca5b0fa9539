"""Guests on VLANs of a trunk between two hosts.

Three guests: one on a flat, a flat_dhcp and a vlan network (``red``) at once, one on ``red`` on the
other host, and one on ``blue``, which is another VLAN. Nothing filters their frames, so that the
VLANs alone keep them apart. The tests go in order, and take these guests away; then come those of
the matrix (``../cloud/matrix.py``). All are in one file, as the tests of a file share their hosts.
"""

from __future__ import annotations

from collections.abc import Iterator
import concurrent.futures
import contextlib
import dataclasses
import json
from typing import Any

import pytest

from lab import compute, guest_report
from lab.guest_console import Console
from lab.sandbox import Sandbox, wait_until
from nova.tests.integration.cloud import clouds, matrix, matrix_guests
from nova.tests.integration.vlan import trunk
from nova.tests.integration.vlan.trunk_cloud import INTERFACES, MATRIX, Cloud

#: The first test waits for the whole cloud, the second for three guests that are emulated twice.
pytestmark = pytest.mark.timeout(600)

RED, BLUE, TAKEN = 101, 200, 300
#: Where ``red`` leads out: a router of the operator's, who has none yet.
ROUTER = '10.81.0.254'
#: That of the flat network, whose bridge and routers are the operator's.
FLAT_ROUTER = '10.83.0.254'
#: An address of the range of ``red``, for the guest on ``blue``.
FOREIGN = '10.81.0.200'
OPERATORS_BRIDGE, OPERATORS_MAC, OPERATORS_VLAN = 'br-op', '02:00:00:00:0f:00', 'op.300'


@dataclasses.dataclass(frozen=True)
class Guest:
    """A server, the NIC in question as its guest names it, and that NIC's addresses, of IPv6 if
    its network has any."""

    server: clouds.Server
    device: str
    mac: str
    address: str
    address6: str | None


@dataclasses.dataclass(frozen=True)
class Guests:
    """``mixed`` is on ``red`` with its third NIC. ``before`` is what either host had before."""

    mixed: Guest
    red: Guest
    blue: Guest
    before: list[dict[str, Any]]


@pytest.fixture(scope='module')
def networks(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """``blue`` is the oldest of no project, and has the next free VLAN."""
    cloud.network('blue', '10.82.0.0/24', '--gateway', 'none')
    router = ('--gateway', ROUTER, '--dhcp-server', '10.81.0.1')
    both = ('10.81.0.0/24', '--range-v6', 'fd00:81::/64')
    cloud.network('red', *both, '--vlan', str(RED), *router)
    flat = ('--kind', 'flat', '--bridge', OPERATORS_BRIDGE, '--gateway', FLAT_ROUTER)
    dhcp = ('--kind', 'flat_dhcp', '--gateway', 'none')
    for label, cidr, options in (('flat', '10.83.0.0/24', flat), ('dhcp', '10.84.0.0/24', dhcp)):
        cloud.serve_first(label, cidr, *options)
    return cloud.networks


@pytest.fixture(scope='module')
def guests(cloud: Cloud, networks: dict[str, dict[str, Any]]) -> Guests:
    one, _two = cloud.hosts
    for host in cloud.hosts:
        mac = ['address', OPERATORS_MAC]  # or else it would follow the bridge's ports
        host.run(['ip', 'link', 'add', OPERATORS_BRIDGE, 'up', *mac, 'type', 'bridge'])
    vlan = ['link', INTERFACES[0], 'name', OPERATORS_VLAN, 'up', 'type', 'vlan', 'id', str(TAKEN)]
    for host, interface in zip(cloud.hosts, INTERFACES, strict=True):
        host.run(['ip', 'link', 'set', interface, 'up'])
    one.run(['ip', 'address', 'add', f'{FLAT_ROUTER}/24', 'dev', OPERATORS_BRIDGE])
    one.run(['ip', 'link', 'add', *vlan])
    one.run(['ip', 'address', 'add', '10.99.0.1/24', 'dev', OPERATORS_VLAN])
    before = [links(host) for host in cloud.hosts]
    servers = [cloud.create(['flat', 'dhcp', 'red'])]
    wait_placed(servers[0])  # the scheduler gives the next one to the other host
    servers += [cloud.create(['red']), create_without_networks(cloud)]
    for server in servers:
        server.wait_status('ACTIVE')
    mixed, red, blue = servers
    return Guests(find_nic(mixed, 2), find_nic(red, 0), find_nic(blue, 0), before)


def create_without_networks(cloud: Cloud) -> clouds.Server:
    """By a user whose project has no network."""
    wanted = {'name': 'guest', 'imageRef': cloud.image, 'flavorRef': clouds.FLAVOR}
    answer = cloud.user.call('POST', '/servers', {'server': wanted})
    assert answer.status == 202, answer.text
    return clouds.Server(cloud, answer.json()['server']['id'])


def wait_placed(server: clouds.Server) -> None:
    assert wait_until(lambda: server.show()['OS-EXT-SRV-ATTR:host'] is not None, 30)


def find_nic(server: clouds.Server, index: int) -> Guest:
    nic = server.interfaces()[index]
    fixed = [fixed['ip_address'] for fixed in nic['fixed_ips']]
    address6 = next((address for address in fixed if ':' in address), None)
    return Guest(server, f'eth{index}', nic['mac_addr'], fixed[0], address6)


def links(host: Sandbox) -> dict[str, Any]:
    """The devices of a host that last, by name: index, MAC address, MTU, alias, master, state,
    kind, and for a VLAN its number and the device below."""
    found = {}
    for link in json.loads(host.output('ip', '-j', '-d', 'link', 'show')):
        info = link.get('linkinfo', {})
        found[link['ifname']] = {
            'up': 'UP' in link['flags'],
            'kind': info.get('info_kind'),
            'vlan': info.get('info_data', {}).get('id'),
            'below': link.get('link'),
        } | {key: link.get(key) for key in ('ifindex', 'address', 'mtu', 'ifalias', 'master')}
    return found


def addresses(host: Sandbox) -> dict[str, set[str]]:
    """Those that somebody has set, by device."""
    return {
        link['ifname']: {a['local'] for a in link['addr_info'] if a['scope'] == 'global'}
        for link in json.loads(host.output('ip', '-j', 'address', 'show'))
    }


def pings(console: Console, target: str, *options: str) -> bool:
    return console.run(f'ping -c 2 -W 2 {" ".join(options)} {target}', 30).code == 0


def bridge_of(cloud: Cloud, label: str) -> str:
    return str(cloud.networks[label]['bridge'])


def vlan_links(cloud: Cloud, host: Sandbox, label: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The VLAN device and the bridge of a network on a host."""
    interface = INTERFACES[cloud.hosts.index(host)]
    found = links(host)
    return found[f'{interface}.{cloud.networks[label]["vlan"]}'], found[bridge_of(cloud, label)]


def test_a_network_without_a_vlan_gets_the_next_free_one(
    networks: dict[str, dict[str, Any]],
) -> None:
    assert {label: networks[label]['vlan'] for label in ('red', 'blue', 'flat', 'dhcp')} == {
        'red': RED,
        'blue': BLUE,
        'flat': None,
        'dhcp': None,
    }


def test_a_project_gets_a_free_network_on_first_use(cloud: Cloud, guests: Guests) -> None:
    """Who asks for no network is on a VLAN of his own, which is no other project's from then on."""
    (nic,) = guests.blue.server.interfaces()
    assert nic['net_id'] == cloud.networks['blue']['uuid']
    shown = compute.manage_json(cloud.sandbox, 'network', 'show', nic['net_id'])
    assert shown['project_id'] == guests.blue.server.show()['tenant_id']


def test_flat_flat_dhcp_and_vlan_in_one_guest(cloud: Cloud, guests: Guests) -> None:
    """Judged from inside: the order, each NIC's address by its own way, one default route although
    two of the networks have a gateway."""
    report = guests.mixed.server.report()
    wanted = guests.mixed.server.interfaces()
    assert [nic.mac for nic in report.nics] == [nic['mac_addr'] for nic in wanted]
    assert [nic.address for nic in report.nics] == [
        f'{nic["fixed_ips"][0]["ip_address"]}/24' for nic in wanted
    ]
    # the configuration drive, and DHCP
    assert [nic.lease for nic in report.nics] == [False, True, True]
    assert [nic.gateway_answers for nic in report.nics] == [True, True, True]
    (default,) = report.default_routes()
    assert default.startswith(f'default via {FLAT_ROUTER} dev eth0')
    assert report.default_routes(6) == ()


def test_the_default_route_leads_to_the_operators_router(cloud: Cloud, guests: Guests) -> None:
    """The host that serves the network has another address, and is no gateway."""
    report = guests.red.server.report()
    (default,) = report.default_routes()
    assert default.startswith(f'default via {ROUTER} dev eth0')
    (nic,) = report.nics
    assert (nic.server, nic.router, nic.gateway_answers) == ('10.81.0.1', ROUTER, True)
    assert ROUTER not in addresses(cloud.hosts[0])[bridge_of(cloud, 'red')]


def test_each_host_has_the_vlan_on_its_own_interface(cloud: Cloud, guests: Guests) -> None:
    """By one name of the physical network; the two interfaces are called differently."""
    for host, interface in zip(cloud.hosts, INTERFACES, strict=True):
        vlan, bridge = vlan_links(cloud, host, 'red')
        assert (vlan['kind'], vlan['vlan'], vlan['below']) == ('vlan', RED, interface)
        assert (bridge['kind'], vlan['master']) == ('bridge', bridge_of(cloud, 'red'))
        assert vlan['up']
        assert bridge['up']
    hosts = [cloud.host_of(guest.server) for guest in (guests.mixed, guests.red)]
    assert hosts == list(cloud.hosts)


def test_guests_of_one_vlan_reach_each_other_across_hosts(cloud: Cloud, guests: Guests) -> None:
    """... in frames with their VLAN's tag, and there are no others on the trunk."""
    macs = {guests.mixed.mac: RED, guests.red.mac: RED, guests.blue.mac: BLUE}
    ports = [(cloud.switch.sandbox, port) for port in cloud.ports]
    with (
        cloud.console(guests.mixed.server) as mixed,
        cloud.console(guests.red.server) as red,
        trunk.captured(*ports, action='received') as seen,
    ):
        assert pings(mixed, guests.red.address, '-I', guests.mixed.device), cloud.log()
        assert pings(red, guests.mixed.address)
        # addresses that the guests made of what is announced on the VLAN
        assert wait_until(lambda: pings(mixed, f'-6 {guests.red.address6}'), 30), cloud.log()
        assert wait_until(lambda: pings(red, f'-6 {guests.mixed.address6}'), 30)
    for frames in seen:
        for ethertype in (0x0800, 0x86DD):
            assert RED in {frame.vlan for frame in frames if frame.ethertype == ethertype}
        assert [frame for frame in frames if frame.vlan is None] == []
        foreign = [f for f in frames if f.vlan != macs.get(f.source, f.vlan)]
        assert foreign == []
    ends = {(guests.mixed.mac, guests.red.mac), (guests.red.mac, guests.mixed.mac)}
    assert ends <= {(frame.source, frame.destination) for frames in seen for frame in frames}


def test_guests_of_other_vlans_are_apart(cloud: Cloud, guests: Guests) -> None:
    """Even with an address of the other's range and static ARP entries on either side. What the
    stranger sends leaves on his own VLAN, and is never on the bridges of the other one."""
    victims = (guests.mixed, guests.red)
    ports = [(cloud.switch.sandbox, port) for port in cloud.ports]
    bridges = [(host, bridge_of(cloud, 'red')) for host in cloud.hosts]
    with contextlib.ExitStack() as stack:
        stranger = stack.enter_context(cloud.console(guests.blue.server))
        assert stranger.run(f'ip addr add {FOREIGN}/24 dev eth0').code == 0
        for victim in victims:
            console = stack.enter_context(cloud.console(victim.server))
            know(console, victim.device, FOREIGN, guests.blue.mac)
            know(stranger, 'eth0', victim.address, victim.mac)
        on_trunk = stack.enter_context(trunk.captured(*ports, action='received'))
        on_red = stack.enter_context(trunk.captured(*bridges))
        for victim in victims:
            assert not pings(stranger, victim.address, '-I', FOREIGN)
        # a tag of the other VLAN in the frame itself
        for victim in victims:
            tagged = victim.mac + guests.blue.mac + f'8100{RED:04x}88b5' + '00' * 46
            assert stranger.run(f'inject eth0 {tagged.replace(":", "")}').code == 0
    sent = [f for frames in on_trunk for f in frames if f.source == guests.blue.mac]
    assert {frame.vlan for frame in sent} == {BLUE}
    away = {victim.mac for victim in victims} - {
        victim.mac
        for victim in victims
        if cloud.host_of(victim.server) is cloud.host_of(guests.blue.server)
    }
    assert away <= {frame.destination for frame in sent}
    assert 0x8100 in {frame.ethertype for frame in sent}, 'the tagged frames left as well'
    assert [f for frames in on_red for f in frames if f.source == guests.blue.mac] == []


def know(console: Console, device: str, address: str, mac: str) -> None:
    assert console.run(f'arp -i {device} -s {address} {mac}').code == 0


def test_a_network_that_every_host_serves(cloud: Cloud, guests: Guests) -> None:
    """A NIC on it is plugged into either running guest, whose DHCP server is then its own host; and
    when the NICs are taken out, its VLAN is on neither host any more."""
    before = [links(host) for host in cloud.hosts]
    made = cloud.network('wide', '10.87.0.0/24', '--gateway', 'none', '--multi-host')
    pair = (guests.mixed.server, guests.red.server)
    ports = [attach(cloud, server, made['uuid']) for server in pair]
    shown = compute.manage_json(cloud.sandbox, 'network', 'show', made['uuid'])
    with contextlib.ExitStack() as stack:
        consoles = [stack.enter_context(cloud.console(server)) for server in pair]
        nics = [
            plugged(console, port['mac_addr'])
            for console, port in zip(consoles, ports, strict=True)
        ]
        assert [nic.server for nic in nics] == [shown['hosts'][host.name] for host in cloud.hosts]
        assert len({nic.server for nic in nics}) == 2
        for nic, port in zip(nics, ports, strict=True):
            assert nic.address == f'{port["fixed_ips"][0]["ip_address"]}/24'
            assert nic.gateway_answers
        addresses_of = [str(nic.address).partition('/')[0] for nic in nics]
        assert pings(consoles[0], addresses_of[1], '-I', nics[0].name)
        assert pings(consoles[1], addresses_of[0], '-I', nics[1].name)
    for server, port in zip(pair, ports, strict=True):
        detach(cloud, server, port['port_id'])
    compute.manage(cloud.sandbox, 'network', 'delete', made['uuid'])

    def left() -> list[dict[str, Any]]:
        return [links(host) for host in cloud.hosts]

    assert wait_until(lambda: left() == before, 20, 1), (left(), before, cloud.log())


def attach(cloud: Cloud, server: clouds.Server, network: str) -> dict[str, Any]:
    path = f'/servers/{server.uuid}/os-interface'
    answer = cloud.api.call('POST', path, {'interfaceAttachment': {'net_id': network}})
    assert answer.status == 200, (answer.text, cloud.log())
    found: dict[str, Any] = answer.json()['interfaceAttachment']
    return found


def detach(cloud: Cloud, server: clouds.Server, port: str) -> None:
    path = f'/servers/{server.uuid}/os-interface'
    assert cloud.api.call('DELETE', f'{path}/{port}').status == 202
    gone = wait_until(lambda: port not in {n['port_id'] for n in server.interfaces()}, 60, 0.5)
    assert gone, cloud.log()


def plugged(console: Console, mac: str) -> guest_report.Nic:
    """A card that is new to the guest, once the guest has it."""

    seen: list[guest_report.Nic] = []

    def is_there() -> bool:
        reports = guest_report.parse_reports(console.run('scan; report', 120).output)
        seen[:] = [nic for nic in reports[-1].nics if nic.mac == mac]
        return bool(seen)

    assert wait_until(is_there, 60, 1)
    return seen[0]


def test_a_restart_of_the_services_changes_nothing(cloud: Cloud, guests: Guests) -> None:
    """No device is made anew, no DHCP server is another, and no packet is lost."""
    before = [(links(host), addresses(host), servers(host)) for host in cloud.hosts]
    with cloud.console(guests.red.server) as console:
        console.run(f'ping -i 1 {guests.mixed.address} >/run/ping & echo $! >/run/ping.pid')
        restart(cloud)
        console.run('kill -INT $(cat /run/ping.pid); sleep 1')
        counted = console.run("sed -n 's/ packets.*transmitted, / /p' /run/ping").output.split()
    assert [(links(host), addresses(host), servers(host)) for host in cloud.hosts] == before
    sent, received = int(counted[0]), int(counted[1])
    assert sent > 1
    assert received >= sent - 1  # the last one may be on its way


def servers(host: Sandbox) -> list[str]:
    """DHCP servers and guests, with their process numbers."""
    found = host.output('ps', '-eo', 'pid,comm', '--no-headers').splitlines()
    return sorted(line for line in found if 'dnsmasq' in line or 'qemu-system' in line)


def restart(cloud: Cloud) -> None:
    """All services of both hosts, at the same time."""

    def stop_and_start(key: tuple[str, str]) -> None:
        daemon = cloud.daemons[key]
        daemon.stop()
        cloud.daemons[key] = compute.start_service(daemon.sandbox, daemon.name)

    with concurrent.futures.ThreadPoolExecutor() as workers:
        list(workers.map(stop_and_start, list(cloud.daemons)))
    cloud.wait_up()


def test_a_vlan_that_the_operator_has_is_left_to_him(cloud: Cloud, guests: Guests) -> None:
    """The fault tells an administrator who has it."""
    one = cloud.hosts[0]
    before = links(one), addresses(one)
    made = cloud.network('taken', '10.85.0.0/24', '--vlan', str(TAKEN), '--gateway', 'none')
    server = cloud.create(['taken'])
    fault = server.wait_status('ERROR')['fault']
    server.delete()
    compute.manage(cloud.sandbox, 'network', 'delete', made['uuid'])
    assert fault['message'] == 'The compute host failed: NetworkSetupFailed.'
    assert f'VLAN {TAKEN} of {INTERFACES[0]} has a device already' in fault['details']
    assert (links(one), addresses(one)) == before
    assert guests.before[0][OPERATORS_VLAN] == links(one)[OPERATORS_VLAN]


def test_deleting_the_guests_takes_vlans_and_bridges_away(cloud: Cloud, guests: Guests) -> None:
    """On the host that serves the networks and on the one that only has guests."""
    for guest in (guests.mixed, guests.red, guests.blue):
        guest.server.delete()

    def left() -> list[dict[str, Any]]:
        return [links(host) for host in cloud.hosts]

    assert wait_until(lambda: left() == guests.before, 20, 1), (left(), guests.before, cloud.log())
    assert [servers(host) for host in cloud.hosts] == [[], []]
    for label in ('red', 'blue', 'flat', 'dhcp'):
        compute.manage(cloud.sandbox, 'network', 'delete', cloud.networks.pop(label)['uuid'])


@pytest.fixture(scope='module')
def matrix_of_guests(
    cloud: Cloud, request: pytest.FixtureRequest
) -> Iterator[matrix_guests.Guests]:
    made = matrix_guests.Guests(cloud, matrix_guests.selected_cases(request))
    yield made
    made.remove()


@pytest.mark.parametrize('case', MATRIX, ids=lambda case: case.id)
def test_a_guest_has_what_was_asked_for(
    cloud: Cloud, matrix_of_guests: matrix_guests.Guests, case: matrix.Case
) -> None:
    """NICs in order, MACs, every address, one default route of each family, DNS, MTU; and so again
    when it has its first NIC only."""
    with matrix_of_guests.booted(case) as server:
        matrix_guests.judge(cloud, case, server)
        matrix_guests.leave_first(cloud, server)
        matrix_guests.judge(cloud, case.alone, server)
