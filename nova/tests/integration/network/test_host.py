"""A host's networks: what guests get, what a change disturbs, what is left behind."""

from __future__ import annotations

from collections.abc import Callable
import concurrent.futures
import os
import pathlib
import signal
import subprocess

import pytest

from nova.db import records
from nova.network import dhcp, topology
from nova.network.linux import dnsmasq
from nova.network.linux import host as linux_host
from nova.privileged import dnsmasq as privileged_dnsmasq
from nova.privileged import link as privileged_link
from nova.tests.integration.network.conftest import Guest, Host, run, wait_for
from nova.tests.unit.network import samples

MakeGuest = Callable[[str, str], Guest]

A, B = samples.network(0), samples.network(1)


def plan(
    host: Host, *nics: records.Vif, networks: tuple[records.Network, ...] = (A, B)
) -> topology.HostState:
    return samples.state(host.options, *nics, networks=networks)


def apply(
    host: Host, *nics: records.Vif, networks: tuple[records.Network, ...] = (A, B)
) -> topology.HostState:
    state = plan(host, *nics, networks=networks)
    assert host.networks.apply(state) == {}
    return state


def files(folder: pathlib.Path) -> dict[str, tuple[int, str]]:
    """Every file with when it was changed and its content."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_text())
        for path in folder.rglob('*')
        if path.is_file()
    }


# --- what guests get


def test_a_guest_gets_its_lease_and_no_other_does(host: Host, guest: MakeGuest) -> None:
    one, two = samples.vif(1, A), samples.vif(2, A)
    apply(host, one, two)

    first, second = guest(A.bridge, one.mac), guest(A.bridge, two.mac)
    stranger = guest(A.bridge, 'fa:16:3e:99:99:99')

    assert first.lease() == {
        'event': 'bound',
        'ip': '10.0.0.11',
        'mask': '24',
        'router': '10.0.0.1',
        'dns': '192.0.2.0 198.51.100.0',
        'mtu': '1400',
        'domain': 'novalocal',
        'hostname': 'vm-1',
        'serverid': '10.0.0.1',
        'lease': '86400',
    }
    assert (second.lease() or {})['ip'] == '10.0.0.12'
    assert stranger.lease(tries=2) is None


def test_only_the_nic_of_the_default_route_gets_a_router(host: Host, guest: MakeGuest) -> None:
    first = samples.vif(1, A)
    other = samples.vif(2, B, instance_uuid=first.instance_uuid, index=1, default_route=False)
    apply(host, first, other)

    on_a, on_b = guest(A.bridge, first.mac).lease(), guest(B.bridge, other.mac).lease()

    assert on_a is not None
    assert on_b is not None
    assert on_a['router'] == '10.0.0.1'
    assert 'router' not in on_b
    assert (on_b['ip'], on_b['serverid'], on_b['mtu']) == ('10.1.0.12', '10.1.0.2', '1401')


def test_what_a_network_does_not_have_is_not_made_up(host: Host, guest: MakeGuest) -> None:
    bare = samples.network(2, gateway=None, dns=(), mtu=None)
    nic = samples.vif(1, bare)
    apply(host, nic, networks=(bare,))

    lease = guest(bare.bridge, nic.mac).lease()

    assert lease is not None
    assert set(lease) == {'event', 'ip', 'mask', 'domain', 'hostname', 'serverid', 'lease'}


def test_a_gateway_that_is_not_the_host_is_given_and_not_taken(
    host: Host, guest: MakeGuest
) -> None:
    nic = samples.vif(1, B)
    apply(host, nic)

    lease = guest(B.bridge, nic.mac).lease()

    assert (lease or {})['router'] == '10.1.0.1'
    assert host.addresses(B.bridge) == {'10.1.0.2/24'}


def test_other_addresses_on_the_bridge_do_not_silence_dhcp(host: Host, guest: MakeGuest) -> None:
    run('ip', 'link', 'add', A.bridge, 'type', 'bridge', 'forward_delay', '0')
    run('ip', 'link', 'set', A.bridge, 'up')
    for address in ('192.0.2.1/24', 'fd00:9::1/64'):
        run('ip', 'address', 'add', address, 'dev', A.bridge)
    nic = samples.vif(1, A)
    apply(host, nic)

    lease = guest(A.bridge, nic.mac).lease()

    assert lease is not None
    assert (lease['ip'], lease['serverid']) == ('10.0.0.11', '10.0.0.1')


def test_another_address_of_the_range_is_refused(host: Host) -> None:
    """DHCP would be answered with it, and the filters of the guests let only the network's in."""
    run('ip', 'link', 'add', A.bridge, 'type', 'bridge')
    run('ip', 'address', 'add', '10.0.0.200/24', 'dev', A.bridge)
    failed = host.networks.apply(plan(host, samples.vif(1, A)))
    assert f'{A.bridge} has 10.0.0.200, which is in 10.0.0.0/24' in failed[A.uuid].message
    run('ip', 'address', 'del', '10.0.0.200/24', 'dev', A.bridge)
    apply(host, samples.vif(1, A))
    assert host.addresses(A.bridge) == {'10.0.0.1/24'}


