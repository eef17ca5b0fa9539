"""Our own ports in memory, a cloud to look at, and a client for the application over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import datetime
from typing import Any

from falcon import testing
from keystonemiddleware import auth_token
from oslo_config import cfg

from nova import context as nova_context
from nova import exception, quota
from nova.api import app
import nova.conf
from nova.db import records
from nova.network import model
from nova.network.network_spec import NetworkSpec

NOW = datetime.datetime(2025, 1, 31, 12, 0, 30, 250000, tzinfo=datetime.UTC)
IMAGE = '11111111-0000-4000-8000-000000000001'
PROJECT = 'project-a'

Context = nova_context.RequestContext


def network_uuid(number: int) -> str:
    return f'22222222-0000-4000-8000-{number:012}'


def group_uuid(number: int) -> str:
    return f'66666666-0000-4000-8000-{number:012}'


def rule_uuid(number: int) -> str:
    return f'77777777-0000-4000-8000-{number:012}'


def server_uuid(number: int) -> str:
    return f'33333333-0000-4000-8000-{number:012}'


def build_network(number: int, *, label: str | None = None) -> records.Network:
    return records.Network(
        id=number,
        uuid=network_uuid(number),
        label=label or f'net{number}',
        kind=model.NetworkKind.FLAT_DHCP,
        project_id=None,
        cidr=f'10.{number}.0.0/24',
        gateway=f'10.{number}.0.1',
        dhcp_server=f'10.{number}.0.2',
        dhcp_start=f'10.{number}.0.10',
        dhcp_end=f'10.{number}.0.250',
        dns=(f'9.9.9.{number}', f'8.8.8.{number}'),
        bridge=f'br{number}',
        physical_network=f'physnet{number}',
        vlan=100 + number,
        mtu=1500 + number,
        multi_host=False,
        host=f'gateway{number}',
        created_at=NOW,
        updated_at=NOW,
    )


def build_vif(index: int, *, label: str | None = None, v6: bool = False) -> model.VIF:
    number = index + 1
    subnets = [model.Subnet(cidr=f'10.{number}.0.0/24')]
    addresses = [f'10.{number}.0.{10 + number}']
    if v6:
        subnets.append(model.Subnet(cidr=f'fd00:{number}::/64'))
        addresses.append(f'fd00:{number}::{number}')
    return model.VIF(
        id=f'44444444-0000-4000-8000-{number:012}',
        index=index,
        mac=f'fa:16:3e:00:00:{number:02x}',
        network=model.Network(
            id=network_uuid(number),
            label=label or f'net{number}',
            kind=model.NetworkKind.FLAT_DHCP,
            bridge=f'br{number}',
            subnets=tuple(subnets),
        ),
        addresses=tuple(addresses),
        security_groups=(group_uuid(1),) if index else (group_uuid(2), group_uuid(1)),
    )


def build_flavor(number: int = 1, **values: Any) -> records.Flavor:
    fields: dict[str, Any] = {
        'id': number,
        'flavorid': str(number),
        'name': f'm1.size{number}',
        'memory_mb': 512 * number,
        'vcpus': number,
        'root_gb': 10 * number,
        'extra_specs': {'hw:a': f'b{number}'},
    }
    return records.Flavor(**fields | values)


def build_instance(number: int = 1, **values: Any) -> records.Instance:
    fields: dict[str, Any] = {
        'id': number,
        'uuid': server_uuid(number),
        'project_id': PROJECT,
        'user_id': 'user-a',
        'display_name': f'vm {number}',
        'hostname': f'vm-{number}',
        'image_ref': IMAGE,
        'flavor': build_flavor(),
        'vm_state': records.VmState.ACTIVE,
        'task_state': None,
        'power_state': records.PowerState.RUNNING,
        'host': 'compute1',
        'key_name': None,
        'user_data': 'Zm9v',
        'config_drive': True,
        'locked': False,
        'availability_zone': 'nova',
        'metadata': {'color': 'red'},
        'requested_networks': (),
        'reservation_id': 'r-1',
        'launch_index': 0,
        'created_at': NOW,
        'updated_at': NOW + datetime.timedelta(minutes=1),
        'launched_at': NOW + datetime.timedelta(seconds=9),
    }
    return records.Instance(**fields | values)


def build_service(number: int, binary: str, host: str, **values: Any) -> records.Service:
    fields: dict[str, Any] = {
        'id': number,
        'host': host,
        'binary': binary,
        'disabled': False,
        'disabled_reason': None,
        'created_at': NOW,
        'last_seen_at': NOW,
    }
    return records.Service(**fields | values)


def build_node(number: int) -> records.ComputeNode:
    return records.ComputeNode(
        id=number,
        uuid=f'55555555-0000-4000-8000-{number:012}',
        host=f'compute{number}',
        hypervisor_type='QEMU',
        hypervisor_version=9000000 + number,
        vcpus=8 * number,
        memory_mb=16384 * number,
        disk_gb=100 * number,
        vcpus_used=number,
        memory_mb_used=512 * number,
        disk_gb_used=10 * number,
        instances=number,
    )


class MemoryQuotas:
    """The project has a server of two cores; ``calls`` holds what was changed."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error: Exception | None = None
        self.changed: dict[str, int] = {}
        self.configured: Mapping[str, int] = {
            resource: number
            for number, resource in enumerate([*quota.RESOURCES, *quota.ABSENT], 10)
        }
        self.defaults = dict(self.configured)

    def limits(self, project_id: str, /) -> Mapping[str, int]:
        return {**self.defaults, **(self.changed if project_id == PROJECT else {})}

    def usage(self, project_id: str, /) -> Mapping[str, int]:
        return dict.fromkeys(self.defaults, 0) | {'instances': 1, 'cores': 2, 'ram': 512}

    def change(self, project_id: str, limits: Mapping[str, int], /, *, force: bool) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append((project_id, dict(limits), force))
        self.changed |= limits

    def reset(self, project_id: str, /) -> None:
        self.calls.append((project_id, None))
        self.changed.clear()

    def change_defaults(self, limits: Mapping[str, int], /) -> None:
        self.calls.append(('default', dict(limits)))
        self.defaults |= limits


