"""Real guests behind each firewall; their rules come, follow, are explained, repaired, and go."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import difflib
import re

import netaddr
import pytest
from scapy.layers import inet, inet6

from lab import compute
from lab.sandbox import wait_until
from nova.network.firewall import rules
from nova.tests.integration.cloud import clouds, firewalls
from nova.tests.integration.cloud.firewalls import LABELS, Site
from nova.tests.integration.firewall import attacks, packets

_SOON_S = 90
#: A line of a serial console takes only so much.
_FRAMES_AT_ONCE = 6


@pytest.fixture(scope='module')
def cloud() -> Iterator[clouds.Cloud]:
    """Without services, which come and go with the firewalls."""
    settings = compute.Settings()
    with clouds.running('walls', settings, services=()) as sandbox:
        made = clouds.fill(sandbox, settings, ['net-a'])
        made.networks['dual'] = compute.create_network(sandbox, 'dual', *firewalls.DUAL)
        yield dataclasses.replace(made, services=compute.EMBEDDED)


@pytest.fixture(scope='module', params=firewalls.DRIVERS)
def site(request: pytest.FixtureRequest, cloud: clouds.Cloud) -> Iterator[Site]:
    with firewalls.having(cloud, request.param) as made:
        yield made


@dataclasses.dataclass
class Guests:
    """``guarded`` has a NIC on each network, the first in the group of this name; ``peer`` one on
    the first, in the group ``peers``."""

    guarded: clouds.Server
    peer: clouds.Server
    groups: dict[str, str]


@pytest.fixture(scope='module')
def guests(site: Site) -> Iterator[Guests]:
    """There is nothing of their NICs after them."""
    cloud = site.cloud
    groups = {name: cloud.make_group(name) for name in ('guarded', 'peers')}
    plain, dual = ({'uuid': cloud.networks[label]['uuid']} for label in LABELS)
    servers = []
    for group, others in (('guarded', [dual]), ('peers', [])):
        answer = cloud.request([plain | {'security_groups': [{'name': group}]}, *others])
        assert answer.status == 202, answer.text
        servers.append(clouds.Server(cloud, answer.json()['server']['id']))
    for server in servers:
        server.wait_status('ACTIVE')
    devices = [firewalls.device_of(nic) for server in servers for nic in server.interfaces()]
    assert [device for device in devices if not site.traces([device])] == []
    guarded, peer = servers
    yield Guests(guarded, peer, groups)
    for server in servers:
        server.delete()
    for uuid in groups.values():
        assert cloud.api.call('DELETE', f'/os-security-groups/{uuid}').status == 202
    # a list of all guests that was made before may put them back for a moment
    assert wait_until(lambda: not site.traces(devices), 10), site.traces(devices)
    assert site.filters() == set()


def test_they_get_what_they_ask_for(site: Site, guests: Guests) -> None:
    for server in (guests.guarded, guests.peer):
        nics = server.report().nics
        assert [(nic.lease, nic.gateway_answers) for nic in nics] == [(True, True)] * len(nics)
        xml = site.cloud.sandbox.output('virsh', 'dumpxml', server.domain)
        assert ('filterref' in xml) is (site.driver == 'nwfilter')
    assert len(site.filters()) == (6 if site.driver == 'nwfilter' else 0)


def test_groups_are_those_of_each_nic_and_follow_changes(site: Site, guests: Guests) -> None:
    """From the host and from a neighbour on the same bridge, which go different ways."""
    cloud, server = site.cloud, guests.guarded
    address, other = (nic['fixed_ips'][0]['ip_address'] for nic in server.interfaces())
    guarded, peers = guests.groups['guarded'], guests.groups['peers']
    with cloud.console(guests.peer) as console:

        def becomes(neighbour: bool, host: bool) -> bool:
            """Whether the guest comes to answer these, and only these."""

            def is_so() -> bool:
                by_neighbour = console.run(f'ping -c 1 -W 1 {address}').code == 0
                return (by_neighbour, site.answers(address)) == (neighbour, host)

            return bool(wait_until(is_so, _SOON_S, 0.2))

        assert becomes(neighbour=False, host=False), cloud.log()
        # A single kind of ICMP, of members of a group.
        echo = cloud.add_rule(guarded, ip_protocol='icmp', from_port=8, to_port=0, group_id=peers)
        assert becomes(neighbour=True, host=False), cloud.log()
        # All kinds, of a range.
        gateway = cloud.add_rule(
            guarded, ip_protocol='icmp', from_port=-1, to_port=-1, cidr='10.10.0.1/32'
        )
        assert becomes(neighbour=True, host=True), cloud.log()
        cloud.api.call('DELETE', f'/os-security-group-rules/{echo}')
        assert becomes(neighbour=False, host=True), cloud.log()
        # The other NIC is in another group, until it joins.
        assert not site.answers(other)
        cloud.add_rule(guarded, ip_protocol='icmp', from_port=8, to_port=0, group_id=peers)
        assert becomes(neighbour=True, host=True), cloud.log()
        # The neighbour leaves the group that the rule names.
        action = f'/servers/{guests.peer.uuid}/action'
        cloud.post(action, {'addSecurityGroup': {'name': 'guarded'}})
        cloud.post(action, {'removeSecurityGroup': {'name': 'peers'}})
        assert becomes(neighbour=False, host=True), cloud.log()
        cloud.api.call('DELETE', f'/os-security-group-rules/{gateway}')
        assert becomes(neighbour=False, host=False), cloud.log()
    # A group for all of its NICs, which admits who is on the second one's network.
    cloud.add_rule(peers, ip_protocol='icmp', from_port=8, to_port=0, cidr='10.61.0.1/32')
    action = f'/servers/{server.uuid}/action'
    cloud.post(action, {'addSecurityGroup': {'name': 'peers'}})
    assert wait_until(lambda: site.answers(other), _SOON_S, 0.05), cloud.log()
    assert not site.answers(address)
    cloud.post(action, {'removeSecurityGroup': {'name': 'peers'}})
    assert wait_until(lambda: not site.answers(other), _SOON_S, 0.05), cloud.log()


def build_honest(nic: rules.NicPolicy, *, has_ipv6: bool) -> dict[str, bytes]:
    """What it may send, of each kind."""
    mac, own = nic.first_hop.mac, packets.v4(nic)
    upper = inet.UDP(sport=4000, dport=4000) / b'honest'
    found = {
        'arp': packets.arp(mac, own, '192.0.2.1'),
        'ipv4': packets.frame(mac, inet.IP(src=own, dst='192.0.2.1') / upper),
    }
    if has_ipv6:
        packet = inet6.IPv6(src=packets.v6(nic), dst='2001:db8:f::1') / upper
        found['ipv6'] = packets.frame(mac, packet)
    return found


def test_a_guest_may_not(site: Site, guests: Guests) -> None:
    """Two of each family of attacks, from each NIC, sent by the guest's own kernel."""
    cloud, interfaces = site.cloud, guests.guarded.interfaces()
    policies = [
        firewalls.build_policy(interface, cloud.networks[label])
        for interface, label in zip(interfaces, LABELS, strict=True)
    ]
    names = [nic.name for nic in guests.guarded.report().nics]
    with cloud.console(guests.guarded) as console:
        for number, (nic, name) in enumerate(zip(policies, names, strict=True)):
            victim = build_victim(nic)
            found = attacks.build_attacks(nic, policies[1 - number], victim)
            forged = {
                f'{row} {place}': frame
                for row, frames in found.items()
                for place, frame in enumerate(
                    [f for f in frames if firewalls.is_held(site.driver, row, f, nic)][:2]
                )
            }
            # Router advertisements, neighbours and sources that are somebody else's among them.
            assert {'Rogue router 0', 'IPv6 spoofing 0', 'Neighbour discovery spoofing 0'} <= {
                *forged
            }
            honest = build_honest(nic, has_ipv6=LABELS[number] == 'dual')
            frames = [*forged.values(), *honest.values()]
            with (
                firewalls.bystander(cloud, nic.bridge) as device,
                cloud.watched(device) as seen,
            ):
                for start in range(0, len(frames), _FRAMES_AT_ONCE):
                    some = frames[start : start + _FRAMES_AT_ONCE]
                    answer = console.run(' && '.join(f'inject {name} {f.hex()}' for f in some))
                    assert answer.code == 0, answer.output

            def passed(wanted: dict[str, bytes], seen: list[bytes] = seen) -> set[str]:
                return {w for w, frame in wanted.items() if any(s.startswith(frame) for s in seen)}

            assert passed(honest) == {*honest}
            assert passed(forged) == set()


