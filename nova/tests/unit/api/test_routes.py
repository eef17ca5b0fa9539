"""The route table and the policies agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oslo_policy import policy as oslo_policy
import pytest

from nova.api import policies, routes
from nova.tests.unit.api import doubles

ADMIN, MEMBER, READER, NOBODY = 'admin', 'member', 'reader', 'auditor'

#: The least role that may use each rule of the route table; every other role of the list above
#: it may, too.
LEAST = {
    'os_compute_api:servers:create': MEMBER,
    'os_compute_api:servers:index': READER,
    'os_compute_api:servers:detail': READER,
    'os_compute_api:servers:show': READER,
    'os_compute_api:servers:update': MEMBER,
    'os_compute_api:servers:delete': MEMBER,
    'os_compute_api:os-console-output': MEMBER,
    'os_compute_api:ips:index': READER,
    'os_compute_api:ips:show': READER,
    'os_compute_api:os-attach-interfaces:list': READER,
    'os_compute_api:os-attach-interfaces:show': READER,
    'os_compute_api:os-attach-interfaces:create': MEMBER,
    'os_compute_api:os-attach-interfaces:delete': MEMBER,
    'os_compute_api:os-multinic': MEMBER,
    'os_compute_api:servers:start': MEMBER,
    'os_compute_api:servers:stop': MEMBER,
    'os_compute_api:servers:reboot': MEMBER,
    'os_compute_api:flavors:index': READER,
    'os_compute_api:flavors:detail': READER,
    'os_compute_api:flavors:show': READER,
    'os_compute_api:os-flavor-manage:create': ADMIN,
    'os_compute_api:os-flavor-manage:delete': ADMIN,
    'os_compute_api:os-flavor-extra-specs:index': READER,
    'os_compute_api:os-flavor-extra-specs:show': READER,
    'os_compute_api:os-networks:list': READER,
    'os_compute_api:os-networks:show': READER,
    'os_compute_api:os-networks:create': ADMIN,
    'os_compute_api:os-networks:delete': ADMIN,
    'os_compute_api:os-networks:add': ADMIN,
    'os_compute_api:os-networks-associate:associate_host': ADMIN,
    'os_compute_api:os-networks-associate:disassociate': ADMIN,
    'os_compute_api:os-networks-associate:disassociate_host': ADMIN,
    'os_compute_api:os-networks-associate:disassociate_project': ADMIN,
    'os_compute_api:os-tenant-networks:list': READER,
    'os_compute_api:os-tenant-networks:show': READER,
    'os_compute_api:os-tenant-networks:create': MEMBER,
    'os_compute_api:os-tenant-networks:delete': MEMBER,
    'os_compute_api:os-security-groups:get': READER,
    'os_compute_api:os-security-groups:show': READER,
    'os_compute_api:os-security-groups:create': MEMBER,
    'os_compute_api:os-security-groups:update': MEMBER,
    'os_compute_api:os-security-groups:delete': MEMBER,
    'os_compute_api:os-security-groups:rule:create': MEMBER,
    'os_compute_api:os-security-groups:rule:delete': MEMBER,
    'os_compute_api:os-security-groups:list': READER,
    'os_compute_api:os-security-groups:add': MEMBER,
    'os_compute_api:os-security-groups:remove': MEMBER,
    'os_compute_api:os-floating-ips:list': READER,
    'os_compute_api:os-floating-ips:show': READER,
    'os_compute_api:os-floating-ips:create': MEMBER,
    'os_compute_api:os-floating-ips:delete': MEMBER,
    'os_compute_api:os-floating-ips:add': MEMBER,
    'os_compute_api:os-floating-ips:remove': MEMBER,
    'os_compute_api:os-floating-ip-pools': READER,
    'os_compute_api:os-quota-sets:show': READER,
    'os_compute_api:os-quota-sets:defaults': READER,
    'os_compute_api:os-quota-sets:detail': READER,
    'os_compute_api:os-quota-sets:update': ADMIN,
    'os_compute_api:os-quota-sets:delete': ADMIN,
    'os_compute_api:os-quota-class-sets:show': ADMIN,
    'os_compute_api:os-quota-class-sets:update': ADMIN,
    'os_compute_api:limits': READER,
    'os_compute_api:os-services:list': ADMIN,
    'os_compute_api:os-hypervisors:list': ADMIN,
    'os_compute_api:os-hypervisors:list-detail': ADMIN,
    'os_compute_api:os-hypervisors:show': ADMIN,
    'os_compute_api:os-hypervisors:statistics': ADMIN,
    'os_compute_api:os-availability-zone:list': READER,
    'os_compute_api:os-availability-zone:detail': ADMIN,
    'os_compute_api:extensions': READER,
}
_ORDER = [NOBODY, READER, MEMBER, ADMIN]

#: Path fields of things that exist in the test's cloud.
_FIELDS = {
    'server_id': doubles.server_uuid(1),
    'label': 'net',
    'port_id': doubles.build_vif(0).id,
    'flavor_id': '1',
    'key': 'hw:a',
    'network_id': doubles.network_uuid(1),
    'hypervisor_id': '1',
    'alias': 'servers',
    'security_group_id': doubles.group_uuid(1),
    'rule_id': doubles.rule_uuid(1),
    'floating_ip_id': '1',
    'project_id': doubles.PROJECT,
    'class_name': 'default',
}

_BODIES = {
    'os_compute_api:servers:create': {
        'server': {'name': 'vm', 'imageRef': doubles.IMAGE, 'flavorRef': '1'}
    },
    'os_compute_api:servers:update': {'server': {'name': 'new'}},
    'os_compute_api:os-flavor-manage:create': {
        'flavor': {'name': 'f', 'ram': 1, 'vcpus': 1, 'disk': 1}
    },
    'os_compute_api:os-networks:create': {'network': {'label': 'n', 'cidr': '10.9.0.0/24'}},
    'os_compute_api:os-networks:add': {'id': None},
    'os_compute_api:os-quota-sets:update': {'quota_set': {'cores': 5}},
    'os_compute_api:os-quota-class-sets:update': {'quota_class_set': {'cores': 5}},
    'os_compute_api:os-tenant-networks:create': {'network': {'label': 'n', 'cidr': '10.9.0.0/24'}},
    'os_compute_api:os-console-output': {'os-getConsoleOutput': {}},
    'os_compute_api:os-floating-ips:create': {'pool': 'nova'},
    'os_compute_api:os-security-groups:create': {'security_group': {'name': 'web'}},
    'os_compute_api:os-security-groups:update': {'security_group': {'name': 'web'}},
    'os_compute_api:os-security-groups:rule:create': {
        'security_group_rule': {'parent_group_id': doubles.group_uuid(1)}
    },
    'os_compute_api:os-attach-interfaces:create': {'interfaceAttachment': {'net_id': 'net1'}},
}


def operations() -> Iterator[tuple[str, str, str, routes.Operation]]:
    """Method, path, path as a rule documents it, operation."""
    for path, methods in routes.ROUTES.items():
        for method, found in methods.items():
            if isinstance(found, Mapping):
                for action, operation in found.items():
                    yield method, path, f'{path} ({action})', operation
            else:
                yield method, path, path, found


OPERATIONS = list(operations())

#: The bodies of actions, of which one rule may allow several.
_ACTIONS: dict[str, object] = {
    'os-getConsoleOutput': {},
    'addFixedIp': {'networkId': 'net1'},
    'removeFixedIp': {'address': '10.1.0.7'},
    'addFloatingIp': {'address': '192.0.2.1'},
    'removeFloatingIp': {'address': '192.0.2.1'},
    'associate_host': 'host-1',
    'disassociate': None,
    'disassociate_host': None,
    'disassociate_project': None,
    'os-start': None,
    'os-stop': None,
    'reboot': {'type': 'SOFT'},
    'addSecurityGroup': {'name': 'web'},
    'removeSecurityGroup': {'name': 'web'},
}


def build_body(documented: str, operation: routes.Operation) -> object:
    _, _, action = documented.partition(' ')
    if action:
        name = action.strip('()')
        return {name: _ACTIONS[name]}
    return _BODIES.get(operation.rule)


def test_every_operation_has_a_documented_rule() -> None:
    rules = {rule.name: rule for rule in policies.list_rules()}
    for method, _path, documented, operation in OPERATIONS:
        rule = rules.get(operation.rule)
        assert isinstance(rule, oslo_policy.DocumentedRuleDefault), (method, documented)
        assert {'method': method, 'path': documented} in rule.operations


def test_rules_document_only_what_is_served() -> None:
    served = {(method, documented) for method, _path, documented, _operation in OPERATIONS}
    for rule in policies.list_rules():
        if isinstance(rule, oslo_policy.DocumentedRuleDefault):
            for operation in rule.operations:
                assert (operation['method'], operation['path']) in served, rule.name


def test_rule_names_are_unique() -> None:
    names = [rule.name for rule in policies.list_rules()]
    assert len(names) == len(set(names))


def test_the_matrix_is_complete() -> None:
    assert set(LEAST) == {operation.rule for *_, operation in OPERATIONS}


@pytest.mark.parametrize('role', _ORDER)
@pytest.mark.parametrize(
    ('method', 'path', 'documented', 'operation'),
    OPERATIONS,
    ids=[f'{method}-{documented}' for method, _path, documented, _operation in OPERATIONS],
)
def test_who_may(
    role: str, method: str, path: str, documented: str, operation: routes.Operation
) -> None:
    client = doubles.build_client()
    answer = client.send(
        method, path.format(**_FIELDS), build_body(documented, operation), roles=role
    )
    allowed = _ORDER.index(role) >= _ORDER.index(LEAST[operation.rule])
    if allowed:
        assert answer.status_code == operation.status
    else:
        assert answer.status_code == 403
        assert operation.rule in answer.json['forbidden']['message']


@pytest.mark.parametrize(
    ('method', 'path', 'documented', 'operation'),
    [entry for entry in OPERATIONS if '{server_id}' in entry[1]],
    ids=[f'{entry[0]}-{entry[2]}' for entry in OPERATIONS if '{server_id}' in entry[1]],
)
def test_another_projects_server_is_not_found(
    method: str, path: str, documented: str, operation: routes.Operation
) -> None:
    client = doubles.build_client()
    answer = client.send(
        method,
        path.format(**_FIELDS),
        build_body(documented, operation),
        project='project-z',
    )
    assert answer.status_code == 404
    assert answer.json['itemNotFound']['code'] == 404
    assert client.compute.deleted == []
    assert client.compute.done == []


def test_a_refused_body_of_the_wrong_form_is_still_refused() -> None:
    answer = doubles.build_client().send('POST', '/servers', {'nonsense': 1}, roles=READER)
    assert answer.status_code == 403
