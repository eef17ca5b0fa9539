"""What only the nftables driver promises."""

from __future__ import annotations

import pathlib
import socket

import pytest
from scapy.layers import inet

from nova.network.firewall import nftables, nftables_plan, rules
from nova.privileged import sysctl
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import World, inside, run, without_drops

pytestmark = pytest.mark.root

NAME = 'instance-00000001'
NIC = packets.nic(0, groups=('g',))
RULESET = rules.Ruleset(
    groups=(
        rules.SecurityGroup(
            id='g',
            rules=(
                rules.parse_rule(
                    rule_id='r',
                    direction='ingress',
                    protocol='tcp',
                    port_min=22,
                    remote_group_id='g',
                ),
            ),
            members=(rules.GroupMember(network_id=NIC.network_id, address=packets.v4(NIC)),),
        ),
    )
)
CHAIN = nftables_plan.group_chain('g', rules.Direction.INGRESS)
MEMBERS = nftables_plan.member_set('g', 4)[0]


@pytest.fixture
def firewall(world: World) -> nftables.NftablesFirewall:
    world.bridge(NIC.bridge)
    made = nftables.NftablesFirewall()
    made.init_host({NAME: [NIC]}, RULESET)
    return made


def shown() -> str:
    return without_drops(run('nft', '-s', 'list', 'ruleset'))


@pytest.mark.parametrize(
    'change',
    [
        'flush chain bridge nova from_guest',
        'insert rule bridge nova from_guest accept',
        'flush chain inet nova state',
        f'flush chain bridge nova {CHAIN}',
        f'add rule bridge nova {CHAIN} accept',
        'flush set bridge nova macs',
        'add element bridge nova macs { "tap00000000beef" . fa:16:3e:99:99:99 }',
        f'add element bridge nova {MEMBERS} {{ 1 . 10.0.0.99 }}',
        'delete table inet nova',
        'flush ruleset',
    ],
)
def test_drift_is_found_and_repaired(firewall: nftables.NftablesFirewall, change: str) -> None:
    before = shown()
    run('nft', change)
    assert shown() != before
    assert firewall.repair()
    assert shown() == before
    assert not firewall.repair()


def test_changes_of_others_are_no_drift(firewall: nftables.NftablesFirewall) -> None:
    run('nft', 'add', 'table', 'inet', 'theirs')
    before = without_drops(run('nft', '-a', '-s', 'list', 'ruleset'))
    assert not firewall.repair()
    assert without_drops(run('nft', '-a', '-s', 'list', 'ruleset')) == before


def test_drops_are_counted_by_reason(world: World, firewall: nftables.NftablesFirewall) -> None:
    port = world.port(NIC.device, NIC.bridge)
    before = firewall.drops()
    own = NIC.first_hop.mac
    port.send(
        packets.arp('fa:16:3e:99:99:99', packets.v4(NIC), '10.0.0.1'),
        packets.arp(own, '10.0.0.99', '10.0.0.1'),
        packets.arp(own, '10.0.0.98', '10.0.0.1'),
        packets.frame(own, b'experiment', type=0x88B5),
        packets.frame(own, inet.IP(src='10.0.0.99', dst='10.0.0.1') / inet.UDP()),
        packets.frame(own, inet.IP(src=packets.v4(NIC), dst='10.0.0.1') / inet.UDP(dport=9)),
    )
    after = firewall.drops()
    found = {reason: after[reason] - before[reason] for reason in after}
    expected = {'mac': 1, 'arp': 2, 'kind': 1, 'ipv4': 1, 'group': 1}
    assert {reason: count for reason, count in found.items() if count} == expected
    assert firewall.drops_of(NIC.device) == expected


def test_drops_are_those_of_the_nic_that_sends_or_of_the_one_that_gets(
    world: World, firewall: nftables.NftablesFirewall
) -> None:
    peer = packets.nic(10, 0, groups=('g',))
    firewall.apply('other', [peer], RULESET)
    port, target = (world.port(nic.device, nic.bridge) for nic in (NIC, peer))
    outside = world.port('outside', NIC.bridge)
    own = NIC.first_hop.mac
    port.send(packets.arp(own, '10.0.0.99', '10.0.0.1'))
    packet = inet.IP(src='192.0.2.1', dst=packets.v4(peer)) / inet.UDP(dport=9)
    last = packets.mark(packets.OUTSIDER_MAC, '192.0.2.66', 1)
    for _time in range(2):
        outside.send(packets.frame(packets.OUTSIDER_MAC, packet, peer.first_hop.mac))
    outside.send(last)
    target.until(last)
    assert firewall.drops_of(NIC.device)['arp'] == 1
    assert firewall.drops_of(peer.device) == {'group': 2}
    # They go with the NIC, and stay with the others over a new start.
    firewall.remove('other')
    assert firewall.drops_of(peer.device) == {}
    nftables.NftablesFirewall().init_host({NAME: [NIC]}, RULESET)
    assert firewall.drops_of(NIC.device)['arp'] == 1
    nftables.NftablesFirewall().init_host({}, rules.Ruleset())
    assert firewall.drops_of(NIC.device) == {}


def test_a_compute_host_has_no_services_for_its_guests(
    world: World, firewall: nftables.NftablesFirewall
) -> None:
    """Nor on an address that is not of the guest's network (Linux answers on any interface)."""
    nic = packets.nic(1, 0)
    firewall.apply(NAME, [nic], rules.Ruleset())
    mac = str(firewall._bridges[nic.bridge].mac)
    port = world.port(nic.device, nic.bridge)
    run('ip', 'address', 'add', '198.51.100.1/32', 'dev', 'lo')
    run('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0', f'net.ipv4.conf.{nic.bridge}.rp_filter=0')
    run('ip', 'route', 'add', '10.0.0.0/24', 'dev', nic.bridge)
    with inside(world.host):
        heard = {number: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for number in (22, 53)}
    for number, service in heard.items():
        service.bind(('0.0.0.0', number))
        service.settimeout(10)
        layer = inet.IP(src=packets.v4(nic), dst='198.51.100.1') / inet.UDP(dport=number) / b'x'
        port.send(packets.frame(nic.first_hop.mac, layer, mac))
    assert heard[53].recv(100) == b'x'
    heard[22].setblocking(False)
    with pytest.raises(BlockingIOError):
        heard[22].recv(100)
    assert firewall.drops()['host'] == 1
    for service in heard.values():
        service.close()


@pytest.mark.usefixtures('world')
def test_a_kernel_without_br_netfilter_is_told_of(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sysctl, '_ROOT', tmp_path)
    nftables.NftablesFirewall().init_host({}, rules.Ruleset())
    assert 'no br_netfilter' in caplog.text
    assert 'table bridge nova' in shown()