def build_victim(nic: rules.NicPolicy) -> rules.NicPolicy:
    """A neighbour of the NIC's."""
    mac = 'fa:16:3e:00:00:99'
    addresses = (packets.v4(nic), packets.v6(nic))
    v4, v6 = (str(netaddr.IPAddress(address) + 1) for address in addresses)
    first_hop = dataclasses.replace(
        nic.first_hop, mac=mac, ipv4=(v4,), ipv6=(rules.build_link_local(mac), v6)
    )
    return dataclasses.replace(nic, first_hop=first_hop)


def test_each_nic_says_what_it_follows(site: Site, guests: Guests) -> None:
    """Which revision of its groups its host has in force, and that the kernel has it."""
    shown = site.explain('show', guests.guarded.uuid)
    assert [(nic['network'], nic['groups']) for nic in shown] == [
        ('net-a', ['guarded']),
        ('dual', ['default']),
    ]
    assert [nic['revision_applied'] for nic in shown] == [nic['revision_wanted'] for nic in shown]
    assert [(nic['follows'], nic['in_kernel']) for nic in shown] == [(True, True)] * 2, (
        site.snapshot()
    )


@pytest.mark.parametrize('site', ['nftables'], indirect=True)
def test_what_is_in_force_is_explained(site: Site, guests: Guests) -> None:
    server = guests.guarded
    text = compute.manage(site.cloud.sandbox, 'firewall', 'show', server.uuid)
    assert 'the kernel holds these rules' in text
    assert 'Dropped on this host, all NICs:' in text

    # Its first NIC has sent what is forged. Of the host is asked later: it goes on counting.
    (mine, _other) = site.explain('show', server.uuid)
    assert mine['drops']['arp'] >= 2
    address = server.interfaces()[1]['fixed_ips'][0]['ip_address']
    packet = ('ingress', 'tcp', '192.0.2.9:4000', f'{address}:22')
    refused = site.explain('why', server.uuid, '1', *packet)
    assert (refused['allowed'], refused['reason']) == (False, 'group')
    assert refused['drops']['group'] >= 1
    assert mine['drops'].keys() <= refused['drops'].keys()
    sent = ('egress', 'tcp', f'{address}:4000', '192.0.2.9:22')
    passing = site.explain('why', server.uuid, '1', *sent)
    assert (passing['allowed'], passing['reason']) == (True, 'group')
    wrong = site.explain('why', server.uuid, '0', *sent)
    assert (wrong['allowed'], wrong['reason']) == (False, 'ipv4')


