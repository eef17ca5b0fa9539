from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
import pytest

from nova import exception
from nova.network.firewall import rules
from nova.tests.unit.virt.libvirt import schemas
from nova.virt.libvirt import groupfilters


def rule(**values: Any) -> rules.SecurityGroupRule:
    return rules.parse_rule(**({'rule_id': 'r', 'direction': 'ingress'} | values))


def build(
    *found: rules.SecurityGroupRule, versions: tuple[int, ...] = (4, 6)
) -> groupfilters.Group:
    members = tuple(
        rules.GroupMember(network_id=network, address=address)
        for network, address in (('n', '10.0.0.1'), ('n', 'fd00::1'), ('other', '10.0.0.2'))
    )
    ruleset = rules.Ruleset(
        groups=(
            rules.SecurityGroup(id='g', rules=found),
            rules.SecurityGroup(id='peers', members=members),
        )
    )
    return groupfilters.build_group('g', 'n', versions, ruleset)


def check(text: str) -> etree._Element:
    """By libvirt's schema, which knows of states and sets for IPv4 only; its daemon does for both
    (see ``test_every_rule_loads`` of the integration tests)."""
    root = etree.fromstring(text)
    for match in root.iterfind('rule/*'):
        if str(match.tag).endswith('v6'):
            for name in ('state', 'ipset', 'ipsetflags'):
                match.attrib.pop(name, None)
    schemas.check(etree.tostring(root, encoding='unicode'), 'nwfilter')
    return etree.fromstring(text)


def matches(group: groupfilters.Group) -> list[tuple[str, str, dict[str, str]]]:
    root = check(group.filter.xml)
    found = []
    for entry in root.iter('rule'):
        (match,) = entry
        assert match.attrib.pop('state') == 'NONE'
        found.append((str(entry.get('direction')), str(match.tag), dict(match.attrib)))
    return found


def sets_of(group: groupfilters.Group) -> list[set[str]]:
    return [set(used.entries) for used in group.sets]


def test_the_other_end_is_the_source_of_what_comes_in_and_the_target_of_what_goes_out() -> None:
    ports = {'protocol': 'tcp', 'port_min': 1024, 'port_max': 65535, 'remote_cidr': '10.0.0.0/8'}
    found = matches(build(rule(**ports), rule(**ports, direction='egress')))
    port = {'dstportstart': '1024', 'dstportend': '65535'}
    assert found == [
        ('in', 'tcp', {'srcipaddr': '10.0.0.0', 'srcipmask': '8'} | port),
        ('out', 'tcp', {'dstipaddr': '10.0.0.0', 'dstipmask': '8'} | port),
    ]


def test_whole_protocols_and_families() -> None:
    made = [
        rule(protocol='icmp'),
        rule(protocol='icmp', ethertype='IPv6'),
        rule(),
        rule(ethertype='IPv6'),
    ]
    expected: list[tuple[str, str, dict[str, str]]] = [
        ('in', 'icmp', {}),
        ('in', 'icmpv6', {}),
        ('in', 'all', {}),
        ('in', 'all-ipv6', {}),
    ]
    assert matches(build(*made)) == expected
    assert matches(build(*made, versions=(4,))) == expected[::2]


def test_all_single_ports_of_a_direction_are_one_set() -> None:
    one = [
        rule(protocol='tcp', port_min=22, remote_cidr='10.0.0.0/8'),
        rule(protocol='icmp', port_min=8, port_max=0),
    ]
    more = [*one, rule(protocol='udp', port_min=53, port_max=54, remote_group_id='peers')]
    first, second = build(*one), build(*more)
    assert sets_of(first) == [{'10.0.0.0/8,6:22-22', '0.0.0.0/1,1:8/0', '128.0.0.0/1,1:8/0'}]
    assert sets_of(second) == [{'10.0.0.1,17:53-54', *sets_of(first)[0]}]
    # The filter stays, so that no NIC is made anew.
    assert first.filter == second.filter
    assert matches(first) == [('in', 'all', {'ipset': first.sets[0].name, 'ipsetflags': 'src,dst'})]


def test_families_and_directions_have_sets_of_their_own() -> None:
    values = {'protocol': 'tcp', 'port_min': 22}
    group = build(
        rule(**values),
        rule(**values, ethertype='IPv6'),
        rule(**values, direction='egress', remote_cidr='10.0.0.0/8'),
    )
    assert len({used.name for used in group.sets}) == 3
    assert [(way, tag, match['ipsetflags']) for way, tag, match in matches(group)] == [
        ('in', 'all', 'src,dst'),
        ('in', 'all-ipv6', 'src,dst'),
        ('out', 'all', 'dst,dst'),
    ]


