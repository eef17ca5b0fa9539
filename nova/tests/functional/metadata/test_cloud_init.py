"""cloud-init reads our network_data.json: its own parser and its own renderers, unchanged."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
import pathlib
import subprocess
import sys

import pytest

from nova.metadata import network_data
from nova.network import model
from nova.tests.unit.metadata import samples
from nova.tests.unit.virt import instances

#: Unpacked, not installed, by ``tools/install --tests``.
CLOUD_INIT = pathlib.Path(__file__).parents[4] / '.run/cloud-init/usr/lib/python3/dist-packages'

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


def read_by_cloud_init(info: model.NetworkInfo) -> str:
    if not CLOUD_INIT.is_dir():
        pytest.skip('needs cloud-init: tools/install --tests')
    given = {
        'data': network_data.build_network_data(info),
        'macs': {vif.mac: f'eth{vif.index}' for vif in info},
    }
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', SCRIPT],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, 'PYTHONPATH': str(CLOUD_INIT), 'PYTHONDONTWRITEBYTECODE': '1'},
    )
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


@pytest.mark.parametrize('case', CASES)
def test_what_cloud_init_makes_of_it(golden: Callable[[str, str], None], case: str) -> None:
    golden(f'metadata/cloud-init-{case}.txt', read_by_cloud_init(CASES[case]))
