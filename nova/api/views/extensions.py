"""The parts of the API by the names that they had as extensions of its first version.

Clients and tests look here for what is served; everything is always on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXTENSIONS: Mapping[str, str] = {
    'extensions': 'This list.',
    'flavors': 'Sizes of servers.',
    'ips': 'Addresses of servers.',
    'limits': 'How much the own project may have, and has.',
    'os-attach-interfaces': 'Network interfaces of servers.',
    'os-availability-zone': 'Availability zones.',
    'os-config-drive': 'Configuration drives.',
    'os-console-output': 'The text that a guest wrote to its serial console.',
    'os-extended-availability-zone': 'The availability zone of a server.',
    'os-extended-server-attributes': 'What operators see of a server.',
    'os-extended-status': 'The states of a server.',
    'os-flavor-extra-specs': 'Extra specifications of flavors.',
    'os-flavor-manage': 'Creating and deleting flavors.',
    'os-hypervisors': 'Hosts of servers.',
    'os-multiple-create': 'Creating several servers by one request.',
    'os-networks': 'Networks.',
    'os-networks-associate': 'Projects and hosts of networks.',
    'os-quota-sets': 'How much a project may have.',
    'os-security-groups': 'Security groups.',
    'os-server-usage': 'When a server was launched.',
    'os-services': 'Services of the cloud.',
    'os-tenant-networks': 'Networks that a project may use.',
    'os-user-data': 'Data handed to a guest.',
    'servers': 'Servers.',
    'versions': 'Versions of the API.',
}


def render_extension(alias: str) -> dict[str, Any]:
    """:raises KeyError: there is no such extension."""
    return {
        'alias': alias,
        'name': ''.join(part.capitalize() for part in alias.removeprefix('os-').split('-')),
        'description': EXTENSIONS[alias],
        'namespace': f'http://docs.openstack.org/compute/ext/{alias}/api/v2.1',
        'updated': '2014-12-03T00:00:00Z',
        'links': [],
    }
