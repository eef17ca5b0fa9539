"""Any rule that the API accepts loads in every driver, and what it does not accept it names.

``NOVA_FIREWALL_EXAMPLES`` multiplies how many are tried.
"""

from __future__ import annotations

import collections
import os
import re
from typing import Any

import hypothesis
from hypothesis import strategies as st
import netaddr
import pytest

from nova.api import microversion
from nova.api.schemas import security_groups as schemas
from nova.db import api as db
from nova.network import security_groups
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import rules
from nova.tests.functional.api.test_servers import Cloud, cloud
from nova.tests.functional.conftest import database, empty_database, local_services
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import World

__all__ = ['cloud', 'database', 'empty_database', 'local_services']

pytestmark = [pytest.mark.root, pytest.mark.usefixtures('database')]

_INSTANCE = 'instance-00000001'
_EXAMPLES = int(os.environ.get('NOVA_FIREWALL_EXAMPLES', '1'))


def _ranges(version: int) -> st.SearchStrategy[str]:
    """With and without bits behind the prefix."""
    bits = 32 if version == 4 else 128
    return st.builds(
        lambda value, length: f'{netaddr.IPAddress(value, version)}/{length}',
        st.integers(0, 2**bits - 1),
        st.integers(0, bits),
    )


_PROTOCOLS = st.one_of(
    st.none(),
    st.sampled_from((*rules.PROTOCOLS, 'TCP', 'any', '', '-1')),
    st.integers(-2, 257),
    st.integers(0, 255).map(str),
    st.text(max_size=16),
)
_PORTS = st.one_of(
    st.none(),
    st.sampled_from((-1, 0, 1, 255, 256, 65535, '22')),
    st.integers(-1, 65535),
    st.integers(0, 99999).map(str),
)
_CIDRS = st.one_of(
    st.none(), _ranges(4), _ranges(6), st.ip_addresses().map(str), st.text(max_size=43)
)
_FIELDS = {
    'parent_group_id',
    'direction',
    'ip_protocol',
    'from_port',
    'to_port',
    'cidr',
    'group_id',
}
_BODIES = st.fixed_dictionaries(
    {},
    optional={
        'direction': st.sampled_from(('ingress', 'egress')),
        'ip_protocol': _PROTOCOLS,
        'from_port': _PORTS,
        'to_port': _PORTS,
        'cidr': _CIDRS,
        'group_id': st.sampled_from((None, '', 'own', 'unknown')),
    },
)
#: Those that are mostly right, of which most are accepted.
_SENSIBLE = st.one_of(
    st.fixed_dictionaries(
        {
            'ip_protocol': st.sampled_from(('tcp', 'udp', 'sctp', 'dccp', 'udplite')),
            'from_port': st.integers(0, 1000),
            'to_port': st.integers(1000, 65535),
            'direction': st.sampled_from(('ingress', 'egress')),
        },
        optional={'cidr': st.one_of(_ranges(4), _ranges(6))},
    ),
    st.fixed_dictionaries(
        {
            'ip_protocol': st.sampled_from(('icmp', 'icmpv6')),
            'from_port': st.integers(0, 255),
            'direction': st.sampled_from(('ingress', 'egress')),
        },
        optional={'to_port': st.integers(0, 255), 'group_id': st.just('own')},
    ),
    st.fixed_dictionaries(
        {'ip_protocol': st.integers(0, 255)},
        optional={
            'cidr': st.one_of(_ranges(4), _ranges(6)),
            'group_id': st.just('own'),
            'direction': st.sampled_from(('ingress', 'egress')),
        },
    ),
)


@pytest.mark.timeout(60 + 240 * _EXAMPLES)
def test_any_rule_that_is_accepted_loads(
    world: World, driver: firewall_driver.FirewallDriver, cloud: Cloud
) -> None:
    """On a NIC that is there, each lot in one go, and no larger than the quota."""
    nic = packets.nic(0)
    world.bridge(nic.bridge)
    counts: collections.Counter[int] = collections.Counter()

    @hypothesis.settings(max_examples=6 * _EXAMPLES, phases=[hypothesis.Phase.generate])
    @hypothesis.given(st.lists(st.one_of(_BODIES, _SENSIBLE), min_size=15, max_size=20))
    def load(bodies: list[dict[str, Any]]) -> None:
        made = cloud.send('POST', '/os-security-groups', {'security_group': {'name': 'any'}})
        group_id = made.json['security_group']['id']
        for body in bodies:
            counts[post(cloud, group_id, body)] += 1
        ruleset = security_groups.build_ruleset(db.security_groups_state({group_id}))
        driver.apply(_INSTANCE, [packets.nic(0, groups=(group_id,))], ruleset)
        assert cloud.send('DELETE', f'/os-security-groups/{group_id}').status_code == 202

    load()
    assert min(counts[200], counts[400]) > 20, counts
    assert set(counts) == {200, 400}


def post(cloud: Cloud, group_id: str, body: dict[str, Any]) -> int:
    """The status; an error has to name a field of the rule."""
    rule = {'parent_group_id': group_id} | body
    if rule.get('group_id') == 'own':
        rule['group_id'] = group_id
    answer = cloud.send('POST', '/os-security-group-rules', {'security_group_rule': rule})
    if answer.status_code != 200:
        text = next(iter(answer.json.values()))['message']
        named = re.match(r'Invalid input for (\w+): ', text)
        assert answer.status_code == 400, (rule, answer.text)
        assert named, (rule, text)
        assert named[1] in _FIELDS or text.endswith('has a rule that says the same.'), (rule, text)
    return int(answer.status_code)


def test_what_is_tried_is_what_the_schema_knows() -> None:
    schema = schemas.rule(microversion.Version(2, 1))
    assert set(schema['properties']['security_group_rule']['properties']) == _FIELDS
