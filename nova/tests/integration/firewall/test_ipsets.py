"""Sets of addresses in the kernel."""

from __future__ import annotations

import pytest

from nova.network.firewall import ipsets, rules
from nova.privileged import ipset
from nova.tests.integration.firewall.conftest import run

pytestmark = [pytest.mark.root, pytest.mark.usefixtures('world')]


def entries(name: str) -> set[str]:
    lines = run('ipset', 'save', name).splitlines()
    return {line.split()[2] for line in lines if line.startswith('add ')}


def build(*addresses: str, version: int = 4) -> ipsets.IpSet:
    members = tuple(rules.GroupMember(network_id='net', address=a) for a in addresses)
    ruleset = rules.Ruleset(groups=(rules.SecurityGroup(id='g', members=members),))
    return ipsets.build_member_set('g', 'net', version, ruleset)


def test_a_set_changes_below_the_rules_that_refer_to_it() -> None:
    first = build('10.0.0.1', '10.0.0.2', 'fd00::1')
    other = build('10.0.0.1', 'fd00::1', version=6)
    ipset.ensure([first.values(), other.values()])
    assert entries(first.name) == {'10.0.0.1', '10.0.0.2'}
    assert entries(other.name) == {'fd00::1'}
    run('iptables', '-A', 'FORWARD', '-m', 'set', '--match-set', first.name, 'src', '-j', 'DROP')
    ipset.ensure([build('10.0.0.3').values()])
    assert entries(first.name) == {'10.0.0.3'}
    assert ipset.list_names() == sorted([first.name, other.name])
    assert ipset.remove([first.name, other.name, 'nova-m4-none']) == [first.name]
    run('iptables', '-F', 'FORWARD')
    assert ipset.remove([first.name]) == []
    assert ipset.list_names() == []


def test_entries_come_and_go_by_themselves() -> None:
    name = build().name
    ipset.change([(name, 'hash:net', 4, ('10.0.0.1', '10.0.0.2'), ())])
    ipset.change([(name, 'hash:net', 4, ('10.0.0.2', '10.0.0.3'), ('10.0.0.1', '10.0.0.9'))])
    assert entries(name) == {'10.0.0.2', '10.0.0.3'}
    assert f'add {name} 10.0.0.3' in ipset.read()
    with pytest.raises(OSError, match='no entry'):
        ipset.change([(name, 'hash:net', 4, (), ('10.0.0.2\ndestroy',))])
    assert entries(name) == {'10.0.0.2', '10.0.0.3'}


def test_entries_with_protocol_and_port() -> None:
    texts = ('0.0.0.0/1,47:0', '10.0.0.0/8,1:8/0', '10.0.0.0/8,6:80-81')
    ipset.ensure([('nova-p4-x', 'hash:net,port', 4, texts)])
    assert entries('nova-p4-x') == {
        '0.0.0.0/1,gre:0',
        '10.0.0.0/8,icmp:echo-request',
        '10.0.0.0/8,tcp:80',
        '10.0.0.0/8,tcp:81',
    }


def test_sets_of_others_stay() -> None:
    run('ipset', 'create', 'theirs', 'hash:ip')
    with pytest.raises(OSError, match='no set of ours'):
        ipset.remove(['theirs'])
    with pytest.raises(OSError, match='no set of ours'):
        ipset.ensure([('theirs', 'hash:net', 4, ())])
    assert ipset.list_names() == []


@pytest.mark.parametrize('entry', ['10.0.0.1\ndestroy theirs', '10.0.0.1 timeout 1', ''])
def test_only_entries(entry: str) -> None:
    with pytest.raises(OSError, match='no entry'):
        ipset.ensure([('nova-m4-x', 'hash:net', 4, [entry])])
    assert ipset.list_names() == []


def test_what_the_kernel_refuses_leaves_the_set_as_it_was() -> None:
    ipset.ensure([('nova-m4-x', 'hash:net', 4, ['10.0.0.1'])])
    with pytest.raises(OSError, match='ipset'):
        ipset.ensure([('nova-m4-x', 'hash:net', 4, ['10.0.0.2', 'fd00::1'])])
    assert entries('nova-m4-x') == {'10.0.0.1'}
    # that of the other content can be removed like any other
    (left,) = set(ipset.list_names()) - {'nova-m4-x'}
    assert ipset.remove([left]) == []
    assert ipset.list_names() == ['nova-m4-x']
    ipset.ensure([('nova-m4-x', 'hash:net', 4, ['10.0.0.3'])])
    assert entries('nova-m4-x') == {'10.0.0.3'}
    ipset.ensure([('nova-m6-x', 'hash:net', 6, [])])
    with pytest.raises(OSError, match='ipset'):
        ipset.find_equal([('nova-m6-x', 'hash:net', 6, ['10.0.0.2'])])
    assert ipset.list_names() == ['nova-m4-x', 'nova-m6-x']


def test_sets_that_are_as_they_should_be_are_found() -> None:
    """Ranges of ports are entries of their own to the kernel, and protocols have names."""
    wanted = [
        (
            'nova-p4-x',
            'hash:net,port',
            4,
            ('0.0.0.0/1,47:0', '10.0.0.0/8,6:80-81', '10.0.0.1/32,1:8/0'),
        ),
        build('fd00::1', version=6).values(),
        build('10.0.0.1').values(),
    ]
    assert ipset.find_equal(wanted) == []
    ipset.ensure(wanted)
    before = run('ipset', 'save')
    assert ipset.find_equal(wanted) == [name for name, *_rest in wanted]
    ipset.ensure([('nova-m4-none', 'hash:net', 4, ())])
    assert ipset.find_equal([('nova-m4-none', 'hash:net', 4, ())]) == ['nova-m4-none']
    assert ipset.remove(['nova-m4-none']) == []
    other = ('nova-p4-x', 'hash:net,port', 4, ('0.0.0.0/1,47:0',))
    assert ipset.find_equal([other, build('10.0.0.1', '10.0.0.2').values()]) == []
    assert run('ipset', 'save') == before
