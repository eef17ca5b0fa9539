"""cloud-init reads our network_data.json: its own parser and its own renderers, unchanged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nova.tests.functional.metadata import cloud_init
from nova.tests.unit.metadata import samples
from nova.tests.unit.virt import instances

#: Reads ``{"data": network_data.json, "macs": {mac: name}}``; writes what each renderer wrote.
SCRIPT = """
import json, pathlib, sys, tempfile
from cloudinit.net import netplan, network_state, networkd
from cloudinit.sources.helpers import openstack
given = json.load(sys.stdin)
config = openstack.convert_net_json(given['data'], known_macs=given['macs'])
state = network_state.parse_net_config_data(config)
for renderer in (netplan.Renderer({'netplan_path': 'netplan.yaml'}), networkd.Renderer()):
    with tempfile.TemporaryDirectory() as folder:
        renderer.render_network_state(state, target=folder)
        for path in sorted(pathlib.Path(folder).rglob('*')):
            if path.is_file():
                print('==', path.relative_to(folder))
                print(path.read_text())
"""

CASES = {
    'static-1': samples.make_flat(1),
    'static-2': samples.make_flat(2),
    'static-3': samples.make_flat(3),
    'static-8': samples.make_flat(8),
    'dhcp-2': instances.make_network_info(2),
    'mixed': samples.make_mixed(),
    'announced': samples.make_announced(),
}


@pytest.mark.parametrize('case', CASES)
def test_what_cloud_init_makes_of_it(golden: Callable[[str, str], None], case: str) -> None:
    text = cloud_init.run(SCRIPT, cloud_init.build_given(CASES[case]))
    golden(f'metadata/cloud-init-{case}.txt', text)
