from __future__ import annotations

from collections.abc import Callable
import dataclasses
import time

from lxml import etree
import pytest

libvirt = pytest.importorskip('libvirt', reason='libvirt-python is in the extra "libvirt"')

from nova import exception
from nova.network import model
from nova.tests.unit.virt.instances import make_network_info, make_vif
from nova.tests.unit.virt.libvirt import schemas
from nova.tests.unit.virt.libvirt.fakelibvirt import FakeDaemon, error
from nova.virt.libvirt import firewall, host

NAME = 'instance-0000002a'


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def forgotten() -> list[str]:
    """The taps of which nothing may be left."""
    return []


@pytest.fixture
def made(daemon: FakeDaemon, forgotten: list[str]) -> firewall.NWFilterFirewall:
    libvirt_host = host.Host('qemu:///system', open_connection=daemon.open)
    return firewall.NWFilterFirewall(libvirt_host, forgotten.append)


def references(vif: model.VIF) -> list[str]:
    root = schemas.check(firewall.build_nic_filter(NAME, vif).xml, 'nwfilter')
    return [str(reference.get('filter')) for reference in root.iter('filterref')]


def test_the_shared_filters(golden: Callable[[str, str], None]) -> None:
    golden('virt/filters.xml', ''.join(shared.xml for shared in firewall.SHARED))


@pytest.mark.parametrize('shared', firewall.SHARED, ids=lambda shared: shared.name)
def test_libvirt_knows_every_rule(shared: firewall.Filter) -> None:
    root = schemas.check(shared.xml, 'nwfilter')
    assert root.get('chain') == 'root'
    for rule in root.iter('rule'):
        # Anything else would have libvirt run iptables and ip6tables as well.
        assert {child.tag for child in rule} <= {'mac', 'arp', 'ip', 'ipv6'}
        # libvirt swaps source and target for one of the directions of such a rule.
        assert rule.get('direction') != 'inout' or len(rule) == 0


def test_a_filter_of_another_content_has_another_name() -> None:
    first = firewall.build_shared_filter('nova-base', "<rule action='drop' direction='in'/>")
    second = firewall.build_shared_filter('nova-base', "<rule action='drop' direction='out'/>")
    assert first.name != second.name
    assert first == firewall.build_shared_filter(
        'nova-base', "<rule action='drop' direction='in'/>"
    )


@pytest.mark.parametrize('vif', make_network_info(8).vifs, ids=lambda vif: str(vif.index))
def test_the_filter_of_a_nic_with_addresses(vif: model.VIF) -> None:
    expected = [firewall.BASE, firewall.BASE_IPV4, firewall.BASE_DHCP]
    if vif.addresses_of(6):
        expected.append(firewall.BASE_IPV6)
    if vif.network.subnet(6):
        expected.append(firewall.BASE_RA)
    assert references(vif) == [part.name for part in expected]


def test_the_filter_fits_what_the_nic_has() -> None:
    no_dhcp = make_vif(0, subnets=(model.Subnet(cidr='10.0.0.0/24', gateway='10.0.0.1'),))
    only_ipv6 = make_vif(1, subnets=(model.Subnet(cidr='fd00::/64'),), addresses=('fd00::5',))
    assert references(no_dhcp) == [firewall.BASE.name, firewall.BASE_IPV4.name]
    assert references(only_ipv6) == [firewall.BASE.name, firewall.BASE_IPV6.name]
    announced = dataclasses.replace(
        only_ipv6.network.subnets[0], ipv6_mode=model.Ipv6Mode.SLAAC, ra_server='fe80::1'
    )
    heard = make_vif(1, subnets=(announced,), addresses=('fd00::5',))
    assert references(heard) == [
        firewall.BASE.name,
        firewall.BASE_IPV6.name,
        firewall.BASE_RA.name,
    ]


