"""Quotas as a user meets them."""

from __future__ import annotations

from typing import Any

import pytest

from nova.db import api as db
from nova.tests.functional.api import test_servers
from nova.tests.functional.api.test_servers import PROJECT, STRANGER, Cloud, wait_until

pytestmark = pytest.mark.usefixtures('database')
cloud = test_servers.cloud

QUOTAS = f'/os-quota-sets/{PROJECT}'


def limit(cloud: Cloud, **limits: int) -> None:
    body = {'quota_set': limits}
    assert cloud.send('PUT', QUOTAS, body, roles='admin').status_code == 200


def refusal(answer: Any) -> str:
    assert answer.status_code == 403, answer.text
    return str(answer.json['forbidden']['message'])


def settle() -> None:
    """Let every build come to its end, which is done by threads of their own."""
    wait_until(lambda: all(i.task_state is None for i in db.instance_list()))


def networks(cloud: Cloud, count: int) -> list[dict[str, str]]:
    return [{'uuid': cloud.first.uuid}] * count


@pytest.mark.parametrize(
    ('resource', 'most', 'asked'),
    [
        ('instances', 0, 1),
        ('cores', 0, 1),
        ('ram', 500, 512),
        ('interfaces', 1, 2),
        ('interfaces_per_server', 1, 2),
        ('fixed_ips', 1, 2),
        ('metadata_items', 0, 1),
    ],
)
def test_a_boot_beyond_a_quota_is_refused_by_its_name(
    cloud: Cloud, resource: str, most: int, asked: int
) -> None:
    limit(cloud, **{resource: most})
    answer = cloud.create(networks=networks(cloud, 2), metadata={'color': 'red'})
    assert refusal(answer) == (f'Quota exceeded for {resource}: allowed {most}, asked for {asked}')
    assert cloud.send('GET', '/servers').json['servers'] == []
    other = cloud.send(
        'POST',
        '/servers',
        {'server': {'name': 'vm', 'imageRef': cloud.image_id, 'flavorRef': 'id-of-small'}},
        project=STRANGER,
    )
    assert other.status_code == 202
    settle()


def test_a_boot_of_several_gives_as_many_as_there_is_room_for(cloud: Cloud) -> None:
    limit(cloud, instances=3)
    assert cloud.create(min_count=1, max_count=5).status_code == 202
    assert len(cloud.send('GET', '/servers').json['servers']) == 3
    assert 'instances' in refusal(cloud.create())
    settle()


def test_what_is_deleted_counts_no_more(cloud: Cloud) -> None:
    limit(cloud, instances=1, interfaces=2)
    shown = cloud.boot(networks=networks(cloud, 2))
    assert 'instances' in refusal(cloud.create())
    cloud.send('DELETE', f'/servers/{shown["id"]}')
    wait_until(lambda: not db.instance_list())
    again = cloud.boot(networks=networks(cloud, 2))
    assert again['status'] == 'ACTIVE'


@pytest.mark.parametrize('resource', ['interfaces', 'interfaces_per_server', 'fixed_ips'])
def test_an_attach_beyond_a_quota(cloud: Cloud, resource: str) -> None:
    shown = cloud.boot(networks=networks(cloud, 1))
    limit(cloud, **{resource: 1})
    body = {'interfaceAttachment': {'net_id': cloud.first.uuid}}
    path = f'/servers/{shown["id"]}/os-interface'
    assert 'allowed 1, asked for 2' in refusal(cloud.send('POST', path, body))
    limit(cloud, **{resource: 2})
    assert cloud.send('POST', path, body).status_code == 200


def test_a_limit_below_what_there_is_takes_force(cloud: Cloud) -> None:
    cloud.boot(networks=networks(cloud, 2))
    body: dict[str, Any] = {'quota_set': {'interfaces': 1}}
    answer = cloud.send('PUT', QUOTAS, body, roles='admin')
    assert answer.status_code == 400
    assert 'interfaces: the project has 2' in answer.json['badRequest']['message']
    body['quota_set']['force'] = True
    assert cloud.send('PUT', QUOTAS, body, roles='admin').status_code == 200


def test_usage_and_limits(cloud: Cloud) -> None:
    cloud.boot(networks=networks(cloud, 2))
    limit(cloud, cores=7)
    detail = cloud.send('GET', f'{QUOTAS}/detail').json['quota_set']
    assert detail['cores'] == {'limit': 7, 'in_use': 1, 'reserved': 0}
    assert detail['fixed_ips']['in_use'] == 2
    absolute = cloud.send('GET', '/limits').json['limits']['absolute']
    assert (absolute['maxTotalCores'], absolute['totalCoresUsed']) == (7, 1)
    assert absolute['totalRAMUsed'] == 512
    assert cloud.send('DELETE', QUOTAS, roles='admin').status_code == 202
    defaults = cloud.send('GET', f'{QUOTAS}/defaults').json
    assert cloud.send('GET', QUOTAS).json == defaults


def test_quotas_of_all_projects(cloud: Cloud) -> None:
    """They hold at once, but for projects that have their own."""
    path, other = '/os-quota-class-sets/default', f'/os-quota-sets/{STRANGER}'
    limit(cloud, instances=5)
    body = {'quota_class_set': {'instances': 1, 'cores': 9}}
    assert cloud.send('PUT', path, body, roles='admin').status_code == 200
    mine, theirs = (cloud.send('GET', p, roles='admin').json['quota_set'] for p in (QUOTAS, other))
    assert (mine['instances'], mine['cores']) == (5, 9)
    assert (theirs['instances'], theirs['cores']) == (1, 9)

    cloud.boot(networks=networks(cloud, 1))
    assert cloud.send('DELETE', QUOTAS, roles='admin').status_code == 202
    assert refusal(cloud.create()) == 'Quota exceeded for instances: allowed 1, asked for 2'
    # one is set again, and the other stays
    body = {'quota_class_set': {'instances': -1}}
    assert cloud.send('PUT', path, body, roles='admin').status_code == 200
    shown = cloud.send('GET', path, roles='admin').json['quota_class_set']
    assert (shown['id'], shown['instances'], shown['cores']) == ('default', -1, 9)
    assert cloud.create().status_code == 202
    settle()
