"""Requests through the real application: API, scheduler, compute and network manager on SQLite.

Stand-ins are the image service, the hypervisor (which keeps guests in memory) and what makes a
host's networks true.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
import dataclasses
import random
import time
from typing import Any

from falcon import testing
from oslo_config import cfg
import pytest

from nova import context as nova_context
from nova import exception, quota, rpc
from nova.api import app
from nova.compute import api as compute_api
from nova.compute import manager as compute_manager
from nova.compute import rpcapi as compute_rpcapi
import nova.conf
from nova.db import api as db
from nova.db import records
from nova.image import glance
from nova.network import api as network_api
from nova.network import floating_ips, reach, security_groups, topology
from nova.network import manager as network_manager
from nova.network import rpcapi as network_rpcapi
from nova.scheduler import manager as scheduler_manager
from nova.scheduler import placing
from nova.scheduler import rpcapi as scheduler_rpcapi
from nova.tests import stores
from nova.virt import fake

pytestmark = pytest.mark.usefixtures('database')

HOST = 'host-1'
PROJECT, STRANGER = 'project-a', 'project-b'
#: The id of nothing.
NOBODY = '00000000-0000-4000-8000-000000000000'
CONSOLE = {'os-getConsoleOutput': {'length': None}}


class Images:
    """One image, which everybody may use."""

    def __init__(self) -> None:
        self.image = glance.Image(
            id=stores.new_uuid(),
            name='cirros',
            status=glance.ACTIVE,
            disk_format='qcow2',
            container_format='bare',
            size=1,
            virtual_size=1,
            min_disk_gb=0,
            min_ram_mb=0,
            hash_algorithm=None,
            hash_value=None,
        )

    def show(self, context: nova_context.RequestContext, image_id: str) -> glance.Image:
        if image_id != self.image.id:
            raise exception.ImageNotFound(image_id=image_id)
        return self.image


class Applied:
    """What the network manager wanted to be true on its host, the latest last."""

    def __init__(self) -> None:
        self.states: list[topology.HostState] = []

    def __call__(
        self, state: topology.HostState, uuids: Collection[str] | None
    ) -> dict[str, exception.NetworkSetupFailed]:
        self.states.append(state)
        return {}


@dataclasses.dataclass
class Cloud:
    client: testing.TestClient
    driver: fake.FakeDriver
    compute: compute_manager.ComputeManager
    image_id: str
    first: records.Network
    second: records.Network
    foreign: records.Network

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        roles: str = 'member,reader',
        project: str = PROJECT,
        version: str = '2.35',
    ) -> testing.Result:
        headers = {
            'X-User-Id': 'user-a',
            'X-Project-Id': project,
            'X-Roles': roles,
            'OpenStack-API-Version': f'compute {version}',
        }
        return self.client.simulate_request(method, f'/v2.1{path}', json=body, headers=headers)

    def create(self, **fields: Any) -> testing.Result:
        required = {'name': 'vm', 'imageRef': self.image_id, 'flavorRef': 'id-of-small'}
        return self.send('POST', '/servers', {'server': required | fields})

    def show(self, server_id: str, **who: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.send('GET', f'/servers/{server_id}', **who).json['server']
        return answer

    def boot(self, **fields: Any) -> dict[str, Any]:
        """A server that was created and has come to rest."""
        answer = self.create(**fields)
        assert answer.status_code == 202, answer.text
        server_id = answer.json['server']['id']
        wait_until(lambda: self.show(server_id)['OS-EXT-STS:task_state'] is None)
        return self.show(server_id)

    def held(self) -> int:
        """How many NICs exist."""
        networks = [network.uuid for network in db.network_list()]
        return sum(len(vifs) for vifs in db.vifs_of_networks(networks).values())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, 'it did not happen within 10 s'
        time.sleep(0.01)


def _build_conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    nova.conf.register(conf)
    conf([], project='nova', default_config_files=[], default_config_dirs=[])
    conf.set_override('auth_strategy', 'noauth', group='api')
    return conf


@pytest.fixture
def cloud(local_services: rpc.Local) -> Cloud:
    stores.store_flavor('small')
    driver, images, applied = fake.FakeDriver(), Images(), Applied()
    conf = _build_conf()
    networks = network_api.API(
        max_nics_per_server=conf.api.max_nics_per_server,
        floating=floating_ips.API(
            quota.from_conf(conf), refresh=network_rpcapi.NetworkAPI().setup_networks_on_host
        ),
    )
    network = network_manager.NetworkService(
        options=topology.HostOptions(
            host=HOST,
            run_path='/nonexistent',
            dhcp_domain='novalocal',
            dhcp_lease_time_s=86400,
            physical_networks={},
        ),
        apply=applied,
        apply_reach=lambda _reach, _afresh: None,
        reach_options=reach.Options(),
        apply_metadata=lambda _bridges, _within: {},
        mac_attempts=5,
        quarantine_s=0,
        service_down_time_s=60,
        random_source=random.Random(1),
        project_quotas=quota.from_conf(conf),
    )
    groups = security_groups.API(
        quotas=quota.from_conf(conf),
        refresh=compute_rpcapi.ComputeAPI().refresh_security_groups,
    )
    compute = compute_manager.ComputeManager(
        host=HOST,
        driver=driver,
        network=network_rpcapi.NetworkAPI(),
        network_reads=networks,
        groups=groups,
        console_log_max_bytes=10_000,
        reserved_host_memory_mb=512,
        detach_timeout_s=1,
        shutdown_timeout_s=1,
        max_nics=16,
    )
    scheduler = scheduler_manager.SchedulerManager(
        compute=compute_rpcapi.ComputeAPI(),
        ratios=placing.Ratios(cpu=1.0, ram=1.0, disk=1.0),
        service_down_time_s=60,
        max_attempts=3,
    )
    local_services.add(network_rpcapi.TOPIC, HOST, network)
    local_services.add(compute_rpcapi.TOPIC, HOST, compute)
    local_services.add(scheduler_rpcapi.TOPIC, HOST, scheduler)
    compute.init_host()
    for binary in ('nova-compute', 'nova-network', 'nova-scheduler'):
        db.service_report(HOST, binary)
    api = compute_api.API(
        images=images,
        networks=networks,
        network_rpc=network_rpcapi.NetworkAPI(),
        compute_rpc=compute_rpcapi.ComputeAPI(),
        scheduler_rpc=scheduler_rpcapi.SchedulerAPI(),
        service_down_time_s=60,
        quotas=quota.from_conf(conf),
    )
    application = app.build_application(api, networks, groups, conf)
    return Cloud(
        client=testing.TestClient(lambda env, start: application(env, start)),
        driver=driver,
        compute=compute,
        image_id=images.image.id,
        first=stores.store_network('10.1.0.0/24', label='one'),
        second=stores.store_network('10.2.0.0/29', label='two'),
        foreign=stores.store_network('10.3.0.0/24', label='three', project_id=STRANGER),
    )


def test_the_life_of_a_server_on_two_networks(cloud: Cloud) -> None:
    networks = [
        {'uuid': cloud.second.uuid, 'fixed_ip': '10.2.0.5'},
        {'uuid': cloud.first.uuid},
    ]
    shown = cloud.boot(networks=networks, metadata={'color': 'red'})
    assert (shown['status'], shown['metadata']) == ('ACTIVE', {'color': 'red'})
    assert list(shown['addresses']) == ['two', 'one']
    assert shown['addresses']['two'][0]['addr'] == '10.2.0.5'
    assert shown['OS-EXT-AZ:availability_zone'] == 'nova'

    server_id = shown['id']
    listed = cloud.send('GET', '/servers/detail').json['servers']
    assert listed == [shown]

    interfaces = cloud.send('GET', f'/servers/{server_id}/os-interface').json
    nics = interfaces['interfaceAttachments']
    assert [nic['net_id'] for nic in nics] == [cloud.second.uuid, cloud.first.uuid]
    _, network_info = cloud.driver.guests[server_id]
    assert [nic['mac_addr'] for nic in nics] == [vif.mac for vif in network_info]

    console = cloud.send('POST', f'/servers/{server_id}/action', CONSOLE).json['output']
    assert nics[0]['mac_addr'] in console
    last = {'os-getConsoleOutput': {'length': '1'}}
    output = cloud.send('POST', f'/servers/{server_id}/action', last).json['output']
    assert output.strip().endswith(nics[1]['mac_addr'])

    renamed = cloud.send('PUT', f'/servers/{server_id}', {'server': {'name': 'new'}})
    assert renamed.json['server']['name'] == cloud.show(server_id)['name'] == 'new'

    assert cloud.send('DELETE', f'/servers/{server_id}').status_code == 204
    wait_until(lambda: cloud.send('GET', f'/servers/{server_id}').status_code == 404)
    assert (cloud.held(), cloud.driver.guests) == (0, {})


def test_the_same_network_twice(cloud: Cloud) -> None:
    shown = cloud.boot(networks=[{'uuid': cloud.first.uuid}, {'uuid': cloud.first.uuid}])
    entries = shown['addresses']['one']
    assert len({entry['addr'] for entry in entries}) == 2
    assert len({entry['OS-EXT-IPS-MAC:mac_addr'] for entry in entries}) == 2


@pytest.mark.parametrize('networks', [{}, {'networks': []}, {'networks': 'auto'}])
def test_no_network_named_gives_all_that_are_nobodys(
    cloud: Cloud, networks: dict[str, Any]
) -> None:
    assert list(cloud.boot(**networks)['addresses']) == ['one', 'two']


def test_several_servers(cloud: Cloud) -> None:
    answer = cloud.create(min_count=2, max_count=2, return_reservation_id=True)
    query = f'/servers?reservation_id={answer.json["reservation_id"]}'
    listed = cloud.send('GET', query).json['servers']
    assert sorted(server['name'] for server in listed) == ['vm-1', 'vm-2']
    first = cloud.send('GET', f'{query}&limit=1').json
    link = first['servers_links'][0]['href']
    rest = cloud.send('GET', link.partition('/v2.1')[2]).json
    assert [*first['servers'], *rest['servers']] == listed
    for server in listed:
        wait_until(lambda i=server['id']: cloud.show(i)['status'] == 'ACTIVE')  # type: ignore[misc]


@pytest.mark.parametrize(
    ('query', 'found'),
    [
        ('name=vm', True),
        ('name=%5Ev.$', True),
        ('name=other', False),
        ('status=ACTIVE', True),
        ('status=error', False),
        ('flavor=id-of-small', True),
        ('flavor=id-of-large', False),
        ('deleted=False', True),
        ('host=other', True),
    ],
)
def test_filters(cloud: Cloud, query: str, found: bool) -> None:
    shown = cloud.boot()
    listed = cloud.send('GET', f'/servers?{query}').json['servers']
    assert [server['id'] for server in listed] == ([shown['id']] if found else [])


@pytest.mark.parametrize('query', ['name=%5Bx', f'marker={NOBODY}'])
def test_filters_that_make_no_sense(cloud: Cloud, query: str) -> None:
    answer = cloud.send('GET', f'/servers?{query}')
    assert answer.status_code == 400
    assert query.partition('=')[0] in answer.json['badRequest']['message']


def _field(index: int, name: str) -> str:
    return f'Invalid input for networks[{index}].{name}: '


@pytest.mark.parametrize(
    ('nic', 'field'),
    [
        ({'uuid': stores.new_uuid()}, 'uuid'),
        ({'network': 'foreign'}, 'uuid'),
        ({'network': 'second', 'fixed_ip': '10.9.0.5'}, 'fixed_ip'),
        ({'network': 'second', 'fixed_ip': '10.2.0.1'}, 'fixed_ip'),
        ({'network': 'second', 'fixed_ip': 'fd00::5'}, 'fixed_ip'),
        ({'network': 'second', 'fixed_ip': 'x'}, 'fixed_ip'),
    ],
)
def test_a_nic_that_cannot_be_is_named(cloud: Cloud, nic: dict[str, str], field: str) -> None:
    wanted = dict(nic)
    if 'network' in wanted:
        wanted['uuid'] = getattr(cloud, wanted.pop('network')).uuid
    answer = cloud.create(networks=[{'uuid': cloud.first.uuid}, wanted])
    assert answer.status_code == 400
    assert answer.json['badRequest']['message'].startswith(_field(1, field))
    assert cloud.send('GET', '/servers').json['servers'] == []


@pytest.mark.parametrize(
    ('fields', 'field'),
    [
        ({'flavorRef': 'nope'}, 'flavorRef'),
        ({'imageRef': stores.new_uuid()}, 'imageRef'),
        ({'availability_zone': 'moon'}, 'availability_zone'),
        ({'key_name': 'mine'}, 'key_name'),
        ({'networks': 17 * [{'uuid': stores.new_uuid()}]}, 'networks'),
    ],
)
def test_what_cannot_be_is_named(cloud: Cloud, fields: dict[str, Any], field: str) -> None:
    answer = cloud.create(**fields)
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in answer.json['badRequest']['message']


def test_an_address_in_use_is_said_in_the_fault(cloud: Cloud) -> None:
    networks = [{'uuid': cloud.second.uuid, 'fixed_ip': '10.2.0.5'}]
    cloud.boot(networks=networks)
    shown = cloud.boot(networks=[{'uuid': cloud.first.uuid}, *networks])
    assert (shown['status'], shown['addresses']) == ('ERROR', {})
    assert '10.2.0.5' in shown['fault']['message']
    assert 'details' not in shown['fault']
    assert 'details' in cloud.show(shown['id'], roles='admin')['fault']
    assert cloud.held() == 1


def test_a_console_that_is_not_there(cloud: Cloud) -> None:
    cloud.driver.fail_spawn = exception.HypervisorError(action='start the guest', reason='no')
    shown = cloud.boot()
    answer = cloud.send('POST', f'/servers/{shown["id"]}/action', CONSOLE)
    assert answer.status_code == 404
    assert shown['fault']['code'] == 500


def test_another_projects_things_are_not_found(cloud: Cloud) -> None:
    shown = cloud.boot()
    path = f'/servers/{shown["id"]}'
    for method, body in (('GET', None), ('DELETE', None), ('PUT', {'server': {'name': 'x'}})):
        assert cloud.send(method, path, body, project=STRANGER).status_code == 404
    assert cloud.send('POST', f'{path}/action', CONSOLE, project=STRANGER).status_code == 404
    assert cloud.send('GET', '/servers', project=STRANGER).json == {'servers': []}
    seen = cloud.send('GET', '/os-networks').json['networks']
    assert [network['label'] for network in seen] == ['one', 'two']
    assert cloud.send('GET', f'/os-networks/{cloud.foreign.uuid}').status_code == 404


def test_an_administrator_sees_all(cloud: Cloud) -> None:
    shown = cloud.boot()
    admin = {'roles': 'admin', 'project': STRANGER}
    assert cloud.show(shown['id'], **admin)['OS-EXT-SRV-ATTR:host'] == HOST
    listed = cloud.send('GET', f'/servers/detail?all_tenants=1&host={HOST}', **admin)
    assert [server['host_status'] for server in listed.json['servers']] == ['UP']
    assert cloud.send('GET', '/servers?all_tenants=1&host=other', **admin).json['servers'] == []


def test_networks(cloud: Cloud) -> None:
    shown = cloud.send('GET', f'/os-networks/{cloud.first.uuid}').json['network']
    assert (shown['label'], shown['cidr']) == ('one', '10.1.0.0/24')
    assert 'bridge' not in shown
    assert cloud.send('GET', '/os-networks/one').status_code == 404


def test_flavors(cloud: Cloud) -> None:
    body = {
        'flavor': {'name': 'own', 'id': None, 'ram': 64, 'vcpus': 1, 'disk': 1}
        | {'os-flavor-access:is_public': False}
    }
    made = cloud.send('POST', '/flavors', body, roles='admin').json['flavor']
    again = cloud.send('POST', '/flavors', body, roles='admin')
    assert (again.status_code, list(again.json)) == (409, ['conflictingRequest'])
    assert cloud.send('GET', f'/flavors/{made["id"]}').status_code == 404
    assert cloud.create(flavorRef=made['id']).status_code == 400
    listed = cloud.send('GET', '/flavors/detail?is_public=None', roles='admin').json['flavors']
    assert [flavor['name'] for flavor in listed] == ['own', 'small']
    assert cloud.send('DELETE', f'/flavors/{made["id"]}', roles='admin').status_code == 202
    assert cloud.send('DELETE', f'/flavors/{made["id"]}', roles='admin').status_code == 404


def test_hosts(cloud: Cloud) -> None:
    cloud.boot()
    services = cloud.send('GET', '/os-services', roles='admin').json['services']
    assert {service['binary']: service['state'] for service in services} == {
        'nova-compute': 'up',
        'nova-network': 'up',
        'nova-scheduler': 'up',
    }
    nodes = cloud.send('GET', '/os-hypervisors/detail', roles='admin').json['hypervisors']
    assert [(node['hypervisor_hostname'], node['running_vms']) for node in nodes] == [(HOST, 1)]
    zones = cloud.send('GET', '/os-availability-zone').json['availabilityZoneInfo']
    assert zones == [
        {'zoneName': 'nova', 'zoneState': {'available': True}, 'hosts': None},
    ]


# --- security groups


def _group(cloud: Cloud, name: str, *rules: dict[str, Any]) -> str:
    """The id of a new group with these rules."""
    made = cloud.send('POST', '/os-security-groups', {'security_group': {'name': name}})
    group_id: str = made.json['security_group']['id']
    for rule in rules:
        body = {'security_group_rule': {'parent_group_id': group_id} | rule}
        answer = cloud.send('POST', '/os-security-group-rules', body)
        assert answer.status_code == 200, answer.text
    return group_id


def _groups_of_nics(cloud: Cloud, server_id: str) -> list[tuple[str, ...]]:
    return [vif.security_groups for vif in db.vifs_of_instances([server_id])[server_id]]


def _follows(cloud: Cloud, server_id: str) -> bool:
    """Whether every NIC of the server follows its groups as they are now."""
    vifs = db.vifs_of_instances([server_id])[server_id]
    state = db.security_groups_state(uuid for vif in vifs for uuid in vif.security_groups)
    return all(v.firewall_revision == state.revision_of(v.security_groups) for v in vifs)


def test_a_server_is_in_the_default_group(cloud: Cloud) -> None:
    shown = cloud.boot(networks=[{'uuid': cloud.first.uuid}] * 2)
    assert shown['security_groups'] == [{'name': 'default'}]
    (default,) = cloud.send('GET', '/os-security-groups').json['security_groups']
    assert _groups_of_nics(cloud, shown['id']) == [(default['id'],)] * 2
    (rule,) = default['rules']
    assert rule['group'] == {'name': 'default', 'tenant_id': PROJECT}
    wait_until(lambda: _follows(cloud, shown['id']))
    (group,) = cloud.driver.ruleset.groups
    assert group.id == default['id']
    assert {member.address for member in group.members} == {
        entry['addr'] for entry in shown['addresses']['one']
    }
    assert sorted((r.direction.value, r.ethertype.value) for r in group.rules) == [
        ('egress', 'IPv4'),
        ('egress', 'IPv6'),
        ('ingress', 'IPv4'),
        ('ingress', 'IPv6'),
    ]


def test_each_nic_may_have_groups_of_its_own(cloud: Cloud) -> None:
    web, store = _group(cloud, 'web'), _group(cloud, 'store')
    networks = [
        {'uuid': cloud.first.uuid, 'security_groups': [{'name': 'store'}]},
        {'uuid': cloud.second.uuid},
    ]
    shown = cloud.boot(networks=networks, security_groups=[{'name': 'web'}])
    assert _groups_of_nics(cloud, shown['id']) == [(store,), (web,)]
    assert shown['security_groups'] == [{'name': 'store'}, {'name': 'web'}]
    listed = cloud.send('GET', f'/servers/{shown["id"]}/os-security-groups').json
    assert [group['id'] for group in listed['security_groups']] == [store, web]


@pytest.mark.parametrize(
    ('fields', 'field'),
    [
        ({'security_groups': [{'name': 'nope'}]}, 'security_groups[0].name'),
        ({'networks': 'foreign'}, 'networks[0].security_groups[0].name'),
    ],
)
def test_a_group_that_is_not_the_projects_is_named(
    cloud: Cloud, fields: dict[str, Any], field: str
) -> None:
    body = {'security_group': {'name': 'theirs'}}
    cloud.send('POST', '/os-security-groups', body, project=STRANGER)
    if 'networks' in fields:
        nic = {'uuid': cloud.first.uuid, 'security_groups': [{'name': 'theirs'}]}
        fields = {'networks': [nic]}
    answer = cloud.create(**fields)
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in answer.json['badRequest']['message']
    assert cloud.send('GET', '/servers').json['servers'] == []


def test_changes_reach_the_host(cloud: Cloud) -> None:
    web = _group(cloud, 'web')
    shown = cloud.boot(networks=[{'uuid': cloud.first.uuid}])
    path = f'/servers/{shown["id"]}/action'
    assert cloud.send('POST', path, {'addSecurityGroup': {'name': 'web'}}).status_code == 202
    again = cloud.send('POST', path, {'addSecurityGroup': {'name': 'web'}})
    assert 'applied already' in again.json['badRequest']['message']
    assert cloud.send('DELETE', f'/os-security-groups/{web}').status_code == 400
    wait_until(lambda: _follows(cloud, shown['id']))
    rule = {'parent_group_id': web, 'ip_protocol': 'TCP', 'from_port': 80, 'to_port': 80}
    made = cloud.send('POST', '/os-security-group-rules', {'security_group_rule': rule}).json
    assert made['security_group_rule']['ip_range'] == {'cidr': '0.0.0.0/0'}
    wait_until(lambda: _follows(cloud, shown['id']))
    group = cloud.driver.ruleset.group(web)
    assert group is not None
    assert [r.port_min for r in group.rules if r.direction == 'ingress'] == [80]
    rule_id = made['security_group_rule']['id']
    assert cloud.send('DELETE', f'/os-security-group-rules/{rule_id}').status_code == 202
    wait_until(lambda: _follows(cloud, shown['id']))
    removal = {'removeSecurityGroup': {'name': 'web'}}
    assert cloud.send('POST', path, removal).status_code == 202
    assert cloud.send('POST', path, removal).status_code == 400
    wait_until(lambda: _follows(cloud, shown['id']))
    assert cloud.driver.ruleset.group(web) is None
    assert cloud.send('DELETE', f'/os-security-groups/{web}').status_code == 202


def test_a_server_that_goes_leaves_the_sets(cloud: Cloud) -> None:
    first, second = cloud.boot(), cloud.boot()
    wait_until(lambda: _follows(cloud, first['id']))
    assert len(cloud.driver.ruleset.groups[0].members) == 4
    cloud.send('DELETE', f'/servers/{second["id"]}')
    wait_until(lambda: len(cloud.driver.ruleset.groups[0].members) == 2)
    wait_until(lambda: _follows(cloud, first['id']))


@pytest.mark.parametrize(
    ('rule', 'field'),
    [
        ({'ip_protocol': 'xyz'}, 'ip_protocol'),
        ({'ip_protocol': '256'}, 'ip_protocol'),
        ({'ip_protocol': 'icmp', 'from_port': 256}, 'from_port'),
        ({'ip_protocol': 'icmp', 'to_port': 1}, 'from_port'),
        ({'ip_protocol': 'tcp', 'from_port': 2, 'to_port': 1}, 'to_port'),
        ({'from_port': 1, 'to_port': 1}, 'ip_protocol'),
        ({'cidr': '10.0.0.0/33'}, 'cidr'),
        ({'cidr': 'x'}, 'cidr'),
        ({'group_id': stores.new_uuid()}, 'group_id'),
        ({'cidr': '10.0.0.0/8', 'group_id': 'own'}, 'group_id'),
        ({}, 'security_group_rule'),
    ],
)
def test_rules_that_cannot_be_are_named(cloud: Cloud, rule: dict[str, Any], field: str) -> None:
    group_id = _group(cloud, 'web', {})
    if rule.get('group_id') == 'own':
        rule = rule | {'group_id': group_id}
    body = {'security_group_rule': {'parent_group_id': group_id} | rule}
    answer = cloud.send('POST', '/os-security-group-rules', body)
    assert answer.status_code == 400
    assert f'Invalid input for {field}: ' in answer.json['badRequest']['message']


@pytest.mark.parametrize(
    ('rule', 'versions'),
    [
        ({'group_id': 'own'}, [4, 6]),
        ({'group_id': 'own', 'ip_protocol': 'icmp'}, [4, 6]),
        ({'group_id': 'own', 'ip_protocol': 'icmpv6'}, [6]),
        ({'cidr': 'fd00::/8'}, [6]),
        ({'ip_protocol': 6, 'from_port': 0, 'to_port': 65535}, [4]),
        ({'ip_protocol': '58'}, [6]),
        ({'direction': 'egress', 'cidr': '10.0.0.1'}, [4]),
    ],
)
def test_the_families_of_a_rule(cloud: Cloud, rule: dict[str, Any], versions: list[int]) -> None:
    own = _group(cloud, 'own')
    _group(cloud, 'web', rule | ({'group_id': own} if 'group_id' in rule else {}))
    cloud.boot(networks=[{'uuid': cloud.first.uuid}], security_groups=[{'name': 'web'}])
    web = next(g for g in db.security_group_list(PROJECT) if g.name == 'web')
    wait_until(lambda: cloud.driver.ruleset.group(web.uuid) is not None)
    group = cloud.driver.ruleset.group(web.uuid)
    assert group is not None
    made = [r for r in group.rules if r.direction == rule.get('direction', 'ingress')]
    assert [r.ethertype.version for r in made] == versions
    # a group that restricts what goes out no longer lets everything out
    assert len(group.rules) == len(made) + (0 if 'direction' in rule else 2)


def test_groups_of_another_project(cloud: Cloud) -> None:
    web = _group(cloud, 'web', {})
    (group,) = (g for g in db.security_group_list(PROJECT) if g.name == 'web')
    stranger = {'project': STRANGER}
    path = f'/os-security-groups/{web}'
    for method, body in (
        ('GET', None),
        ('DELETE', None),
        ('PUT', {'security_group': {'name': 'x'}}),
    ):
        assert cloud.send(method, path, body, **stranger).status_code == 404
    rule = {'security_group_rule': {'parent_group_id': web}}
    assert cloud.send('POST', '/os-security-group-rules', rule, **stranger).status_code == 404
    path = f'/os-security-group-rules/{group.rules[0].uuid}'
    assert cloud.send('DELETE', path, **stranger).status_code == 404
    assert cloud.send('DELETE', path, project=STRANGER, roles='admin').status_code == 202


def test_the_quota_of_groups_and_the_default_group(cloud: Cloud) -> None:
    for number in range(9):
        _group(cloud, f'g{number}')
    answer = cloud.send('POST', '/os-security-groups', {'security_group': {'name': 'one more'}})
    assert (answer.status_code, list(answer.json)) == (403, ['forbidden'])
    default = cloud.send('GET', '/os-security-groups').json['security_groups'][0]
    path = f'/os-security-groups/{default["id"]}'
    assert cloud.send('DELETE', path).status_code == 400
    assert cloud.send('PUT', path, {'security_group': {'name': 'x'}}).status_code == 400
    taken = cloud.send('PUT', path, {'security_group': {'name': 'default', 'description': 'd'}})
    assert taken.json['security_group']['description'] == 'd'
