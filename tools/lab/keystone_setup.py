"""Fill an empty Keystone in one process: schema, keys, bootstrap, catalog, users.

Run by the Python environment's interpreter with two arguments: the path of ``keystone.conf``,
and a JSON object with the keys

    admin_password   of the user "admin" in the project "admin"
    url              of Keystone itself, ending in /v3
    region           the only region
    services         [[type, name, url], ...]
    users            [[name, password, project, [role, ...]], ...]; projects are made as needed

Keystone's own commands and clients would take half a minute for the same.  Its modules are
imported by name and late: importing them reads the command line.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any
import uuid
import warnings


def make_keys(conf: Any) -> None:
    """The key repositories of tokens and credentials."""
    fernet_utils = importlib.import_module('keystone.common.fernet_utils')
    for group, namespace in (('fernet_tokens', 'fernet_tokens'), ('credential', 'credential')):
        repository = getattr(conf, group).key_repository
        os.makedirs(repository, mode=0o700, exist_ok=True)
        keys = fernet_utils.FernetUtils(repository, 3, namespace)
        keys.create_key_directory()
        if keys.validate_key_repository(requires_write=True):
            keys.initialize_key_repository(None, None)


def bootstrap(wanted: dict[str, Any]) -> None:
    """The administrator, the usual roles, and Keystone's own catalog entry."""
    boot = importlib.import_module('keystone.cmd.bootstrap').Bootstrapper()
    boot.admin_username = boot.project_name = boot.admin_role_name = 'admin'
    boot.admin_password = wanted['admin_password']
    boot.service_name = 'keystone'
    boot.region_id = wanted['region']
    boot.immutable_roles = True
    boot.public_url = boot.internal_url = boot.admin_url = wanted['url']
    boot.bootstrap()


def add_service(api: Any, region: str, kind: str, name: str, url: str) -> None:
    service = uuid.uuid4().hex
    api.catalog_api.create_service(
        service, {'id': service, 'type': kind, 'name': name, 'enabled': True}
    )
    for interface in ('public', 'internal', 'admin'):
        endpoint = {
            'id': uuid.uuid4().hex,
            'service_id': service,
            'interface': interface,
            'url': url,
            'region_id': region,
            'enabled': True,
        }
        api.catalog_api.create_endpoint(endpoint['id'], endpoint)


def find_or_add_project(api: Any, name: str) -> str:
    for project in api.resource_api.list_projects_in_domain('default'):
        if project['name'] == name:
            return str(project['id'])
    new = uuid.uuid4().hex
    values = {'id': new, 'name': name, 'domain_id': 'default', 'enabled': True}
    api.resource_api.create_project(
        new, values | {'description': '', 'is_domain': False, 'parent_id': 'default'}
    )
    return new


def add_user(api: Any, name: str, password: str, project: str, roles: list[str]) -> None:
    user = api.identity_api.create_user(
        {'name': name, 'domain_id': 'default', 'password': password, 'enabled': True}
    )
    known = {role['name']: role['id'] for role in api.role_api.list_roles()}
    project_id = find_or_add_project(api, project)
    for role in roles:
        api.assignment_api.create_grant(known[role], user_id=user['id'], project_id=project_id)


def main() -> None:
    warnings.simplefilter('ignore')
    path, text = sys.argv[1:]
    sys.argv = ['keystone']  # importing Keystone's server parses the command line
    importlib.import_module('keystone.server').configure(config_files=[path])
    conf = importlib.import_module('keystone.conf').CONF
    api = importlib.import_module('keystone.common.provider_api').ProviderAPIs
    upgrades = importlib.import_module('keystone.common.sql.upgrades')
    wanted = json.loads(text)
    upgrades.offline_sync_database_to_version()
    make_keys(conf)
    bootstrap(wanted)
    for kind, name, url in wanted['services']:
        add_service(api, wanted['region'], kind, name, url)
    for name, password, project, roles in wanted['users']:
        add_user(api, name, password, project, roles)


if __name__ == '__main__':
    main()
