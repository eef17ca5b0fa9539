"""Connections as conntrack prints them, and those to cut."""

from __future__ import annotations

from nova.network.firewall import flows, interpreter, rules

_TCP = (
    'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.9 dst=10.0.0.5 sport=4000 dport=22 '
    'src=10.0.0.5 dst=10.0.0.9 sport=22 dport=4000 [ASSURED] mark=0 zone=7 use=1'
)
_ICMP = (
    'ipv4     2 icmp     1 29 src=10.0.0.9 dst=10.0.0.5 type=8 code=0 id=3 '
    'src=10.0.0.5 dst=10.0.0.9 type=0 code=0 id=3 mark=0 use=1'
)
_TRANSLATED = (
    'ipv4     2 udp      17 29 src=192.0.2.1 dst=203.0.113.5 sport=5 dport=53 '
    'src=10.0.0.5 dst=192.0.2.1 sport=5353 dport=5 mark=0 use=1'
)


def nic(*groups: str) -> rules.NicPolicy:
    return rules.NicPolicy(
        vif_id='v',
        device='tap0',
        bridge='br0',
        network_id='n',
        first_hop=rules.FirstHop(mac='fa:16:3e:00:00:01', ipv4=('10.0.0.5',)),
        groups=groups,
    )


def test_connections() -> None:
    found = list(flows.parse_connections('\n'.join([_TCP, _ICMP, _TRANSLATED, ''])))
    assert [c.zone for c in found] == [7, 0, 0]
    assert found[0].flow == interpreter.Flow(
        version=4, protocol=6, source='10.0.0.9', destination='10.0.0.5', source_port=4000, port=22
    )
    assert (found[1].flow.source_port, found[1].flow.port) == (8, 0)
    assert found[1].values == (
        ('proto', '1'),
        ('src', '10.0.0.9'),
        ('dst', '10.0.0.5'),
        ('type', '8'),
        ('code', '0'),
        ('id', '3'),
    )
    assert (found[2].flow.destination, found[2].flow.port) == ('10.0.0.5', 5353)


def test_what_no_group_admits_is_cut() -> None:
    found = list(flows.parse_connections('\n'.join([_TCP, _ICMP])))
    rule = rules.parse_rule(rule_id='r', direction='ingress', protocol='tcp', port_min=22)
    ruleset = rules.Ruleset(groups=(rules.SecurityGroup(id='g', rules=(rule,)),))
    assert flows.choose_cut(found, {'tap0': nic('g')}, {'tap0': 7}, ruleset) == [found[1]]


def test_the_same_addresses_on_another_network_are_left_alone() -> None:
    found = list(flows.parse_connections(_TCP))
    assert flows.choose_cut(found, {'tap0': nic()}, {'tap0': 8}, rules.Ruleset()) == []
    assert flows.choose_cut(found, {'tap0': nic()}, {'tap0': 7}, rules.Ruleset()) == found


def group(name: str, *ports: int, **members: str) -> rules.SecurityGroup:
    """Rules for ports, which refer to the group ``app``."""
    return rules.SecurityGroup(
        id=name,
        rules=tuple(
            rules.parse_rule(
                rule_id=str(port),
                direction='ingress',
                protocol='tcp',
                port_min=port,
                remote_group_id='app',
            )
            for port in ports
        ),
        members=tuple(
            rules.GroupMember(network_id=network, address=address)
            for network, address in members.items()
        ),
    )


def test_connections_of_members_stay() -> None:
    ends = [f'10.0.0.{last}' for last in (9, 10, 11, 12)]
    lines = [_TCP.replace('10.0.0.9', end) for end in ends]
    found = list(flows.parse_connections('\n'.join(lines)))
    there, elsewhere = (
        rules.GroupMember(network_id=network, address=address)
        for network, address in (('n', '10.0.0.9'), ('m', '10.0.0.10'))
    )
    some = rules.parse_rule(rule_id='r', direction='ingress', remote_cidr='10.0.0.12/30')
    ruleset = rules.Ruleset(
        groups=(
            rules.SecurityGroup(id='app', members=(there, elsewhere)),
            rules.SecurityGroup(id='g', rules=(*group('g', 22).rules, some)),
        )
    )
    cut = flows.choose_cut(found, {'tap0': nic('g')}, {'tap0': 7}, ruleset)
    assert [one.flow.source for one in cut] == ['10.0.0.10', '10.0.0.11']


def test_only_groups_that_admit_less_are_looked_at() -> None:
    def tightened(*groups: rules.SecurityGroup) -> frozenset[str] | None:
        before = rules.Ruleset(groups=(group('app', n='10.0.0.5'), group('g', 1, 2), group('h')))
        return flows.choose_tightened(before, rules.Ruleset(groups=groups))

    app = group('app', n='10.0.0.5')
    assert tightened(app, group('g', 1, 2), group('h')) == frozenset()
    assert tightened(app, group('g', 1, 2, 3), group('h', 1)) == frozenset()
    assert tightened(app, group('g', 1), group('h')) == frozenset({'g'})
    assert tightened(group('app'), group('g', 1, 2), group('h')) == frozenset({'g'})
    assert tightened(group('app', n='10.0.0.5', m='10.0.0.6'), group('g', 1, 2)) == frozenset()
    assert tightened(app) == frozenset({'g'})


def test_a_provider_rule_concerns_everybody() -> None:
    rule = group('g', 1).rules[0]
    before = rules.Ruleset(groups=(group('app'),))
    with_rule = rules.Ruleset(groups=before.groups, provider=(rule,))
    assert flows.choose_tightened(before, with_rule) is None
    assert flows.choose_tightened(with_rule, before) == frozenset()
    grown = rules.Ruleset(groups=(group('app', n='10.0.0.5'),), provider=(rule,))
    assert flows.choose_tightened(with_rule, grown) is None
    assert flows.is_concerned(nic('g'), None)
    assert flows.is_concerned(nic('g'), frozenset({'g'}))
    assert not flows.is_concerned(nic('g'), frozenset({'h'}))
