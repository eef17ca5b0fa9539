"""Security groups: whose they are, what is in them, and who has to hear of a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import threading

import pytest

from nova import exception
from nova.db import api as db
from nova.db import records
from nova.tests import stores

pytestmark = pytest.mark.usefixtures('database')

SSH = records.NewRule(ip_version=4, protocol='tcp', from_port=22, to_port=22, cidr='0.0.0.0/0')


def store_group(name: str = 'web', project_id: str = 'p') -> records.SecurityGroup:
    return db.security_group_create(project_id, name, f'about {name}', limit=10)


def store_nics(
    *groups: Sequence[str], host: str | None = 'host-1', network: records.Network | None = None
) -> tuple[records.Vif, ...]:
    """An instance with a NIC in each of these sets of groups."""
    network = network or stores.store_network('10.1.0.0/24')
    flavor = stores.store_flavor(stores.new_uuid())
    instance = stores.store_instance(flavor, project_id='p')
    db.instance_update(instance.uuid, host=host)
    wanted = stores.build_nics(*[network] * len(groups), security_groups=groups)
    db.vifs_allocate(instance.uuid, wanted, 0)
    return db.vifs_of_instances([instance.uuid])[instance.uuid]


def in_parallel(count: int, work: Callable[[int], object]) -> list[str]:
    """What became of each call: ``done`` or the name of its error."""
    outcomes: list[str] = []

    def run(number: int) -> None:
        try:
            work(number)
            outcomes.append('done')
        except exception.NovaException as exc:
            outcomes.append(type(exc).__name__)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


def test_the_default_group_is_made_once() -> None:
    assert in_parallel(8, lambda _number: db.security_group_default('p')) == ['done'] * 8
    (group,) = db.security_group_list('p')
    assert group == db.security_group_default('p')
    (rule,) = group.rules
    assert (rule.direction, rule.remote_group_uuid) == (records.Direction.INGRESS, group.uuid)
    assert (rule.ip_version, rule.protocol, rule.cidr) == (None, None, None)
    assert db.security_group_default('q').uuid != group.uuid


def test_groups_belong_to_projects() -> None:
    mine, other = store_group(), store_group(project_id='q')
    assert db.security_group_get(mine.uuid, 'p') == mine
    with pytest.raises(exception.SecurityGroupNotFound):
        db.security_group_get(other.uuid, 'p')
    assert [group.name for group in db.security_group_list('p')] == ['default', 'web']
    assert len(db.security_group_list()) == 4


def test_names_are_unique_in_a_project() -> None:
    store_group()
    second = store_group('db')
    with pytest.raises(exception.SecurityGroupExists):
        store_group()
    with pytest.raises(exception.SecurityGroupExists):
        db.security_group_update(second.uuid, name='web', description='')
    renamed = db.security_group_update(second.uuid, name='store', description='x')
    assert (renamed.name, renamed.description) == ('store', 'x')


def test_no_race_passes_the_quota_of_groups() -> None:
    def create(number: int) -> None:
        db.security_group_create('p', f'g{number}', '', limit=4)

    assert in_parallel(8, create) == ['QuotaExceeded'] * 5 + ['done'] * 3
    assert len(db.security_group_list('p')) == 4


def test_no_race_passes_the_quota_of_rules() -> None:
    group = store_group()

    def create(number: int) -> None:
        rule = records.NewRule(protocol='tcp', from_port=number, to_port=number)
        db.security_group_rule_create(group.uuid, rule, limit=3)

    assert in_parallel(8, create) == ['QuotaExceeded'] * 5 + ['done'] * 3
    assert len(db.security_group_get(group.uuid).rules) == 3


def test_a_rule_is_what_was_stored() -> None:
    group, other = store_group(), store_group('db')
    first = db.security_group_rule_create(group.uuid, SSH, limit=-1)
    for field in records.NewRule.__dataclass_fields__:
        assert getattr(first, field) == getattr(SSH, field), field
    ping = records.NewRule(protocol='icmp', from_port=8, remote_group_uuid=other.uuid)
    second = db.security_group_rule_create(group.uuid, ping, limit=-1)
    assert (second.remote_group_name, second.remote_group_project_id) == ('db', 'p')
    stored = db.security_group_get(group.uuid)
    assert stored.rules == (first, second)
    assert stored.rules_revision == group.rules_revision + 2
    assert db.security_group_of_rule(second.uuid, 'p') == stored
    with pytest.raises(exception.SecurityGroupRuleNotFound):
        db.security_group_of_rule(second.uuid, 'q')
    db.security_group_rule_delete(first.uuid)
    with pytest.raises(exception.SecurityGroupRuleNotFound):
        db.security_group_rule_delete(first.uuid)
    assert db.security_group_get(group.uuid).rules == (second,)


def test_the_same_rule_is_stored_once() -> None:
    group = store_group()
    outcomes = in_parallel(
        6, lambda _number: db.security_group_rule_create(group.uuid, SSH, limit=10)
    )
    assert outcomes == ['SecurityGroupRuleExists'] * 5 + ['done']
    everything = records.NewRule()
    db.security_group_rule_create(group.uuid, everything, limit=10)
    with pytest.raises(exception.SecurityGroupRuleExists):
        db.security_group_rule_create(group.uuid, everything, limit=10)


def test_a_rule_names_a_group_that_exists() -> None:
    group = store_group()
    gone = records.NewRule(remote_group_uuid=stores.new_uuid())
    with pytest.raises(exception.SecurityGroupNotFound):
        db.security_group_rule_create(group.uuid, gone, limit=10)
    with pytest.raises(exception.SecurityGroupNotFound):
        db.security_group_rule_create(stores.new_uuid(), SSH, limit=10)


def test_a_group_in_use_is_not_deleted() -> None:
    group, other = store_group(), store_group('db')
    naming = records.NewRule(remote_group_uuid=group.uuid)
    db.security_group_rule_create(other.uuid, naming, limit=10)
    db.security_group_rule_create(group.uuid, naming, limit=10)
    (vif,) = store_nics([group.uuid])
    with pytest.raises(exception.SecurityGroupInUse):
        db.security_group_delete(group.uuid)
    db.vifs_deallocate(vif.instance_uuid)
    assert db.security_group_delete(group.uuid) == (other.uuid,)
    assert db.security_group_get(other.uuid).rules == ()
    with pytest.raises(exception.SecurityGroupNotFound):
        db.security_group_delete(group.uuid)


def test_nics_of_one_server_are_in_groups_of_their_own() -> None:
    one, two = store_group('one'), store_group('two')
    vifs = store_nics([two.uuid, one.uuid], [], [two.uuid, two.uuid])
    assert [vif.security_groups for vif in vifs] == [(one.uuid, two.uuid), (), (two.uuid,)]


def test_a_nic_in_a_group_that_is_gone_is_refused_and_nothing_is_held() -> None:
    network = stores.store_network('10.9.0.0/30')
    with pytest.raises(exception.SecurityGroupNotFound):
        store_nics([stores.new_uuid()], network=network)
    assert db.vifs_of_networks([network.uuid]) == {network.uuid: ()}
    assert len(store_nics([], network=network)) == 1


def test_joining_and_leaving() -> None:
    group = store_group()
    first, second = store_nics([], [group.uuid])
    both = [first.uuid, second.uuid]
    before = db.security_group_get(group.uuid).members_revision
    assert db.security_group_join(group.uuid, both)
    assert not db.security_group_join(group.uuid, both)
    assert db.security_group_get(group.uuid).members_revision == before + 1
    vifs = db.vifs_of_instances([first.instance_uuid])[first.instance_uuid]
    assert [vif.security_groups for vif in vifs] == [(group.uuid,)] * 2
    assert db.security_group_leave(group.uuid, [first.uuid])
    assert not db.security_group_leave(group.uuid, [first.uuid])
    assert db.security_group_leave(group.uuid, both)
    db.security_group_delete(group.uuid)


def test_the_state_of_some_groups_has_all_that_their_rules_name() -> None:
    web, store, other = store_group(), store_group('store'), store_group('other')
    naming = records.NewRule(remote_group_uuid=web.uuid)
    db.security_group_rule_create(store.uuid, naming, limit=10)
    network = stores.store_network('10.1.0.0/24')
    store_nics([web.uuid], [web.uuid, other.uuid], network=network)
    store_nics([other.uuid], network=network)
    state = db.security_groups_state([store.uuid, stores.new_uuid()])
    assert set(state.groups) == {web.uuid, store.uuid}
    assert state.groups[store.uuid] == db.security_group_get(store.uuid)
    assert state.members == {
        web.uuid: tuple(
            records.SecurityGroupMember(network_uuid=network.uuid, address=address)
            for address in ('10.1.0.2', '10.1.0.3')
        )
    }
    assert db.security_groups_state([other.uuid]).members == {}


def test_the_revision_changes_with_what_concerns_a_nic_and_with_nothing_else() -> None:
    web, store, other = store_group(), store_group('store'), store_group('other')
    network = stores.store_network('10.1.0.0/24')

    def revision(*groups: records.SecurityGroup) -> str:
        uuids = [group.uuid for group in groups]
        return db.security_groups_state(uuids).revision_of(uuids)

    seen = [revision(store), revision(), revision(store, other)]
    naming = records.NewRule(remote_group_uuid=web.uuid)
    rule = db.security_group_rule_create(store.uuid, naming, limit=10)
    seen.append(revision(store))
    (vif,) = store_nics([web.uuid], network=network)
    seen.append(revision(store))
    db.vifs_deallocate(vif.instance_uuid)
    seen.append(revision(store))
    db.security_group_rule_delete(rule.uuid)
    seen.append(revision(store))
    assert len(set(seen)) == len(seen)
    assert all(len(text) == 16 for text in seen)
    db.security_group_rule_create(web.uuid, SSH, limit=10)
    store_nics([store.uuid], network=network)
    assert revision(store) == seen[-1]


def test_who_has_to_hear_of_a_change() -> None:
    web, store, other = store_group(), store_group('store'), store_group('other')
    naming = records.NewRule(remote_group_uuid=web.uuid)
    db.security_group_rule_create(store.uuid, naming, limit=10)
    network = stores.store_network('10.1.0.0/24')
    store_nics([web.uuid], [web.uuid], host='b', network=network)
    store_nics([store.uuid], host='a', network=network)
    store_nics([other.uuid], host='c', network=network)
    store_nics([web.uuid], host=None, network=network)
    assert db.security_group_hosts([web.uuid]) == ('a', 'b')
    assert db.security_group_hosts([store.uuid]) == ('a',)
    assert db.security_group_hosts([web.uuid, other.uuid]) == ('a', 'b', 'c')
    assert db.security_group_hosts([]) == ()


def test_what_is_in_force_is_stored_by_nic() -> None:
    first, second = store_nics([], [])
    assert first.firewall_revision is None
    db.vifs_set_firewall_revision(
        {first.uuid: '0' * 16, second.uuid: '1' * 16, stores.new_uuid(): '2' * 16}
    )
    vifs = db.vifs_of_instances([first.instance_uuid])[first.instance_uuid]
    assert [vif.firewall_revision for vif in vifs] == ['0' * 16, '1' * 16]


def test_boots_in_parallel_are_all_counted() -> None:
    group = db.security_group_default('p')
    network = stores.store_network('10.1.0.0/24')
    outcomes = in_parallel(8, lambda _number: store_nics([group.uuid], network=network))
    assert outcomes == ['done'] * 8
    state = db.security_groups_state([group.uuid])
    assert len(state.members[group.uuid]) == 8
    assert state.groups[group.uuid].members_revision == group.members_revision + 8