@dataclasses.dataclass
class MemoryComputeApi:
    """``compute.api`` of a cloud that never changes; ``created``, ``listed`` and
    ``done`` hold what was asked of it. ``error`` is raised by what changes something."""

    instances: list[records.Instance] = dataclasses.field(default_factory=list)
    flavors: list[records.Flavor] = dataclasses.field(default_factory=list)
    services: list[records.Service] = dataclasses.field(default_factory=list)
    nodes: list[records.ComputeNode] = dataclasses.field(default_factory=list)
    down: set[int] = dataclasses.field(default_factory=set)
    error: Exception | None = None
    created: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    listed: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    deleted: list[str] = dataclasses.field(default_factory=list)
    lengths: list[int | None] = dataclasses.field(default_factory=list)
    done: list[tuple[object, ...]] = dataclasses.field(default_factory=list)
    quotas: MemoryQuotas = dataclasses.field(default_factory=MemoryQuotas)

    def create(self, context: Context, **values: Any) -> list[records.Instance]:
        if self.error is not None:
            raise self.error
        self.created.append(values)
        return [
            build_instance(number + 1, vm_state=records.VmState.BUILDING, host=None)
            for number in range(values['max_count'])
        ]

    def get(self, context: Context, instance_uuid: str, /) -> records.Instance:
        for instance in self.instances:
            mine = context.is_admin or instance.project_id == context.project_id
            if instance.uuid == instance_uuid and mine:
                return instance
        raise exception.InstanceNotFound(instance_id=instance_uuid)

    def list(self, context: Context, **values: Any) -> list[records.Instance]:
        self.listed.append(values)
        found = [
            instance
            for instance in self.instances
            if values['all_projects'] or instance.project_id == context.project_id
        ]
        return found[: values['limit']]

    def update(
        self, context: Context, instance: records.Instance, /, *, display_name: str
    ) -> records.Instance:
        return dataclasses.replace(instance, display_name=display_name)

    def delete(self, context: Context, instance: records.Instance, /) -> None:
        self.deleted.append(instance.uuid)

    def attach_interface(
        self,
        context: Context,
        instance: records.Instance,
        /,
        *,
        network: str | None,
        fixed_ip: str | None,
        security_groups: tuple[str, ...],
    ) -> model.VIF:
        return self._note(build_vif(1), 'attach', network, fixed_ip, security_groups)

    def detach_interface(
        self, context: Context, instance: records.Instance, vif_id: str, /
    ) -> None:
        self._note(build_vif(1), 'detach', vif_id)

    def add_fixed_ip(
        self, context: Context, instance: records.Instance, network: str, /
    ) -> model.VIF:
        return self._note(build_vif(1), 'add', network)

    def remove_fixed_ip(
        self, context: Context, instance: records.Instance, address: str, /
    ) -> model.VIF:
        return self._note(build_vif(1), 'remove', address)

    def stop(self, context: Context, instance: records.Instance, /) -> None:
        self._note(build_vif(1), 'stop')

    def start(self, context: Context, instance: records.Instance, /) -> None:
        self._note(build_vif(1), 'start')

    def reboot(self, context: Context, instance: records.Instance, /, *, hard: bool) -> None:
        self._note(build_vif(1), 'reboot', hard)

    def _note(self, vif: model.VIF, *call: object) -> model.VIF:
        if self.error is not None:
            raise self.error
        self.done.append(call)
        return vif

    def get_console_output(
        self, context: Context, instance: records.Instance, length: int | None, /
    ) -> str:
        if self.error is not None:
            raise self.error
        self.lengths.append(length)
        return 'login: '

    def flavor_list(self, context: Context) -> Sequence[records.Flavor]:
        return [flavor for flavor in self.flavors if flavor.is_public or context.is_admin]

    def flavor_get(self, context: Context, flavorid: str, /) -> records.Flavor:
        for flavor in self.flavor_list(context):
            if flavor.flavorid == flavorid:
                return flavor
        raise exception.FlavorNotFound(flavor_id=flavorid)

    def flavor_create(self, context: Context, **values: Any) -> records.Flavor:
        return records.Flavor(id=9, **values | {'flavorid': values['flavorid'] or 'made-up'})

    def flavor_delete(self, context: Context, flavorid: str, /) -> None:
        self.deleted.append(self.flavor_get(context, flavorid).flavorid)

    def service_list(self, context: Context) -> Sequence[records.Service]:
        return self.services

    def is_up(self, service: records.Service, /) -> bool:
        return service.id not in self.down

    def compute_node_list(self, context: Context) -> Sequence[records.ComputeNode]:
        return self.nodes


