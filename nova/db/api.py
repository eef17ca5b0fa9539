"""All that the rest of the project may ask of the database.

Each function is one transaction; values go in and frozen records come out.
"""

from nova.db.flavors import (
    flavor_create,
    flavor_delete,
    flavor_get,
    flavor_list,
)
from nova.db.hosts import (
    compute_node_get,
    compute_node_list,
    compute_node_report,
    instance_claim,
    service_list,
    service_report,
)
from nova.db.instances import (
    ANY,
    instance_create,
    instance_destroy,
    instance_get,
    instance_list,
    instance_set_fault,
    instance_update,
)
from nova.db.networks import (
    instance_uuid_by_address,
    network_claim_host,
    network_create,
    network_delete,
    network_get,
    network_list,
    vifs_allocate,
    vifs_deallocate,
    vifs_of_instances,
    vifs_of_networks,
)
from nova.db.security_groups import (
    DEFAULT as DEFAULT_SECURITY_GROUP,
)
from nova.db.security_groups import (
    security_group_create,
    security_group_default,
    security_group_delete,
    security_group_get,
    security_group_hosts,
    security_group_join,
    security_group_leave,
    security_group_list,
    security_group_of_rule,
    security_group_rule_create,
    security_group_rule_delete,
    security_group_update,
    security_groups_state,
    vifs_set_firewall_revision,
)

__all__ = [
    'ANY',
    'DEFAULT_SECURITY_GROUP',
    'compute_node_get',
    'compute_node_list',
    'compute_node_report',
    'flavor_create',
    'flavor_delete',
    'flavor_get',
    'flavor_list',
    'instance_claim',
    'instance_create',
    'instance_destroy',
    'instance_get',
    'instance_list',
    'instance_set_fault',
    'instance_update',
    'instance_uuid_by_address',
    'network_claim_host',
    'network_create',
    'network_delete',
    'network_get',
    'network_list',
    'security_group_create',
    'security_group_default',
    'security_group_delete',
    'security_group_get',
    'security_group_hosts',
    'security_group_join',
    'security_group_leave',
    'security_group_list',
    'security_group_of_rule',
    'security_group_rule_create',
    'security_group_rule_delete',
    'security_group_update',
    'security_groups_state',
    'service_list',
    'service_report',
    'vifs_allocate',
    'vifs_deallocate',
    'vifs_of_instances',
    'vifs_of_networks',
    'vifs_set_firewall_revision',
]
