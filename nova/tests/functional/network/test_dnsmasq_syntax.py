"""Whatever the API lets in, dnsmasq takes."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
import pytest

from nova import exception
from nova.api import microversion, validation
from nova.api.handlers import networks as handlers
from nova.api.schemas import networks as schemas
from nova.compute import names as compute_names
from nova.db import records
from nova.network import dhcp, network_spec, topology
from nova.tests.unit.network import samples

DNSMASQ = shutil.which('dnsmasq', path=f'{os.environ.get("PATH", "")}:/usr/sbin:/sbin')
SCHEMA = schemas.create(microversion.MAX)
UUID = '5d2c7c1e-6f57-4a3d-9f1b-0c5f7a9e2b11'

pytestmark = pytest.mark.skipif(DNSMASQ is None, reason='needs dnsmasq')


#: What people write only to see what happens.
ODD = st.one_of(
    st.text(max_size=20),
    st.sampled_from(['a\nb', 'a,b', '#', '"', 'tag:x', '10.9.0.5\nport=53', '[fd00::1]', '0x0']),
    st.integers(-1, 70000),
)


def host(version: int) -> st.SearchStrategy[str]:
    prefix = '10.9.0.' if version == 4 else 'fd00:9::'
    return st.integers(1, 254).map(lambda number: f'{prefix}{number}')


LABEL = st.from_regex(r'[A-Za-z0-9][A-Za-z0-9 ._-]{0,40}', fullmatch=True)
USUAL = st.fixed_dictionaries(
    {'label': LABEL, 'cidr': st.sampled_from(['10.9.0.0/24', '10.9.0.0/16', None])},
    optional={
        'cidr_v6': st.just('fd00:9::/64'),
        'kind': st.sampled_from(['flat_dhcp', 'vlan']),
        'gateway': st.one_of(host(4), st.just('none')),
        'gateway_v6': st.one_of(host(6), st.just('none')),
        'ipv6_mode': st.sampled_from(['slaac', 'stateless', 'stateful']),
        'dhcp_server': host(4),
        'dns': st.lists(st.one_of(host(4), host(6)), max_size=3),
        'routes': st.lists(
            st.sampled_from(['192.0.2.0/24,10.9.0.7', '2001:db8::/32,fd00:9::7']), max_size=3
        ),
        'bridge': st.from_regex(r'[a-z][a-z0-9._-]{0,14}', fullmatch=True),
        'physical_network': st.from_regex(r'[a-z][a-z0-9._-]{0,20}', fullmatch=True),
        'vlan': st.integers(1, 4094),
        'mtu': st.integers(1280, 9000),
        'fixed_cidr': st.just('10.9.0.64/26'),
    },
)
FIELDS = [
    'label',
    'cidr',
    'cidr_v6',
    'gateway',
    'dhcp_server',
    'dns1',
    'bridge',
    'mtu',
    'ipv6_mode',
]
#: Every second one has an odd value.
BODY = st.builds(
    lambda usual, odd: usual | odd,
    USUAL,
    st.one_of(st.just({}), st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=1)),
)


def plan(body: dict[str, Any]) -> records.Network:
    """The network that a request makes.

    :raises InvalidInput: it makes none.
    """
    validation.check_text(body)
    validation.check_body(SCHEMA, {'network': body})
    planned = network_spec.plan_network(handlers.parse_spec(body), UUID).network
    values = {name: getattr(planned, name) for name in planned.__dataclass_fields__}
    return samples.network(9, **values)


def render(network: records.Network, folder: pathlib.Path, server_names: list[str]) -> str:
    nics = [
        samples.vif(
            number,
            network,
            addresses=tuple(
                address
                for address in (f'10.9.0.{100 + number}', f'fd00:9::{100 + number}')
                if (network.cidr if '.' in address else network.cidr_v6) is not None
            ),
            hostname=compute_names.build_hostname(name, UUID),
        )
        for number, name in enumerate(server_names)
    ]
    options = samples.options(
        str(folder), physical_networks={str(network.physical_network): 'eth1'}
    )
    state = topology.plan_host([network], {network.uuid: tuple(nics)}, options)
    assert state.impossible == ()
    (served,) = state.networks
    hosts = [f'dhcp-host={line}' for line in dhcp.render_hosts(served.dhcp.reservations)]
    pathlib.Path(served.dhcp.folder, dhcp.HOSTS_FOLDER).mkdir(parents=True, exist_ok=True)
    return '\n'.join([dhcp.render_config(served.dhcp), *hosts])


def check(text: str) -> subprocess.CompletedProcess[str]:
    command = [str(DNSMASQ), '--test', '--conf-file=-']
    return subprocess.run(command, input=text, text=True, capture_output=True, check=False)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=BODY, server_names=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=3))
def test_dnsmasq_takes_whatever_the_api_lets_in(
    body: dict[str, Any], server_names: list[str], tmp_path: pathlib.Path
) -> None:
    try:
        network = plan(body)
    except exception.InvalidInput as exc:
        event(f'refused for {exc.kwargs["field"]}')
        return
    event('accepted')
    text = render(network, tmp_path, server_names)
    done = check(text)
    assert (done.returncode, done.stderr.strip()) == (0, 'dnsmasq: syntax check OK.'), text


def test_the_judge_says_no() -> None:
    assert check('dhcp-range=10.9.0.0,static,255.255.255.0,nonsense\n').returncode != 0
    assert check('dhcp-host=fa:16:3e:00:00:01,10.9.0.5,a b c d,x\n').returncode != 0