class MemoryFloatingIps:
    """One floating IP, 192.0.2.1 with the id 1."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        #: by server; none, for most tests are not about them
        self.leading: dict[str, Sequence[records.FloatingIp]] = {}
        self.one = records.FloatingIp(
            id=1,
            address='192.0.2.1',
            pool='nova',
            project_id=PROJECT,
            fixed_ip='10.0.0.3',
            instance_uuid=server_uuid(1),
            network_uuid=network_uuid(1),
        )

    def list_pools(self, context: Context) -> Sequence[str]:
        return ['nova']

    def list_floating_ips(self, context: Context) -> Sequence[records.FloatingIp]:
        return [self.one]

    def of_servers(self, uuids: Sequence[str], /) -> Mapping[str, Sequence[records.FloatingIp]]:
        return {uuid: self.leading.get(uuid, ()) for uuid in uuids}

    def get_floating_ip(self, context: Context, number: str, /) -> records.FloatingIp:
        if number != '1':
            raise exception.FloatingIpNotFound(floating_ip=number)
        return self.one

    def allocate(self, context: Context, pool: str | None, /) -> records.FloatingIp:
        self.calls.append(('allocate', pool))
        return self.one

    def release(self, context: Context, number: str, /) -> None:
        self.calls.append(('release', number))

    def associate(
        self,
        context: Context,
        network_info: model.NetworkInfo,
        address: str,
        fixed_address: str | None,
        /,
    ) -> None:
        self.calls.append(('associate', address, fixed_address))

    def disassociate(self, context: Context, instance_uuid: str, address: str, /) -> None:
        self.calls.append(('disassociate', instance_uuid, address))


@dataclasses.dataclass
class MemoryNetworkApi:
    """``calls`` holds what was asked of it; ``error`` is raised by whatever changes something."""

    floating_ips: MemoryFloatingIps = dataclasses.field(default_factory=MemoryFloatingIps)
    networks: list[records.Network] = dataclasses.field(default_factory=list)
    infos: dict[str, model.NetworkInfo] = dataclasses.field(default_factory=dict)
    error: Exception | None = None
    calls: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)

    def _change(self, *call: Any) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(call)

    def list_networks(self, context: Context) -> Sequence[records.Network]:
        return self.networks

    def get_network(self, context: Context, network_uuid: str, /) -> records.Network:
        for network in self.networks:
            if network.uuid == network_uuid:
                return network
        raise exception.NetworkNotFound(network_id=network_uuid)

    def create_networks(
        self, spec: NetworkSpec, count: int | None, prefix_length: int | None, /
    ) -> Sequence[records.Network]:
        self._change('create', spec, count, prefix_length)
        return [build_network(number) for number in range(7, 7 + (count or 1))]

    def delete_network(self, network_uuid: str, /) -> None:
        self.get_network(Context(), network_uuid)
        self._change('delete', network_uuid)

    def modify_network(self, network_uuid: str, /, **changes: Any) -> records.Network:
        network = self.get_network(Context(), network_uuid)
        self._change('modify', network_uuid, changes)
        return network

    def add_network_to_project(
        self, network_uuid: str | None, project_id: str, /
    ) -> records.Network:
        self._change('add', network_uuid, project_id)
        return self.networks[0]

    def create_project_networks(
        self, context: Context, spec: NetworkSpec, count: int | None, prefix_length: int | None, /
    ) -> Sequence[records.Network]:
        self._change('create of project', spec, count, prefix_length)
        return [build_network(number) for number in range(7, 7 + (count or 1))]

    def delete_project_network(self, context: Context, network_uuid: str, /) -> None:
        self.get_network(context, network_uuid)
        self._change('delete of project', network_uuid)

    def network_infos(self, instance_uuids: Sequence[str], /) -> dict[str, model.NetworkInfo]:
        return {uuid: self.infos[uuid] for uuid in instance_uuids if uuid in self.infos}


def build_group(number: int, **values: Any) -> records.SecurityGroup:
    fields: dict[str, Any] = {
        'uuid': group_uuid(number),
        'project_id': PROJECT,
        'name': 'default' if number == 1 else f'group{number}',
        'description': f'about {number}',
        'rules': (),
        'rules_revision': number,
        'members_revision': number,
    }
    return records.SecurityGroup(**fields | values)


def build_rules() -> tuple[records.SecurityGroupRule, ...]:
    """One of each form."""
    forms: list[dict[str, Any]] = [
        {
            'remote_group_uuid': group_uuid(1),
            'remote_group_name': 'default',
            'remote_group_project_id': PROJECT,
        },
        {'ip_version': 4, 'protocol': 'tcp', 'from_port': 22, 'to_port': 22, 'cidr': '10.0.0.0/8'},
        {'ip_version': 4, 'protocol': 'icmp', 'from_port': 8},
        {'ip_version': 6, 'protocol': 'udp'},
        {'ip_version': 4, 'protocol': '89', 'direction': records.Direction.EGRESS},
    ]
    return tuple(
        records.SecurityGroupRule(uuid=rule_uuid(number), group_uuid=group_uuid(1), **form)
        for number, form in enumerate(forms, 1)
    )


@dataclasses.dataclass
class MemoryGroupApi:
    """``calls`` holds what was asked of it; ``error`` is raised by whatever changes something."""

    groups: list[records.SecurityGroup] = dataclasses.field(default_factory=list)
    error: Exception | None = None
    calls: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)

    def _change(self, *call: Any) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(call)

    def list_groups(
        self, context: Context, *, all_projects: bool = False
    ) -> Sequence[records.SecurityGroup]:
        return [g for g in self.groups if all_projects or g.project_id == context.project_id]

    def get_group(self, context: Context, uuid: str, /) -> records.SecurityGroup:
        for group in self.groups:
            if group.uuid == uuid and (context.is_admin or group.project_id == context.project_id):
                return group
        raise exception.SecurityGroupNotFound(group_id=uuid)

    def create_group(
        self, context: Context, *, name: str, description: str
    ) -> records.SecurityGroup:
        self._change('create', name, description)
        return build_group(9, name=name, description=description)

    def update_group(
        self, context: Context, uuid: str, /, *, name: str, description: str
    ) -> records.SecurityGroup:
        group = self.get_group(context, uuid)
        self._change('update', uuid, name, description)
        return dataclasses.replace(group, name=name, description=description)

    def delete_group(self, context: Context, uuid: str, /) -> None:
        self._change('delete', self.get_group(context, uuid).uuid)

    def create_rule(
        self, context: Context, group_uuid: str, /, **values: Any
    ) -> records.SecurityGroupRule:
        group = self.get_group(context, group_uuid)
        self._change('create rule', group.uuid, values)
        return group.rules[1]

    def delete_rule(self, context: Context, uuid: str, /) -> None:
        for group in self.groups:
            if uuid in [rule.uuid for rule in group.rules]:
                self._change('delete rule', uuid)
                return
        raise exception.SecurityGroupRuleNotFound(rule_id=uuid)

    def add_to_server(
        self, context: Context, instance: records.Instance, vif_uuids: Sequence[str], name: str, /
    ) -> None:
        self._change('add', instance.uuid, list(vif_uuids), name)

    def remove_from_server(
        self, context: Context, instance: records.Instance, vif_uuids: Sequence[str], name: str, /
    ) -> None:
        self._change('remove', instance.uuid, list(vif_uuids), name)

    def groups_of(self, uuids: Iterable[str], /) -> Mapping[str, records.SecurityGroup]:
        wanted = set(uuids)
        return {group.uuid: group for group in self.groups if group.uuid in wanted}


def build_conf(**api_options: Any) -> cfg.ConfigOpts:
    """Options of their own, read from no file."""
    conf = cfg.ConfigOpts()
    nova.conf.register(conf)
    conf([], project='nova', default_config_files=[], default_config_dirs=[])
    for group, options in auth_token.list_opts():
        conf.register_opts(options, group=group)
    conf.set_override('www_authenticate_uri', 'http://keystone.example', 'keystone_authtoken')
    for name, value in {'auth_strategy': 'noauth', **api_options}.items():
        conf.set_override(name, value, group='api')
    return conf


class Client:
    """Sends requests to the application as somebody."""

    def __init__(
        self,
        compute: MemoryComputeApi,
        network: MemoryNetworkApi,
        groups: MemoryGroupApi,
        **api_options: Any,
    ) -> None:
        application = app.build_application(compute, network, groups, build_conf(**api_options))
        # Falcon's client inspects what it is given, which WebOb's middleware does not survive.
        self._client = testing.TestClient(lambda env, start: application(env, start))
        self.compute = compute
        self.network = network
        self.groups = groups

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        roles: str = 'member,reader',
        project: str = PROJECT,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> testing.Result:
        sent = {'X-User-Id': 'user-a', 'X-Project-Id': project, 'X-Roles': roles}
        if version is not None:
            sent['OpenStack-API-Version'] = f'compute {version}'
        sent |= headers or {}
        return self._client.simulate_request(
            method, f'/v2.1{path}', json=body, headers=sent, host='cloud.example', protocol='https'
        )

    def raw(self, method: str, path: str, **values: Any) -> testing.Result:
        return self._client.simulate_request(method, path, **values)


def build_cloud() -> tuple[MemoryComputeApi, MemoryNetworkApi, MemoryGroupApi]:
    """One server with three NICs, two of them on networks of one label; and one in another
    project with a fault."""
    fault = records.Fault(
        code=500, message='No valid host was found.', details='host7 is full', created_at=NOW
    )
    failed = build_instance(
        2,
        project_id='project-b',
        vm_state=records.VmState.ERROR,
        power_state=records.PowerState.NOSTATE,
        host=None,
        launched_at=None,
        config_drive=False,
        fault=fault,
    )
    compute = MemoryComputeApi(
        instances=[build_instance(), failed],
        flavors=[build_flavor(1), build_flavor(2, swap_mb=64), build_flavor(3, is_public=False)],
        services=[
            build_service(1, 'nova-compute', 'compute1'),
            build_service(2, 'nova-compute', 'compute2', disabled=True, disabled_reason='repair'),
            build_service(3, 'nova-network', 'compute1'),
        ],
        nodes=[build_node(1), build_node(2)],
        down={3},
    )
    infos = model.NetworkInfo(
        (build_vif(0, label='net'), build_vif(1, v6=True), build_vif(2, label='net'))
    )
    network = MemoryNetworkApi(
        networks=[build_network(1), build_network(2)], infos={server_uuid(1): infos}
    )
    groups = MemoryGroupApi(
        groups=[
            build_group(1, rules=build_rules()),
            build_group(2),
            build_group(3, project_id='project-b'),
        ]
    )
    return compute, network, groups


def build_client(**api_options: Any) -> Client:
    return Client(*build_cloud(), **api_options)