def test_a_network_without_dhcp_has_its_gateway(host: Host, guest: MakeGuest) -> None:
    still = samples.network(2, dhcp_server=None)
    nic = samples.vif(1, still)
    apply(host, nic, networks=(still,))
    assert host.addresses(still.bridge) == {'10.2.0.1/24'}
    assert host.pid(still.uuid) is None

    machine = guest(still.bridge, nic.mac)
    assert machine.lease(tries=2) is None
    machine.run('ip', 'address', 'add', f'{nic.addresses[0]}/24', 'dev', 'eth0')
    machine.run('busybox', 'ping', '-c', '1', '-W', '5', '10.2.0.1')
    assert host.networks.apply(topology.HostState()) == {}
    assert still.bridge not in host.links()


def test_a_host_that_drops_by_default(host: Host, guest: MakeGuest) -> None:
    """With the rules of the installation guide its guests are served, also after a restart;
    without them they are not, so that the rules are the reason."""
    nic = samples.vif(1, A)
    apply(host, nic)
    machine = guest(A.bridge, nic.mac)
    rule = 'type filter hook input priority 0; policy drop;'
    run('nft', f'table inet filter {{\nchain input {{\n{rule}\n}}\n}}\n')
    assert machine.lease(tries=2) is None
    run('nft', 'delete', 'table', 'inet', 'filter')

    guide = pathlib.Path(__file__).parents[4] / 'doc/source/install/index.rst'
    rules = guide.read_text().partition('    table inet filter {\n')
    run('nft', ''.join(rules[1:]))
    assert machine.lease() is not None
    os.kill(host.pid(A.uuid) or 0, signal.SIGKILL)
    wait_for(lambda: host.pid(A.uuid) is None)
    apply(host, nic)
    assert machine.lease() is not None
    machine.run('busybox', 'ping', '-c', '1', '-W', '5', '10.0.0.1')


def test_two_nics_of_an_instance_on_one_network(host: Host, guest: MakeGuest) -> None:
    first = samples.vif(1, A, hostname='twin')
    second = samples.vif(2, A, hostname='twin', index=1, default_route=False)
    apply(host, first, second)

    one, two = guest(A.bridge, first.mac).lease(), guest(A.bridge, second.mac).lease()

    assert (one or {})['ip'] == '10.0.0.11'
    assert (two or {})['ip'] == '10.0.0.12'
    assert 'router' not in (two or {})


def test_a_guest_reaches_the_gateway_and_only_the_gateway_network_is_forwarded(
    host: Host, guest: MakeGuest
) -> None:
    closed = samples.network(2, gateway=None)
    one, two = samples.vif(1, closed), samples.vif(2, A)
    # the closed network first, so that the host begins to forward after it
    apply(host, one, networks=(closed,))
    apply(host, one, two, networks=(closed, A))

    inside = guest(A.bridge, two.mac)
    assert inside.lease() is not None
    inside.run('busybox', 'ping', '-c', '1', '-W', '5', '10.0.0.1')
    forwarding = {
        name: pathlib.Path(f'/proc/sys/net/ipv4/conf/{name}/forwarding').read_text().strip()
        for name in (closed.bridge, A.bridge)
    }
    assert forwarding == {closed.bridge: '0', A.bridge: '1'}


# --- changes


def test_a_second_apply_changes_nothing(host: Host) -> None:
    nics = [samples.vif(1, A), samples.vif(2, A), samples.vif(3, B)]
    apply(host, *nics)
    before = (host.links(), files(host.run_path), host.pid(A.uuid), host.pid(B.uuid))

    apply(host, *nics)
    # as another process would, which knows only what it finds
    assert linux_host.HostNetworks(str(host.run_path)).apply(plan(host, *nics)) == {}

    assert (host.links(), files(host.run_path), host.pid(A.uuid), host.pid(B.uuid)) == before
    assert host.pid(A.uuid) is not None