def test_a_remote_group_is_a_set_of_its_members_on_the_network() -> None:
    group = build(
        rule(remote_group_id='peers'),
        rule(ethertype='IPv6', remote_group_id='peers', direction='egress'),
        rule(remote_group_id='nobody'),
    )
    four, six, nobody = group.sets
    assert sets_of(group) == [{'10.0.0.1'}, {'fd00::1'}, set()]
    assert matches(group) == [
        ('in', 'all', {'ipset': four.name, 'ipsetflags': 'src'}),
        ('out', 'all-ipv6', {'ipset': six.name, 'ipsetflags': 'dst'}),
        ('in', 'all', {'ipset': nobody.name, 'ipsetflags': 'src'}),
    ]


def test_with_many_ports_a_remote_group_is_a_rule_for_each_member() -> None:
    group = build(
        rule(protocol='tcp', remote_group_id='peers'),
        rule(protocol='icmpv6', remote_group_id='peers', direction='egress'),
        rule(protocol='tcp', remote_group_id='nobody'),
    )
    assert group.sets == ()
    assert matches(group) == [
        ('in', 'tcp', {'srcipaddr': '10.0.0.1', 'srcipmask': '32'}),
        ('out', 'icmpv6', {'dstipaddr': 'fd00::1', 'dstipmask': '128'}),
    ]


@pytest.mark.parametrize(
    ('values', 'entries'),
    [
        ({'protocol': 47}, {'0.0.0.0/1,47:0', '128.0.0.0/1,47:0'}),
        ({'protocol': 'gre', 'remote_cidr': '10.0.0.0/8'}, {'10.0.0.0/8,47:0'}),
        ({'protocol': 'gre', 'remote_group_id': 'peers'}, {'10.0.0.1,47:0'}),
        ({'protocol': 'dccp', 'remote_cidr': 'fd00::/8'}, {'fd00::/8,33:0'}),
        (
            {'protocol': 'udplite', 'remote_cidr': '10.0.0.0/8', 'port_min': 5, 'port_max': 9},
            {'10.0.0.0/8,136:5-9'},
        ),
        # iptables would take this type for any.
        (
            {'protocol': 'icmp', 'port_min': 255, 'port_max': 1, 'remote_cidr': '10.0.0.0/8'},
            {'10.0.0.0/8,1:255/1'},
        ),
    ],
)
def test_what_the_format_has_no_word_for_is_a_set(
    values: dict[str, Any], entries: set[str]
) -> None:
    assert sets_of(build(rule(**values))) == [entries]


def test_what_cannot_be_said_admits_nothing() -> None:
    for unsayable in (rule(protocol=0), rule(protocol='dccp', port_min=5)):
        assert not groupfilters.is_expressible(unsayable)
        assert matches(build(unsayable)) == []


def test_what_is_forbidden_on_every_nic_comes_before_the_groups() -> None:
    ruleset = rules.Ruleset(provider=(rule(protocol='udp', port_min=19),))
    (found,) = check(groupfilters.build_provider('n', (4,), ruleset).filter.xml).iter('rule')
    assert (found.get('action'), found.get('priority')) == ('drop', '300')


_PORTS = st.none() | st.integers(-1, 65535)


@given(
    direction=st.sampled_from(['ingress', 'egress']),
    ethertype=st.sampled_from([None, 'IPv4', 'IPv6']),
    protocol=st.none() | st.sampled_from(sorted(rules.PROTOCOLS)) | st.integers(0, 255),
    port_min=_PORTS,
    port_max=_PORTS,
    remote_cidr=st.sampled_from([None, '10.0.0.0/8', '0.0.0.0/0', '::/0', 'fd00::1', '10.0.0.7']),
    remote_group_id=st.sampled_from([None, 'peers', 'nobody']),
)
def test_libvirt_takes_every_rule_that_the_api_takes(**values: Any) -> None:
    try:
        made = rule(**values)
    except exception.InvalidInput:
        return
    group = build(made)
    found = matches(group)
    admits = groupfilters.is_expressible(made) and made.remote_group_id != 'nobody'
    assert bool(found) >= admits
    # Elsewhere libvirt would ignore it, and admit everybody.
    assert all('ipset' not in match or tag.startswith('all') for _way, tag, match in found)
    assert all(len(used.name) <= 31 for used in group.sets)