@pytest.mark.parametrize(
    ('shared', 'variables'),
    [
        (firewall.BASE, set()),
        (firewall.BASE_IPV4, {'$MAC', '$ADDRESS[@1]'}),
        (firewall.BASE_IPV6, {'$MAC', '$ADDRESS[@1]'}),
        (firewall.BASE_RA, {'$RASERVER'}),
        (firewall.BASE_DHCP, {'$MAC', '$DHCPSERVER'}),
    ],
    ids=lambda value: value.name if isinstance(value, firewall.Filter) else '',
)
def test_the_variables_of_a_filter(shared: firewall.Filter, variables: set[str]) -> None:
    """libvirt refuses a NIC whose filter uses a variable that the NIC does not give."""
    words = [
        str(word)
        for element in etree.fromstring(shared.xml).iter()
        for word in element.attrib.values()
    ]
    assert {word for word in words if word.startswith('$')} == variables


def test_a_filter_has_the_same_uuid_every_time_and_no_other_has_it() -> None:
    vifs = make_network_info(8)
    uuids = [
        etree.fromstring(firewall.build_nic_filter(NAME, vif).xml).findtext('uuid')
        for vif in (*vifs, *vifs)
    ]
    assert uuids[:8] == uuids[8:]
    assert len(set(uuids)) == 8


def test_init_host_makes_what_is_missing(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall
) -> None:
    daemon.filters = {'nova-base-00000000': '', 'nova-base-ipv4-11111111': '', 'clean-traffic': ''}
    daemon.used = {'nova-base-ipv4-11111111'}
    made.init_host()
    shared = {found.name for found in firewall.SHARED}
    assert set(daemon.filters) == shared | {'nova-base-ipv4-11111111', 'clean-traffic'}
    daemon.calls.clear()
    made.init_host()
    assert 'nwfilterDefineXML' not in daemon.calls


def test_remove_takes_this_instances_filters_and_no_others(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall
) -> None:
    for name in (NAME, 'instance-0000002', 'instance-0000002ab'):
        for vif in make_network_info(3):
            made.prepare(name, [vif])
    made.remove(NAME, ())
    made.remove(NAME, make_network_info(8))
    assert len(daemon.filters) == 6
    assert not [name for name in daemon.filters if f'{NAME}-' in name]


def test_what_libvirt_left_of_a_tap_goes_with_its_filter(
    made: firewall.NWFilterFirewall, forgotten: list[str]
) -> None:
    first, second, third = make_network_info(3)
    made.remove_nic(NAME, first)
    made.remove(NAME, iter([second, third]))
    assert forgotten == [first.device, second.device, third.device]


def test_remove_waits_while_libvirt_still_counts_a_user(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall, monkeypatch: pytest.MonkeyPatch
) -> None:
    vif = make_vif(0)
    made.prepare(NAME, [vif])
    daemon.used = {firewall.filter_name(NAME, vif)}
    waits: list[float] = []

    def release(seconds: float) -> None:
        waits.append(seconds)
        daemon.used.clear()

    monkeypatch.setattr(time, 'sleep', release)
    made.remove(NAME, [vif])
    assert len(waits) == 1
    assert not daemon.filters


def test_libvirts_refusal_names_the_nic(
    daemon: FakeDaemon, made: firewall.NWFilterFirewall
) -> None:
    vif = make_vif(5)
    daemon.refuse['nwfilterDefineXML'] = [error(libvirt.VIR_ERR_INTERNAL_ERROR, 'no ebtables')]
    with pytest.raises(exception.FirewallSetupFailed, match=vif.id) as caught:
        made.prepare(NAME, [vif])
    assert 'no ebtables' in str(caught.value)


def test_names_are_bounded_by_what_a_mac_may_be() -> None:
    vif = dataclasses.replace(make_vif(0), mac='ff:ff:ff:ff:ff:ff')
    assert firewall.filter_name(NAME, vif) == f'nova-instance-{NAME}-ffffffffffff'