def test_a_restart_swaps_nothing(site: Site, guests: Guests) -> None:
    assert swapped_by_restart(site) == []


def swapped_by_restart(site: Site) -> list[str]:
    """The rules that a restart of the service makes anew, or changes."""
    before = site.snapshot().splitlines()
    site.restart()
    return list(difflib.unified_diff(before, site.snapshot().splitlines(), n=0))


def test_drift_is_shown_and_repaired(site: Site, guests: Guests) -> None:
    """By a service that is started, and by one that runs."""
    before = firewalls.normalise(site.snapshot())

    def in_kernel() -> list[bool]:
        return [nic['in_kernel'] for nic in site.explain('show', guests.guarded.uuid)]

    def is_repaired() -> bool:
        return firewalls.normalise(site.snapshot()) == before

    site.service.stop()
    site.damage()
    assert in_kernel() == [False, False]
    site.restart()
    assert wait_until(is_repaired, _SOON_S, 0.5), site.cloud.log()
    site.damage()
    assert wait_until(is_repaired, _SOON_S, 0.5), site.cloud.log()
    assert in_kernel() == [True, True]
    assert swapped_by_restart(site) == []


@pytest.mark.parametrize('site', ['nwfilter'], indirect=True)
def test_a_guest_starts_while_somebody_else_changes_rules(site: Site, guests: Guests) -> None:
    """Over which libvirt's ebtables stumbles. A guest that runs notices neither of them."""
    gateway = site.cloud.networks['net-a']['gateway']
    with site.cloud.console(guests.guarded) as console:
        ping = f'ping -i 0.1 -q {gateway} >/tmp/pings 2>&1 & echo $! >/tmp/ping.pid'
        assert console.run(ping).code == 0
        with site.disturbed() as disturber:
            # Mostly the first.
            for _ in range(5):
                with site.cloud.booted(['net-a']) as server:
                    devices = [firewalls.device_of(nic) for nic in server.interfaces()]
                    assert site.traces(devices)
                if disturber.poll() is not None:
                    break
            assert disturber.returncode == 0, 'libvirt has not stumbled'
        assert wait_until(lambda: not site.traces(devices), 10), site.traces(devices)
        counted = console.run('kill -INT $(cat /tmp/ping.pid); sleep 1; cat /tmp/pings').output
    sent, received = (int(number) for number in re.findall(r'(\d+) packets', counted))
    assert sent > 20, counted
    # The last one may be on its way.
    assert received >= sent - 1, counted
