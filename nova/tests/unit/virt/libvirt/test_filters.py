from __future__ import annotations

from collections.abc import Callable
import dataclasses

from lxml import etree
import pytest

from nova.network import model
from nova.network.firewall import rules
from nova.tests.unit.virt.instances import make_network_info, make_vif
from nova.tests.unit.virt.libvirt import schemas, test_groupfilters
from nova.virt.libvirt import filters

NAME = 'instance-0000002a'


def build(vif: model.VIF, groups: tuple[str, ...] | None = None) -> filters.Filter:
    return filters.build_nic_filter(NAME, rules.build_nic_policy(vif, groups))


def references(made: filters.Filter) -> list[str]:
    root = schemas.check(made.xml, 'nwfilter')
    return [str(reference.get('filter')) for reference in root.iter('filterref')]


def test_the_shared_filters(golden: Callable[[str, str], None]) -> None:
    golden('virt/filters.xml', ''.join(shared.xml for shared in filters.SHARED))


@pytest.mark.parametrize('shared', filters.SHARED, ids=lambda shared: shared.name)
def test_libvirt_knows_every_rule(shared: filters.Filter) -> None:
    root = test_groupfilters.check(shared.xml)
    assert root.get('chain') == 'root'
    is_state = '-state' in shared.name or '-closed' in shared.name
    for rule in root.iter('rule'):
        # All but these would have libvirt run iptables and ip6tables as well.
        known = {'all', 'all-ipv6'} if is_state else {'mac', 'arp', 'ip', 'ipv6'}
        assert {child.tag for child in rule} <= known
        # libvirt swaps source and target for one of the directions of such a rule.
        assert rule.get('direction') != 'inout' or not rule.xpath('.//@srcipaddr|.//@dstipaddr')


def test_a_filter_of_another_content_has_another_name() -> None:
    first = filters.build_shared_filter('nova-base', "<rule action='drop' direction='in'/>")
    second = filters.build_shared_filter('nova-base', "<rule action='drop' direction='out'/>")
    assert first.name != second.name
    assert filters.SHARED_NAME.fullmatch(first.name)
    assert first == filters.build_shared_filter('nova-base', "<rule action='drop' direction='in'/>")


@pytest.mark.parametrize('vif', make_network_info(8).vifs, ids=lambda vif: str(vif.index))
@pytest.mark.parametrize('groups', [None, (), ('g',)])
def test_the_filter_of_a_nic_with_addresses(vif: model.VIF, groups: tuple[str, ...] | None) -> None:
    expected = [filters.BASE, filters.BASE_IPV4, filters.BASE_DHCP]
    if vif.addresses_of(6):
        expected += [filters.BASE_IPV6, filters.BASE_RA, filters.BASE_DHCPV6]
    for version in (4, 6) if vif.addresses_of(6) else (4,):
        expected.append(filters.STATE[version])
        if groups is not None:
            expected.append(filters.CLOSED[version])
    assert references(build(vif, groups)) == [part.name for part in expected]


def test_the_filter_fits_what_the_nic_has() -> None:
    no_dhcp = make_vif(0, subnets=(model.Subnet(cidr='10.0.0.0/24', gateway='10.0.0.1'),))
    only_ipv6 = make_vif(1, subnets=(model.Subnet(cidr='fd00::/64'),), addresses=('fd00::5',))
    v4 = [filters.BASE, filters.BASE_IPV4, filters.STATE[4]]
    v6 = [filters.BASE, filters.BASE_IPV6, filters.STATE[6]]
    assert references(build(no_dhcp)) == [part.name for part in v4]
    assert references(build(only_ipv6)) == [part.name for part in v6]


def test_a_nic_gives_all_variables_of_its_filters() -> None:
    """libvirt refuses a NIC whose filter uses a variable that nobody gives; it knows MAC itself."""
    root = etree.fromstring(build(make_vif(1)).xml)
    by_name = {shared.name: shared for shared in filters.SHARED}
    for reference in root.iter('filterref'):
        words = [
            str(word)
            for element in etree.fromstring(by_name[str(reference.get('filter'))].xml).iter()
            for word in element.attrib.values()
        ]
        used = {word[1:].partition('[')[0] for word in words if word.startswith('$')}
        given = {str(parameter.get('name')) for parameter in reference.iter('parameter')}
        assert used - {'MAC'} == given


def test_a_filter_has_the_same_uuid_every_time_and_no_other_has_it() -> None:
    vifs = make_network_info(8)
    uuids = [etree.fromstring(build(vif).xml).findtext('uuid') for vif in (*vifs, *vifs)]
    assert uuids[:8] == uuids[8:]
    assert len(set(uuids)) == 8


def test_a_nics_filter_is_known_by_its_name() -> None:
    vif = dataclasses.replace(make_vif(0), mac='ff:ff:ff:ff:ff:ff')
    name = filters.filter_name(NAME, vif.mac)
    assert name == f'nova-instance-{NAME}-ffffffffffff'
    assert filters.owner_of(name) == NAME
    assert filters.owner_of('nova-secgroup-x-00000000') is None
    assert filters.owner_of(filters.BASE.name) is None


def test_the_shared_sets_fit_the_kernel() -> None:
    for used in filters.SHARED_SETS:
        assert len(used.name) <= 31
        assert used.kind == 'hash:net,port'
    assert '0.0.0.0/1,1:5/0' in filters.REFUSED_V4.entries
    assert '::/1,58:134/0' in filters.REFUSED_V6_OUT.entries
    assert '::/1,58:134/0' not in filters.REFUSED_V6_IN.entries
    assert '8000::/1,58:135/0' in filters.SERVICE_V6.entries