def test_a_new_nic_is_served_without_a_restart(host: Host, guest: MakeGuest) -> None:
    first, second = samples.vif(1, A), samples.vif(2, A)
    apply(host, first)
    pid = host.pid(A.uuid)
    assert (guest(A.bridge, first.mac).lease() or {})['ip'] == '10.0.0.11'

    apply(host, first, second)

    assert (guest(A.bridge, second.mac).lease() or {})['ip'] == '10.0.0.12'
    assert host.pid(A.uuid) == pid


def test_a_deleted_nic_disturbs_nobody_and_its_address_works_at_once_for_another(
    host: Host, guest: MakeGuest
) -> None:
    stays, old = samples.vif(1, A), samples.vif(2, A)
    apply(host, stays, old)
    pid = host.pid(A.uuid)
    assert (guest(A.bridge, old.mac).lease() or {})['ip'] == '10.0.0.12'

    apply(host, stays)
    assert host.pid(A.uuid) == pid
    new = samples.vif(3, A, addresses=old.addresses)
    apply(host, stays, new)

    assert (guest(A.bridge, new.mac).lease() or {})['ip'] == '10.0.0.12'
    assert guest(A.bridge, old.mac).lease(tries=2) is None
    assert (guest(A.bridge, stays.mac).lease() or {})['ip'] == '10.0.0.11'


def test_many_additions_are_kept_in_few_files(host: Host, guest: MakeGuest) -> None:
    nics = [samples.vif(n, A) for n in range(1, 150)]
    apply(host, nics[0])
    pid = host.pid(A.uuid)
    for count in range(2, len(nics) + 1):
        apply(host, *nics[:count])

    folder = host.run_path / 'networks' / A.uuid
    assert len(list((folder / 'hosts.d').iterdir())) <= 64
    assert host.pid(A.uuid) == pid
    for nic in (nics[0], nics[40], nics[-1]):
        assert (guest(A.bridge, nic.mac).lease() or {})['ip'] == nic.addresses[0]
    os.kill(pid or 0, signal.SIGKILL)
    wait_for(lambda: host.pid(A.uuid) is None)
    apply(host, *nics)
    assert (guest(A.bridge, nics[70].mac).lease() or {})['ip'] == nics[70].addresses[0]


def test_a_killed_server_comes_back_and_renews_what_it_gave(host: Host, guest: MakeGuest) -> None:
    nic = samples.vif(1, A)
    apply(host, nic)
    inside = guest(A.bridge, nic.mac)
    with inside.client() as client:
        wait_for(lambda: any(e['event'] == 'bound' for e in inside.events()))
        pid = host.pid(A.uuid)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: host.pid(A.uuid) is None)

        apply(host, nic)

        assert host.pid(A.uuid) not in (None, pid)
        # the client is a child of `ip netns exec`, which became it
        client.send_signal(signal.SIGUSR1)
        wait_for(lambda: any(e['event'] == 'renew' for e in inside.events()))
    assert {e['event'] for e in inside.events()} <= {'deconfig', 'bound', 'renew'}


def test_a_bridge_that_was_made_anew_is_served_again(host: Host, guest: MakeGuest) -> None:
    nic = samples.vif(1, A)
    apply(host, nic)
    run('ip', 'link', 'del', A.bridge)

    apply(host, nic)

    assert (guest(A.bridge, nic.mac).lease() or {})['ip'] == '10.0.0.11'


def test_other_options_start_the_server_anew(host: Host, guest: MakeGuest) -> None:
    nic = samples.vif(1, A)
    apply(host, nic)

    state = samples.state(
        samples.options(str(host.run_path), dhcp_lease_time_s=7200), nic, networks=(A,)
    )
    assert host.networks.apply(state) == {}

    assert (guest(A.bridge, nic.mac).lease() or {})['lease'] == '7200'


def test_only_networks_that_are_looked_at_are_removed(host: Host) -> None:
    apply(host, samples.vif(1, A), samples.vif(2, B))

    assert host.networks.apply(topology.HostState(), {A.uuid}) == {}

    assert set(host.links()) == {'lo', B.bridge}
    assert host.pid(B.uuid) is not None


def test_many_at_once(host: Host) -> None:
    networks = tuple(samples.network(n) for n in range(4))
    nics = [samples.vif(n, networks[n % 4]) for n in range(16)]
    state = plan(host, *nics, networks=networks)

    def apply_once(_: int) -> object:
        try:
            return host.networks.apply(state)
        finally:
            privileged_link.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        # threads begin in the namespace of the one that starts them
        results = list(pool.map(apply_once, range(16)))

    assert results == [{}] * 16
    assert set(host.links()) == {'lo', *(n.bridge for n in networks)}
    assert len({host.pid(n.uuid) for n in networks} - {None}) == 4


# --- what is left


