"""The metadata servers of a host, asked by guests in namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import pathlib

import pytest

from nova.network import info, model
from nova.network.linux import metadata
from nova.privileged import metadata as privileged_metadata
from nova.tests.integration.network.conftest import Guest, Host, wait_for
from nova.tests.unit.network import samples

pytestmark = pytest.mark.root

MakeGuest = Callable[[str, str], Guest]

A, B = samples.network(0), samples.network(2)
NICS = (samples.vif(1, A), samples.vif(2, B), samples.vif(3, A))
KNOWN = {(nic.network_uuid, nic.addresses[0]) for nic in NICS[:2]}
#: On both networks, as if it were one of each.
SHARED = '10.0.0.99'


def find(network: str, address: str, path: str) -> bytes | None:
    if (network, address) in KNOWN or address == SHARED:
        return f'{network} {address} {path}'.encode()
    return None


@pytest.fixture
def servers(host: Host) -> Iterator[metadata.MetadataServers]:
    made = metadata.MetadataServers(find, str(host.run_path))
    state = samples.state(host.options, *NICS, networks=(A, B))
    assert host.networks.apply(state) == {}
    assert made.apply({n.uuid: metadata.Place(n.link.name) for n in state.networks}, None) == {}
    yield made
    made.apply({}, None)


def make(guest: MakeGuest, number: int, address: str) -> Guest:
    nic = NICS[number]
    made = guest(A.bridge if nic.network_uuid == A.uuid else B.bridge, nic.mac)
    made.run('ip', 'address', 'add', f'{address}/24', 'dev', 'eth0')
    made.run('ip', 'route', 'add', '169.254.169.254', 'dev', 'eth0')
    return made


def ask(guest: Guest, path: str, *options: str) -> str:
    url = f'http://169.254.169.254/{path}'
    # a time out of BusyBox's own ends this static build
    command = ('timeout', '5', 'busybox', 'wget', '-q', *options, '-O', '-', url)
    return guest.run(*command, check=False)


def test_a_guest_is_known_by_its_network_and_address(
    servers: metadata.MetadataServers, guest: MakeGuest
) -> None:
    one = make(guest, 0, NICS[0].addresses[0])
    two = make(guest, 1, NICS[1].addresses[0])

    assert ask(one, 'openstack/latest/') == f'{A.uuid} 10.0.0.11 openstack/latest'
    assert ask(two, '') == f'{B.uuid} 10.2.0.12 '


def test_the_same_address_on_two_networks_is_two_guests(
    servers: metadata.MetadataServers, guest: MakeGuest
) -> None:
    one, two = make(guest, 0, SHARED), make(guest, 1, SHARED)

    assert ask(one, 'a') == f'{A.uuid} {SHARED} a'
    # on this one the host has no route back to the address but by the bridge that it came from
    two.run('ip', 'address', 'add', '10.2.0.12/24', 'dev', 'eth0')
    assert ask(two, 'a').startswith(f'{B.uuid} ')


def test_a_guest_without_ipv4_asks_the_link(host: Host, guest: MakeGuest) -> None:
    """It has a link-local address only, as at the time when it asks; the announcements come from
    the same address as before."""
    network = samples.network(
        4,
        cidr=None,
        gateway=None,
        dhcp_server=None,
        cidr_v6='fd00:4::/64',
        gateway_v6='fd00:4::1',
        ipv6_mode=model.Ipv6Mode.SLAAC,
    )
    nic = samples.vif(
        4, network, addresses=(model.mac_address_v6('fd00:4::/64', 'fa:16:3e:00:00:04'),)
    )
    state = samples.state(host.options, nic, networks=(network,))
    assert host.networks.apply(state) == {}
    heard: list[str] = []

    def note(uuid: str, address: str, path: str) -> bytes:
        heard.append(address)
        return f'{uuid} {path}'.encode()

    servers = metadata.MetadataServers(note, str(host.run_path))
    assert servers.apply({network.uuid: metadata.Place(network.bridge, (6,))}, None) == {}
    inside = guest(network.bridge, nic.mac)
    wait_for(lambda: 'tentative' not in inside.run('ip', '-6', 'address', 'show', 'dev', 'eth0'))
    url = f'http://[{model.METADATA_ADDRESS_V6}%eth0]/latest'

    answer = inside.run('timeout', '5', 'busybox', 'wget', '-q', '-O', '-', url, check=False)

    assert answer == f'{network.uuid} latest'
    assert heard == [f'fe80::{"f816:3eff:fe00:4"}']
    wait_for(lambda: 'default' in inside.run('ip', '-6', 'route', 'show', 'default'))
    (default,) = inside.run('ip', '-6', 'route', 'show', 'default').splitlines()
    assert info.router_link_local(network) in default
    servers.apply({}, None)


def test_an_address_that_is_nobodys_gets_nothing(
    servers: metadata.MetadataServers, guest: MakeGuest
) -> None:
    stranger = make(guest, 2, '10.0.0.77')

    assert ask(stranger, 'openstack') == ''


def test_headers_say_nothing(servers: metadata.MetadataServers, guest: MakeGuest) -> None:
    stranger = make(guest, 2, '10.0.0.77')
    address = NICS[0].addresses[0]

    for header in ('X-Forwarded-For', 'X-Real-IP', 'X-Instance-ID', 'Forwarded', 'Host'):
        assert ask(stranger, 'openstack', '--header', f'{header}: {address}') == ''


def test_a_guest_that_holds_connections_does_not_stop_another(
    servers: metadata.MetadataServers, guest: MakeGuest
) -> None:
    greedy = make(guest, 2, '10.0.0.77')
    one = make(guest, 0, NICS[0].addresses[0])
    script = 'for i in $(seq 30); do busybox nc 169.254.169.254 80 </dev/zero >/dev/null & done'
    greedy.run('timeout', '5', 'sh', '-c', f'{script}; sleep 1', check=False)

    assert ask(one, 'a') != ''


def test_a_server_goes_with_its_network(
    servers: metadata.MetadataServers, host: Host, guest: MakeGuest
) -> None:
    one = make(guest, 0, NICS[0].addresses[0])
    assert ask(one, 'a') != ''

    servers.apply({}, {A.uuid})

    assert ask(one, 'a') == ''
    assert ask(make(guest, 1, NICS[1].addresses[0]), 'a') != ''


def test_nothing_is_left(servers: metadata.MetadataServers, host: Host) -> None:
    servers.apply({}, None)

    assert [p for p in pathlib.Path(host.run_path).iterdir() if 'metadata' in p.name] == []


def test_what_cannot_be_served_is_told(servers: metadata.MetadataServers) -> None:
    places = {A.uuid: metadata.Place(A.bridge), 'x': metadata.Place('gone')}
    failed = servers.apply(places, None)

    assert list(failed) == ['x']
    assert 'no metadata' in failed['x'].message


def test_the_helper_makes_no_other_socket(host: Host) -> None:
    with pytest.raises(OSError, match='is not a device'):
        privileged_metadata.listen('../x', f'{host.run_path}/s')
    with pytest.raises(OSError, match='is not in'):
        privileged_metadata.listen('lo', '/run/elsewhere')
