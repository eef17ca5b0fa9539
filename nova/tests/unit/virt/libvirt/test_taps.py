"""How the libvirt driver uses a firewall of tap devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any

from nova import exception
from nova.network import model
from nova.network.firewall import rules
from nova.virt.libvirt import taps


class Recorder:
    """A driver that does nothing but remember."""

    uses_filterref = False

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refused: set[str] = set()

    def init_host(
        self, guests: Mapping[str, Iterable[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> None:
        self.calls.append(
            ('init_host', {n: [p.device for p in found] for n, found in guests.items()})
        )

    def prepare(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        self.calls.append(('prepare', instance_name, [(nic.device, nic.groups) for nic in nics]))

    def apply(
        self, instance_name: str, nics: Iterable[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> None:
        if self.refused & {instance_name, *(group.id for group in ruleset.groups)}:
            raise exception.FirewallSetupFailed(vif=instance_name, reason='no room')
        self.calls.append(('apply', instance_name, [nic.device for nic in nics]))

    def refresh(self, ruleset: rules.Ruleset) -> None:
        if self.refused & {group.id for group in ruleset.groups}:
            raise exception.FirewallSetupFailed(vif='every interface', reason='no such rule')
        self.calls.append(('refresh',))

    def repair(self) -> bool:
        self.calls.append(('repair',))
        return True

    def holds(self, nic: rules.NicPolicy, ruleset: rules.Ruleset) -> bool:
        return True

    def drops(self) -> Mapping[str, int]:
        return {}

    def drops_of(self, device: str) -> Mapping[str, int]:
        return {}

    def remove(self, instance_name: str, devices: Iterable[str] | None = None) -> None:
        self.calls.append(('remove', instance_name, devices if devices is None else list(devices)))


def vif(index: int) -> model.VIF:
    network = model.Network(
        id=f'n{index}', label='n', kind=model.NetworkKind.FLAT_DHCP, bridge=f'br{index}'
    )
    return model.VIF(
        id=f'{index:08x}-0000-4000-8000-000000000000',
        index=index,
        mac=f'fa:16:3e:00:00:0{index}',
        network=network,
        security_groups=('g',),
    )


def test_what_was_in_force_stays_until_all_guests_are_known() -> None:
    driver = Recorder()
    firewall = taps.TapFirewall(driver)
    firewall.remove('a', [vif(0)])
    assert driver.calls == []
    info = model.NetworkInfo((vif(0), vif(1)))
    assert firewall.apply_groups({'a': info}, rules.Ruleset()) == {vif(0).id, vif(1).id}
    devices = [vif(0).device, vif(1).device]
    assert driver.calls == [
        ('init_host', {'a': devices}),
        ('refresh',),
        ('apply', 'a', devices),
    ]


def test_the_kernel_is_looked_at_when_asked_for() -> None:
    driver = Recorder()
    firewall = taps.TapFirewall(driver)
    firewall.apply_groups({}, rules.Ruleset(), repair=True)
    firewall.apply_groups({}, rules.Ruleset())
    assert ('repair',) not in driver.calls
    driver.calls.clear()
    firewall.apply_groups({}, rules.Ruleset(), repair=True)
    assert driver.calls == [('repair',), ('refresh',)]


def test_nics_come_and_go() -> None:
    driver = Recorder()
    firewall = taps.TapFirewall(driver)
    firewall.apply_groups({}, rules.Ruleset())
    driver.calls.clear()
    firewall.prepare('a', [vif(0), vif(1)])
    firewall.apply_groups({'a': model.NetworkInfo((vif(0),))}, rules.Ruleset())
    firewall.remove_nic('a', vif(0))
    firewall.remove('a', [vif(0)])
    assert driver.calls == [
        ('prepare', 'a', [(vif(0).device, ('g',)), (vif(1).device, ('g',))]),
        ('refresh',),
        ('apply', 'a', [vif(0).device]),
        ('remove', 'a', [vif(0).device]),
        ('remove', 'a', None),
    ]


def test_a_guest_that_cannot_follow_holds_up_no_other() -> None:
    driver = Recorder()
    firewall = taps.TapFirewall(driver)
    firewall.apply_groups({}, rules.Ruleset())
    driver.refused.add('a')
    guests = {name: model.NetworkInfo((vif(number),)) for number, name in enumerate('abc')}
    assert firewall.apply_groups(guests, rules.Ruleset()) == {vif(1).id, vif(2).id}


def test_a_group_that_cannot_be_loaded_is_that_of_its_guests_only() -> None:
    driver = Recorder()
    firewall = taps.TapFirewall(driver)
    firewall.apply_groups({}, rules.Ruleset())
    driver.refused.add('bad')
    named = rules.parse_rule(rule_id='r', direction='ingress', remote_group_id='named')
    ruleset = rules.Ruleset(
        groups=(
            rules.SecurityGroup(id='g', rules=(named,)),
            rules.SecurityGroup(id='bad'),
            rules.SecurityGroup(id='named'),
        )
    )
    bad = dataclasses.replace(vif(1), security_groups=('bad', 'g'))
    guests = {
        'good': model.NetworkInfo((vif(0),)),
        'bad': model.NetworkInfo((bad,)),
        'other': model.NetworkInfo((vif(2),)),
    }
    assert firewall.apply_groups(guests, ruleset) == {vif(0).id, vif(2).id}
    part = ruleset.only_for([rules.build_nic_policy(vif(0), ['g'])])
    assert [group.id for group in part.groups] == ['g', 'named']


def test_who_is_gone_does_not_come_back_by_an_old_list() -> None:
    """But one whom an old list does not know yet, since it is only being made, stays."""
    driver = Recorder()
    firewall = taps.TapFirewall(driver)
    info = model.NetworkInfo((vif(0),))
    firewall.apply_groups({'old': info}, rules.Ruleset())
    firewall.remove('old', info)
    driver.calls.clear()
    assert firewall.apply_groups({'old': info}, rules.Ruleset()) == frozenset()
    assert driver.calls == [('refresh',)]
    # The older of two lists comes later.
    firewall.apply_groups({}, rules.Ruleset())
    firewall.apply_groups({'old': info}, rules.Ruleset())
    firewall.prepare('new', [vif(1)])
    driver.calls.clear()
    firewall.apply_groups({}, rules.Ruleset())
    assert driver.calls == [('refresh',), ('remove', 'old', None)]
    driver.calls.clear()
    firewall.apply_groups({'new': model.NetworkInfo((vif(1),))}, rules.Ruleset())
    assert driver.calls == [('refresh',), ('apply', 'new', [vif(1).device])]
    firewall.apply_groups({}, rules.Ruleset())
    assert driver.calls[-1] == ('remove', 'new', None)


def test_who_comes_again_is_there_again() -> None:
    driver = Recorder()
    firewall = taps.TapFirewall(driver)
    info = model.NetworkInfo((vif(0),))
    firewall.apply_groups({'again': info}, rules.Ruleset())
    firewall.remove('again', info)
    firewall.prepare('again', info)
    assert firewall.apply_groups({'again': info}, rules.Ruleset()) == {vif(0).id}
    assert driver.calls[-1] == ('apply', 'again', [vif(0).device])
