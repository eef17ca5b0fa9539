"""Why packets pass, in words."""

from __future__ import annotations

import pytest

from nova import exception
from nova.network.firewall import explain, interpreter, nftables_base, rules

NIC = rules.NicPolicy(
    vif_id='v',
    device='tap0',
    bridge='br0',
    network_id='n',
    first_hop=rules.FirstHop(
        mac='fa:16:3e:00:00:01',
        ipv4=('10.0.0.5',),
        ipv6=('fe80::f816:3eff:fe00:1', '2001:db8::5'),
        dhcp_servers=('10.0.0.2',),
        routers=('fe80::1',),
    ),
    groups=('g-id', 'empty'),
)
RULESET = rules.Ruleset(
    groups=(
        rules.SecurityGroup(
            id='g-id',
            rules=(
                rules.parse_rule(
                    rule_id='r-ssh', direction='ingress', protocol='tcp', port_min=22, port_max=23
                ),
                rules.parse_rule(
                    rule_id='r-ping', direction='ingress', protocol='icmp', port_min=8, port_max=0
                ),
                rules.parse_rule(
                    rule_id='r-db',
                    direction='egress',
                    ethertype='IPv6',
                    protocol='sctp',
                    remote_group_id='db-id',
                ),
            ),
        ),
        rules.SecurityGroup(
            id='db-id', members=(rules.GroupMember(network_id='n', address='2001:db8::9'),)
        ),
    ),
    provider=(rules.parse_rule(rule_id='p', direction='egress', protocol='tcp', port_min=25),),
)
NAMES = {'g-id': 'web', 'db-id': 'db'}


def why(*words: str, **options: object) -> tuple[interpreter.Verdict, str]:
    packet = explain.parse_packet(*words, **options)  # type: ignore[arg-type]
    verdict = explain.judge(packet, NIC, RULESET)
    return verdict, explain.describe_verdict(verdict, RULESET, NAMES)


@pytest.mark.parametrize(
    ('words', 'allowed', 'reason', 'rule'),
    [
        (('ingress', 'tcp', '192.0.2.9:4000', '10.0.0.5:22'), True, 'group', 'r-ssh'),
        (('ingress', 'tcp', '192.0.2.9:4000', '10.0.0.5:24'), False, 'group', None),
        (('ingress', '17', '192.0.2.9:4000', '10.0.0.5:22'), False, 'group', None),
        (('ingress', 'icmp:8:0', '192.0.2.9', '10.0.0.5'), True, 'group', 'r-ping'),
        (('ingress', 'icmp:13', '192.0.2.9', '10.0.0.5'), False, 'group', None),
        (('ingress', 'icmp:5:1', '10.0.0.1', '10.0.0.5'), False, 'router', None),
        (('egress', 'sctp', '[2001:db8::5]:1', '[2001:db8::9]:2'), True, 'group', 'r-db'),
        (('egress', 'sctp', '2001:db8::5', '2001:db8::8'), False, 'group', None),
        (('egress', 'tcp', '10.0.0.5:4000', '192.0.2.9:25'), False, 'provider', 'p'),
        (('egress', 'udp', '10.0.0.6:1', '192.0.2.9:2'), False, 'ipv4', None),
        (('egress', 'udp', '2001:db8::6', '2001:db8::9'), False, 'ipv6', None),
        (('egress', 'udp', '0.0.0.0:68', '255.255.255.255:67'), True, 'first-hop', None),
        (('egress', 'udp', '10.0.0.5:67', '255.255.255.255:68'), False, 'dhcp', None),
        (('ingress', 'udp', '10.0.0.2:67', '10.0.0.5:68'), True, 'first-hop', None),
        (('ingress', 'udp', '10.0.0.3:67', '10.0.0.5:68'), False, 'dhcp', None),
        (('egress', 'udp', '[2001:db8::5]:546', '[ff02::1:2]:547'), True, 'first-hop', None),
        (('egress', 'arp', '10.0.0.5', '10.0.0.1'), True, 'first-hop', None),
        (('egress', 'arp', '10.0.0.1', '10.0.0.9'), False, 'arp', None),
        (('egress', 'icmpv6:136', '2001:db8::5', 'ff02::1'), True, 'first-hop', None),
        (('egress', 'icmpv6:136', '2001:db8::9', 'ff02::1'), False, 'nd', None),
        (('egress', 'icmpv6:134', 'fe80::1', 'ff02::1'), False, 'router', None),
    ],
)
def test_why(words: tuple[str, ...], allowed: bool, reason: str, rule: str | None) -> None:
    verdict, text = why(*words)
    assert verdict == interpreter.Verdict(allowed, reason, rule)
    assert text.startswith('passes: ' if allowed else 'dropped: ')