def test_nothing_is_left(host: Host) -> None:
    before = host.links()
    apply(host, samples.vif(1, A), samples.vif(2, B))
    pids = [host.pid(A.uuid), host.pid(B.uuid)]

    apply(host)

    assert host.links() == before
    assert list((host.run_path / 'networks').iterdir()) == []
    assert [pid for pid in pids if _runs(pid)] == []


def test_what_is_the_operators_stays(host: Host) -> None:
    run('ip', 'link', 'add', A.bridge, 'type', 'bridge')
    run('ip', 'address', 'add', '192.0.2.1/24', 'dev', A.bridge)
    run('ip', 'link', 'set', A.bridge, 'up')
    before = host.links()

    apply(host, samples.vif(1, A))
    assert host.addresses(A.bridge) >= {'192.0.2.1/24', '10.0.0.1/24'}
    apply(host)

    after = host.links()
    # whoever has the bridge, no frame that passes by all filters teaches it an address
    learns = [
        links[A.bridge]['linkinfo']['info_data'].pop('no_linklocal_learn')
        for links in (before, after)
    ]
    assert learns == [0, 1]
    assert after == before


def test_a_removal_that_was_cut_short_is_ended_by_the_next(host: Host) -> None:
    nic = samples.vif(1, A)
    apply(host, nic)
    dnsmasq.stop_server(str(host.run_path / 'networks' / A.uuid))

    apply(host)

    assert set(host.links()) == {'lo'}


# --- faults


def test_one_network_that_fails_does_not_stop_another(host: Host, guest: MakeGuest) -> None:
    broken = samples.network(2, physical_network='gone')
    bad, good = samples.vif(1, broken), samples.vif(2, A)
    run('ip', 'link', 'add', B.bridge, 'type', 'veth', 'peer', 'far')
    worse = samples.vif(3, B)

    failed = host.networks.apply(plan(host, bad, good, worse, networks=(A, B, broken)))

    assert set(failed) == {broken.uuid, B.uuid}
    assert 'gone' in failed[broken.uuid].message
    assert 'not a bridge' in failed[B.uuid].message
    assert (guest(A.bridge, good.mac).lease() or {})['ip'] == '10.0.0.12'


def test_a_server_that_does_not_start_says_why(host: Host) -> None:
    state = plan(host, samples.vif(1, A))
    (network,) = state.networks
    with pytest.raises(OSError, match='not in'):
        privileged_dnsmasq.launch(dhcp.render_config(network.dhcp), '/run/elsewhere.pid')
    with pytest.raises(OSError, match="option 'dhcp-script'"):
        privileged_dnsmasq.launch(
            dhcp.render_config(network.dhcp) + 'dhcp-script=/bin/sh\n',
            f'{network.dhcp.folder}/dnsmasq.pid',
        )
    with pytest.raises(OSError, match='dnsmasq: bad dhcp-range at line 2'):
        privileged_dnsmasq.launch('port=0\ndhcp-range=no\n', f'{network.dhcp.folder}/dnsmasq.pid')


def test_another_process_is_not_taken_for_the_server(host: Host) -> None:
    pid_file = host.run_path / 'dnsmasq.pid'
    pid_file.write_text(str(os.getpid()))

    assert privileged_dnsmasq.stop(str(pid_file)) is False


@pytest.mark.parametrize('count', [0, 1, 2, 3, 8])
def test_dnsmasq_accepts_what_is_rendered(host: Host, count: int) -> None:
    for gateway in (None, '10.0.0.1'):
        for dns in ((), ('192.0.2.1',), ('192.0.2.1', '192.0.2.2')):
            for mtu in (None, 1400):
                network = samples.network(0, gateway=gateway, dns=dns, mtu=mtu)
                nics = [samples.vif(n, network, default_route=n % 2 == 0) for n in range(count)]
                nics = nics or [samples.vif(0, network, addresses=())]
                server = plan(host, *nics, networks=(network,)).networks[0].dhcp
                hosts = [f'dhcp-host={line}' for line in dhcp.render_hosts(server.reservations)]
                text = '\n'.join([dhcp.render_config(server), *hosts])
                pathlib.Path(server.folder, 'hosts.d').mkdir(parents=True, exist_ok=True)
                done = subprocess.run(
                    ['dnsmasq', '--test', '--conf-file=-'],
                    input=text,
                    text=True,
                    capture_output=True,
                    check=False,
                )
                assert (done.returncode, done.stderr.strip()) == (0, 'dnsmasq: syntax check OK.')


def _runs(pid: int | None) -> bool:
    try:
        status = pathlib.Path(f'/proc/{pid}/status').read_text()
    except FileNotFoundError:
        return False
    return 'State:\tZ' not in status
