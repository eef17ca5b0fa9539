"""Names with characters that mean something to dnsmasq, XML or a shell, at every entrance of the
HTTP API. Those of ``nova-manage`` are judged in the integration tests."""

from __future__ import annotations

from typing import Any

import pytest

from nova.db import api as db
from nova.network import topology
from nova.tests.functional.api import test_servers
from nova.tests.functional.api.test_servers import Cloud

pytestmark = pytest.mark.usefixtures('database')
cloud = test_servers.cloud

ODD = [
    'a\nb',
    'a,b',
    'a"b',
    "a'b",
    'a#b',
    'a\x00b',
    'a\u2028b',
    'n\u00e4t',
    ' a',
    '',
    '-a',
    'a' * 256,
]


def refused(cloud: Cloud, path: str, body: dict[str, Any], field: str) -> None:
    answer = cloud.send('POST', path, body, roles='admin')
    assert answer.status_code == 400, (path, body)
    assert field in answer.json['badRequest']['message']


def test_names_that_would_mean_something(cloud: Cloud) -> None:
    before = db.network_list()
    for label in ODD:
        body = {'network': {'label': label, 'cidr': '10.77.0.0/24'}}
        for path in ('/os-networks', '/os-tenant-networks'):
            refused(cloud, path, body, 'label')
    fields = ('bridge', 'physical_network', 'project_id', 'gateway', 'dhcp_server', 'dns1')
    for field in fields:
        for value in ODD:
            body = {'network': {'label': 'n', 'cidr': '10.77.0.0/24', field: value}}
            refused(cloud, '/os-networks', body, 'dns' if field == 'dns1' else field)
    assert db.network_list() == before


def test_names_that_no_server_may_have(cloud: Cloud) -> None:
    required = {'imageRef': cloud.image_id, 'flavorRef': 'id-of-small'}
    for name in ('a\nb', 'a\rb', 'a\x00b', 'a\x1bb', 'a\u2028b', ' a', ''):
        refused(cloud, '/servers', {'server': {**required, 'name': name}}, 'name')
    for field in ('hostname', 'OS-EXT-SRV-ATTR:hostname', 'domain'):
        refused(cloud, '/servers', {'server': {**required, 'name': 'n', field: 'web'}}, field)


NAMES = {
    'my, "server" #1': 'my-server-1',
    'n\u00e4t\u4e2d': 'nat',
    "x'; reboot": 'x-reboot',
    'Web.Example': 'web-example',
    'tag:set,10.0.0.1': 'tag-set-10-0-0-1',
}


def test_the_host_names_of_servers_of_any_name(cloud: Cloud) -> None:
    """A server may be called what its user likes. DHCP is told a DNS label."""
    for name, hostname in NAMES.items():
        shown = cloud.boot(name=name, networks=[{'uuid': cloud.first.uuid}])
        assert shown['name'] == name
        (vif,) = db.vifs_of_instances([shown['id']])[shown['id']]
        assert vif.hostname == hostname
    (served,) = plan(cloud, 'novalocal').networks
    assert [r.hostname for r in served.dhcp.reservations] == list(NAMES.values())


def plan(cloud: Cloud, domain: str) -> topology.HostState:
    """What the host of the first network wants."""
    network = db.network_get(cloud.first.uuid)
    options = topology.HostOptions(
        host=str(network.host), run_path='/run', dhcp_domain=domain, dhcp_lease_time_s=600
    )
    return topology.plan_host([network], db.vifs_of_networks([network.uuid]), options)


def test_a_domain_that_is_none(cloud: Cloud) -> None:
    """The operator's; no network is served under it, and dnsmasq is told nothing."""
    cloud.boot(networks=[{'uuid': cloud.first.uuid}])
    for domain in ('a\nb', 'a,b', 'a"b', 'n\u00e4t', 'a..b', ''):
        state = plan(cloud, domain)
        assert state.networks == ()
        ((uuid, reason),) = state.impossible
        assert (uuid, 'domain' in reason) == (cloud.first.uuid, True)