def test_the_rule_is_told() -> None:
    _verdict, text = why('ingress', 'tcp', '192.0.2.9:4000', '10.0.0.5:22')
    assert text == (
        'passes: a security group of the NIC admits it '
        '(group web: ingress IPv4 tcp 22-23 from anywhere, rule r-ssh)'
    )


def test_a_foreign_mac_and_what_is_established() -> None:
    words = ('egress', 'tcp', '10.0.0.5:22', '192.0.2.9:4000')
    assert why(*words)[0].reason == 'group'
    assert why(*words, established=True)[0] == interpreter.Verdict(True, 'established')
    assert why(*words, established=True, mac='FA-16-3E-00-00-02')[0].reason == 'mac'


@pytest.mark.parametrize(
    ('words', 'field'),
    [
        (('inwards', 'tcp', '10.0.0.1', '10.0.0.5'), 'direction'),
        (('ingress', 'tcpp', '10.0.0.1', '10.0.0.5'), 'protocol'),
        (('ingress', 'any', '10.0.0.1', '10.0.0.5'), 'protocol'),
        (('ingress', 'icmp:256', '10.0.0.1', '10.0.0.5'), 'protocol'),
        (('ingress', 'icmp:1:2:3', '10.0.0.1', '10.0.0.5'), 'protocol'),
        (('egress', 'arp', 'fe80::1', 'fe80::2'), 'protocol'),
        (('ingress', 'icmpv6:128', '10.0.0.1', '10.0.0.5'), 'ethertype'),
        (('ingress', 'tcp', '10.0.0.1:65536', '10.0.0.5'), 'source'),
        (('ingress', 'tcp', '10.0.0.1:x', '10.0.0.5'), 'source'),
        (('ingress', 'tcp', '10.0.0.1', 'guest'), 'target'),
        (('ingress', 'tcp', '10.0.0.1', 'fe80::1'), 'target'),
    ],
)
def test_what_is_no_packet_is_named(words: tuple[str, ...], field: str) -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        why(*words)
    assert caught.value.kwargs['field'] == field


def test_every_reason_has_its_words() -> None:

    counted = {reason for found in nftables_base.REASONS.values() for reason in found}
    assert counted <= explain.REASONS.keys()


def test_a_nic() -> None:
    assert list(explain.describe_nic(NIC, RULESET, NAMES)) == [
        'may send from fa:16:3e:00:00:01 only, as a client, never as a router or a server',
        'its IPv4 addresses: 10.0.0.5',
        'its IPv6 addresses: fe80::f816:3eff:fe00:1, 2001:db8::5',
        'DHCP servers: 10.0.0.2',
        'IPv6 routers: fe80::1',
        'drop egress IPv4 tcp 25 to anywhere (provider rule p)',
        'accept what belongs to an admitted connection',
        'accept ingress IPv4 tcp 22-23 from anywhere (group web, rule r-ssh)',
        'accept ingress IPv4 icmp type 8 code 0 from anywhere (group web, rule r-ping)',
        'accept egress IPv6 sctp to members of db (group web, rule r-db)',
        '  members on its network: 2001:db8::9',
        'drop anything else',
    ]
    open_nic = rules.NicPolicy(
        vif_id='v',
        device='tap0',
        bridge='br0',
        network_id='n',
        first_hop=rules.FirstHop(mac='fa:16:3e:00:00:01'),
    )
    assert list(explain.describe_nic(open_nic, rules.Ruleset(), {}))[-1] == (
        'accept anything else (security groups do not apply)'
    )
