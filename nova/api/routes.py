"""The URL table of the Compute API, as data: what may be asked, who may ask it, and of what form.

Paths are below ``/v2.1``. Every operation names the policy rule that lets a caller use it, which
:mod:`nova.api.dispatch` enforces before the body is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses

from nova.api import microversion, validation
from nova.api.call import Handler
from nova.api.handlers import (
    extensions,
    flavors,
    floating_ips,
    hosts,
    interfaces,
    networks,
    quotas,
    security_groups,
    server_actions,
    servers,
)
from nova.api.policies import availability_zones as zone_rules
from nova.api.policies import extensions as extension_rules
from nova.api.policies import flavors as flavor_rules
from nova.api.policies import floating_ips as floating_rules
from nova.api.policies import hypervisors as hypervisor_rules
from nova.api.policies import interfaces as interface_rules
from nova.api.policies import networks as network_rules
from nova.api.policies import quotas as quota_rules
from nova.api.policies import security_groups as group_rules
from nova.api.policies import servers as server_rules
from nova.api.policies import services as service_rules
from nova.api.schemas import flavors as flavor_schemas
from nova.api.schemas import floating_ips as floating_schemas
from nova.api.schemas import hosts as host_schemas
from nova.api.schemas import interfaces as interface_schemas
from nova.api.schemas import networks as network_schemas
from nova.api.schemas import quotas as quota_schemas
from nova.api.schemas import security_groups as group_schemas
from nova.api.schemas import servers as server_schemas

BodySchema = Callable[[microversion.Version], validation.Schema]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """``handler`` is called with the :class:`~nova.api.call.Call` and the path's fields by name.

    ``body`` gives the schema of the request's body in a microversion; None: a body is not read.
    ``status`` is that of a good answer.
    """

    handler: Handler
    rule: str
    body: BodySchema | None = None
    query: validation.Schema | None = None
    status: int = 200


#: The actions of ``POST /servers/{server_id}/action``, by the one key of their body.
SERVER_ACTIONS: Mapping[str, Operation] = {
    'os-getConsoleOutput': Operation(
        handler=server_actions.get_console_output,
        rule=server_rules.CONSOLE_OUTPUT,
        body=server_schemas.console_output,
    ),
    'addFloatingIp': Operation(
        handler=floating_ips.add_to_server,
        rule=floating_rules.ADD,
        body=floating_schemas.add,
        status=202,
    ),
    'removeFloatingIp': Operation(
        handler=floating_ips.remove_from_server,
        rule=floating_rules.REMOVE,
        body=floating_schemas.remove,
        status=202,
    ),
    'addSecurityGroup': Operation(
        handler=security_groups.add_to_server,
        rule=group_rules.SERVER_ADD,
        body=group_schemas.add,
        status=202,
    ),
    'removeSecurityGroup': Operation(
        handler=security_groups.remove_from_server,
        rule=group_rules.SERVER_REMOVE,
        body=group_schemas.remove,
        status=202,
    ),
    'addFixedIp': Operation(
        handler=server_actions.add_fixed_ip,
        rule=interface_rules.FIXED_IPS,
        body=interface_schemas.add_fixed_ip,
        status=202,
    ),
    'removeFixedIp': Operation(
        handler=server_actions.remove_fixed_ip,
        rule=interface_rules.FIXED_IPS,
        body=interface_schemas.remove_fixed_ip,
        status=202,
    ),
    'os-start': Operation(
        handler=server_actions.start,
        rule=server_rules.START,
        body=server_schemas.start,
        status=202,
    ),
    'os-stop': Operation(
        handler=server_actions.stop, rule=server_rules.STOP, body=server_schemas.stop, status=202
    ),
    'reboot': Operation(
        handler=server_actions.reboot,
        rule=server_rules.REBOOT,
        body=server_schemas.reboot,
        status=202,
    ),
}

#: The actions of ``POST /os-networks/{network_id}/action``.
NETWORK_ACTIONS: Mapping[str, Operation] = {
    'associate_host': Operation(
        handler=networks.associate_host,
        rule=network_rules.ASSOCIATE_HOST,
        body=network_schemas.associate_host,
        status=202,
    ),
    'disassociate': Operation(
        handler=networks.disassociate,
        rule=network_rules.DISASSOCIATE,
        body=network_schemas.disassociate,
        status=202,
    ),
    'disassociate_host': Operation(
        handler=networks.disassociate_host,
        rule=network_rules.DISASSOCIATE_HOST,
        body=network_schemas.disassociate_host,
        status=202,
    ),
    'disassociate_project': Operation(
        handler=networks.disassociate_project,
        rule=network_rules.DISASSOCIATE_PROJECT,
        body=network_schemas.disassociate_project,
        status=202,
    ),
}

ROUTES: Mapping[str, Mapping[str, Operation | Mapping[str, Operation]]] = {
    '/servers': {
        'GET': Operation(handler=servers.index, rule=server_rules.INDEX, query=server_schemas.LIST),
        'POST': Operation(
            handler=servers.create,
            rule=server_rules.CREATE,
            body=server_schemas.create,
            status=202,
        ),
    },
    '/servers/detail': {
        'GET': Operation(
            handler=servers.detail, rule=server_rules.DETAIL, query=server_schemas.LIST
        ),
    },
    '/servers/{server_id}': {
        'GET': Operation(handler=servers.show, rule=server_rules.SHOW),
        'PUT': Operation(
            handler=servers.update, rule=server_rules.UPDATE, body=server_schemas.update
        ),
        'DELETE': Operation(handler=servers.delete, rule=server_rules.DELETE, status=204),
    },
    '/servers/{server_id}/action': {'POST': SERVER_ACTIONS},
    '/servers/{server_id}/ips': {
        'GET': Operation(handler=interfaces.index_ips, rule=server_rules.IPS_INDEX),
    },
    '/servers/{server_id}/ips/{label}': {
        'GET': Operation(handler=interfaces.show_ips, rule=server_rules.IPS_SHOW),
    },
    '/servers/{server_id}/os-interface': {
        'GET': Operation(handler=interfaces.index, rule=interface_rules.LIST),
        'POST': Operation(
            handler=interfaces.attach,
            rule=interface_rules.CREATE,
            body=interface_schemas.attach,
        ),
    },
    '/servers/{server_id}/os-interface/{port_id}': {
        'GET': Operation(handler=interfaces.show, rule=interface_rules.SHOW),
        'DELETE': Operation(handler=interfaces.detach, rule=interface_rules.DELETE, status=202),
    },
    '/servers/{server_id}/os-security-groups': {
        'GET': Operation(handler=security_groups.index_of_server, rule=group_rules.SERVER_LIST),
    },
    '/flavors': {
        'GET': Operation(handler=flavors.index, rule=flavor_rules.INDEX, query=flavor_schemas.LIST),
        'POST': Operation(
            handler=flavors.create, rule=flavor_rules.CREATE, body=flavor_schemas.create
        ),
    },
    '/flavors/detail': {
        'GET': Operation(
            handler=flavors.detail, rule=flavor_rules.DETAIL, query=flavor_schemas.LIST
        ),
    },
    '/flavors/{flavor_id}': {
        'GET': Operation(handler=flavors.show, rule=flavor_rules.SHOW),
        'DELETE': Operation(handler=flavors.delete, rule=flavor_rules.DELETE, status=202),
    },
    '/flavors/{flavor_id}/os-extra_specs': {
        'GET': Operation(handler=flavors.index_extra_specs, rule=flavor_rules.SPECS_INDEX),
    },
    '/flavors/{flavor_id}/os-extra_specs/{key}': {
        'GET': Operation(handler=flavors.show_extra_spec, rule=flavor_rules.SPECS_SHOW),
    },
    '/os-networks': {
        'GET': Operation(handler=networks.index, rule=network_rules.LIST),
        'POST': Operation(
            handler=networks.create, rule=network_rules.CREATE, body=network_schemas.create
        ),
    },
    '/os-networks/add': {
        'POST': Operation(
            handler=networks.add, rule=network_rules.ADD, body=network_schemas.add, status=202
        ),
    },
    '/os-networks/{network_id}': {
        'GET': Operation(handler=networks.show, rule=network_rules.SHOW),
        'DELETE': Operation(handler=networks.delete, rule=network_rules.DELETE, status=202),
    },
    '/os-networks/{network_id}/action': {'POST': NETWORK_ACTIONS},
    '/os-tenant-networks': {
        'GET': Operation(handler=networks.index_tenant, rule=network_rules.TENANT_LIST),
        'POST': Operation(
            handler=networks.create_tenant,
            rule=network_rules.TENANT_CREATE,
            body=network_schemas.create_tenant,
        ),
    },
    '/os-tenant-networks/{network_id}': {
        'GET': Operation(handler=networks.show_tenant, rule=network_rules.TENANT_SHOW),
        'DELETE': Operation(
            handler=networks.delete_tenant, rule=network_rules.TENANT_DELETE, status=202
        ),
    },
    '/os-security-groups': {
        'GET': Operation(
            handler=security_groups.index, rule=group_rules.LIST, query=group_schemas.LIST
        ),
        'POST': Operation(
            handler=security_groups.create, rule=group_rules.CREATE, body=group_schemas.group
        ),
    },
    '/os-security-groups/{security_group_id}': {
        'GET': Operation(handler=security_groups.show, rule=group_rules.SHOW),
        'PUT': Operation(
            handler=security_groups.update, rule=group_rules.UPDATE, body=group_schemas.group
        ),
        'DELETE': Operation(handler=security_groups.delete, rule=group_rules.DELETE, status=202),
    },
    '/os-security-group-rules': {
        'POST': Operation(
            handler=security_groups.create_rule,
            rule=group_rules.RULE_CREATE,
            body=group_schemas.rule,
        ),
    },
    '/os-security-group-rules/{rule_id}': {
        'DELETE': Operation(
            handler=security_groups.delete_rule, rule=group_rules.RULE_DELETE, status=202
        ),
    },
    '/os-floating-ips': {
        'GET': Operation(handler=floating_ips.index, rule=floating_rules.LIST),
        'POST': Operation(
            handler=floating_ips.create, rule=floating_rules.CREATE, body=floating_schemas.create
        ),
    },
    '/os-floating-ips/{floating_ip_id}': {
        'GET': Operation(handler=floating_ips.show, rule=floating_rules.SHOW),
        'DELETE': Operation(handler=floating_ips.delete, rule=floating_rules.DELETE, status=202),
    },
    '/os-floating-ip-pools': {
        'GET': Operation(handler=floating_ips.index_pools, rule=floating_rules.POOLS),
    },
    '/os-quota-sets/{project_id}': {
        'GET': Operation(handler=quotas.show, rule=quota_rules.SHOW, query=quota_schemas.SHOW),
        'PUT': Operation(
            handler=quotas.update,
            rule=quota_rules.UPDATE,
            body=quota_schemas.update,
            query=quota_schemas.SHOW,
        ),
        'DELETE': Operation(
            handler=quotas.delete,
            rule=quota_rules.DELETE,
            query=quota_schemas.SHOW,
            status=202,
        ),
    },
    '/os-quota-sets/{project_id}/defaults': {
        'GET': Operation(handler=quotas.show_defaults, rule=quota_rules.DEFAULTS),
    },
    '/os-quota-sets/{project_id}/detail': {
        'GET': Operation(
            handler=quotas.show_detail, rule=quota_rules.DETAIL, query=quota_schemas.SHOW
        ),
    },
    '/os-quota-class-sets/{class_name}': {
        'GET': Operation(handler=quotas.show_class, rule=quota_rules.CLASS_SHOW),
        'PUT': Operation(
            handler=quotas.update_class,
            rule=quota_rules.CLASS_UPDATE,
            body=quota_schemas.update_class,
        ),
    },
    '/limits': {
        'GET': Operation(
            handler=quotas.show_limits, rule=quota_rules.LIMITS, query=quota_schemas.LIMITS
        ),
    },
    '/os-services': {
        'GET': Operation(
            handler=hosts.index_services, rule=service_rules.LIST, query=host_schemas.SERVICES
        ),
    },
    '/os-hypervisors': {
        'GET': Operation(
            handler=hosts.index_hypervisors,
            rule=hypervisor_rules.LIST,
            query=host_schemas.HYPERVISORS,
        ),
    },
    '/os-hypervisors/detail': {
        'GET': Operation(
            handler=hosts.detail_hypervisors,
            rule=hypervisor_rules.DETAIL,
            query=host_schemas.HYPERVISORS,
        ),
    },
    '/os-hypervisors/statistics': {
        'GET': Operation(handler=hosts.show_statistics, rule=hypervisor_rules.STATISTICS),
    },
    '/os-hypervisors/{hypervisor_id}': {
        'GET': Operation(handler=hosts.show_hypervisor, rule=hypervisor_rules.SHOW),
    },
    '/os-availability-zone': {
        'GET': Operation(handler=hosts.index_zones, rule=zone_rules.LIST),
    },
    '/os-availability-zone/detail': {
        'GET': Operation(handler=hosts.detail_zones, rule=zone_rules.DETAIL),
    },
    '/extensions': {
        'GET': Operation(handler=extensions.index, rule=extension_rules.READ),
    },
    '/extensions/{alias}': {
        'GET': Operation(handler=extensions.show, rule=extension_rules.READ),
    },
}
