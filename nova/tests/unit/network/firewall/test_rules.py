"""Rules as users write them, and the policy of a NIC from its VIF."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import strategies as st
import pytest

from nova import exception, primitive
from nova.network import model
from nova.network.firewall import rules


def parse(**values: Any) -> rules.SecurityGroupRule:
    return rules.parse_rule(**({'rule_id': 'r', 'direction': 'ingress'} | values))


@pytest.mark.parametrize(
    ('written', 'number'),
    [('tcp', 6), ('TCP', 6), (6, 6), ('6', 6), (None, None), (-1, None), ('any', None), ('0', 0)],
)
def test_protocols(written: str | int | None, number: int | None) -> None:
    assert parse(protocol=written).protocol == number


@pytest.mark.parametrize(
    ('values', 'family', 'protocol'),
    [
        ({}, 'IPv4', None),
        ({'remote_cidr': '2001:db8::/32'}, 'IPv6', None),
        ({'protocol': 'icmpv6'}, 'IPv6', 58),
        ({'protocol': 'icmp', 'ethertype': 'IPv6'}, 'IPv6', 58),
        ({'protocol': 'icmp', 'remote_cidr': '::/0'}, 'IPv6', 58),
        ({'protocol': 'icmp'}, 'IPv4', 1),
        ({'ethertype': 'ipv6'}, 'IPv6', None),
    ],
)
def test_the_family_follows(values: dict[str, Any], family: str, protocol: int | None) -> None:
    rule = parse(**values)
    assert (rule.ethertype, rule.protocol) == (family, protocol)


def test_icmp_has_a_type_and_a_code() -> None:
    rule = parse(protocol='icmp', port_min=8, port_max=0)
    assert (rule.icmp_type, rule.icmp_code, rule.port_min, rule.port_max) == (8, 0, None, None)
    rule = parse(protocol='icmp', port_min=-1, port_max=-1)
    assert (rule.icmp_type, rule.icmp_code) == (None, None)


def test_ranges_are_canonical() -> None:
    assert parse(remote_cidr='10.1.2.3/8').remote_cidr == '10.0.0.0/8'
    assert parse(remote_cidr='10.1.2.3').remote_cidr == '10.1.2.3/32'
    assert parse(remote_cidr='2001:DB8:0::1/64').remote_cidr == '2001:db8::/64'
    assert parse(remote_cidr='0.0.0.0/0').remote_cidr is None
    assert parse(protocol='tcp', port_min=0, port_max=65535).port_min is None
    assert parse(protocol='tcp', port_min=22).port_max == 22


@pytest.mark.parametrize(
    ('values', 'field'),
    [
        ({'direction': 'in'}, 'direction'),
        ({'ethertype': 'ARP'}, 'ethertype'),
        ({'ethertype': 'IPv4', 'protocol': 'icmpv6'}, 'ethertype'),
        ({'protocol': 'tpc'}, 'protocol'),
        ({'protocol': '256'}, 'protocol'),
        ({'protocol': '٣'}, 'protocol'),
        ({'protocol': 'gre', 'port_min': 1, 'port_max': 2}, 'protocol'),
        ({'port_min': 1, 'port_max': 2}, 'protocol'),
        ({'protocol': 'tcp', 'port_min': 2, 'port_max': 1}, 'port_max'),
        ({'protocol': 'tcp', 'port_min': 1, 'port_max': 65536}, 'port_max'),
        ({'protocol': 'icmp', 'port_min': 256}, 'port_min'),
        ({'protocol': 'icmp', 'port_min': -1, 'port_max': 0}, 'port_min'),
        ({'remote_cidr': '10.0.0.0/33'}, 'remote_cidr'),
        ({'remote_cidr': '10'}, 'remote_cidr'),
        ({'remote_cidr': '::ffff:10.0.0.1'}, 'remote_cidr'),
        ({'remote_cidr': '::/0', 'ethertype': 'IPv4'}, 'remote_cidr'),
        ({'remote_cidr': '10.0.0.0/8', 'remote_group_id': 'g'}, 'remote_group_id'),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(exception.InvalidInput) as caught:
        parse(**values)
    assert caught.value.kwargs['field'] == field


@hypothesis.given(
    protocol=st.one_of(st.none(), st.integers(-2, 260), st.text(max_size=5)),
    low=st.one_of(st.none(), st.integers(-2, 70000)),
    high=st.one_of(st.none(), st.integers(-2, 70000)),
    cidr=st.one_of(st.none(), st.text(max_size=20), st.ip_addresses().map(str)),
)
def test_every_other_input_is_refused_or_a_rule(
    protocol: str | int | None, low: int | None, high: int | None, cidr: str | None
) -> None:
    try:
        rule = parse(protocol=protocol, port_min=low, port_max=high, remote_cidr=cidr)
    except exception.InvalidInput:
        return
    assert (rule.port_min is None) == (rule.port_max is None)
    assert primitive.from_primitive(primitive.to_primitive(rule)) == rule


def vif(*addresses: str, subnets: tuple[model.Subnet, ...]) -> model.VIF:
    network = model.Network(
        id='n', label='n', kind=model.NetworkKind.FLAT_DHCP, bridge='br1', subnets=subnets
    )
    return model.VIF(
        id='0a1b2c3d-4e5f-4000-8000-000000000000',
        index=0,
        mac='fa:16:3e:01:02:03',
        network=network,
        addresses=addresses,
    )


def test_the_policy_of_a_nic() -> None:
    v4 = model.Subnet(cidr='10.0.0.0/24', gateway='10.0.0.1', dhcp_server='10.0.0.2')
    v6 = model.Subnet(
        cidr='2001:db8::/64',
        gateway='2001:db8::1',
        ipv6_mode=model.Ipv6Mode.STATEFUL,
        ra_server='fe80::1',
    )
    nic = rules.build_nic_policy(vif('10.0.0.5', '2001:db8::5', subnets=(v4, v6)), ['b', 'a', 'b'])
    assert nic.first_hop == rules.FirstHop(
        mac='fa:16:3e:01:02:03',
        ipv4=('10.0.0.5',),
        ipv6=('fe80::f816:3eff:fe01:203', '2001:db8::5'),
        dhcp_servers=('10.0.0.2',),
        dhcpv6_servers=('fe80::1',),
        routers=('fe80::1',),
    )
    assert (nic.device, nic.groups) == ('tap0a1b2c3d4e5f', ('a', 'b'))


def test_a_nic_without_an_address_of_a_family_has_none_of_it() -> None:
    v4 = model.Subnet(cidr='10.0.0.0/24')
    nic = rules.build_nic_policy(vif('10.0.0.5', subnets=(v4,)))
    assert (nic.first_hop.ipv6, nic.groups) == ((), None)


def test_members_of_overlapping_networks_are_apart() -> None:
    group = rules.SecurityGroup(
        id='g',
        members=(
            rules.GroupMember(network_id='a', address='10.0.0.1'),
            rules.GroupMember(network_id='b', address='10.0.0.2'),
            rules.GroupMember(network_id='b', address='fe80::2'),
        ),
    )
    assert group.addresses('a', 4) == {'10.0.0.1'}
    assert group.addresses('b', 6) == {'fe80::2'}
    assert rules.Ruleset(groups=(group,)).group('x') is None
