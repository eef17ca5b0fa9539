"""The privileged helper as the services start it: its capabilities are enough, and no more."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from nova.tests.integration.network.conftest import Host

_PROGRAM = """
if PATCHED:
    import eventlet
    eventlet.monkey_patch()
import json, pathlib, sys, time
import nova.conf
from nova import privileged
from nova.network import topology
from nova.network.linux import bridge, dnsmasq, host
from nova.privileged import files, link
from nova.tests.unit.network import samples

nova.conf.CONF(['--config-file', sys.argv[1]], project='nova')
privileged.configure(nova.conf.CONF)
run_path = nova.conf.CONF.run_path
console = pathlib.Path(privileged.instances_path(), 'a', 'console.log')
console.parent.mkdir(parents=True)
console.write_text('booted')
console.chmod(0o000)
console.parent.chmod(0o000)

networks = host.HostNetworks(run_path)
net = samples.network(0)
nic = samples.vif(1, net)
options = samples.options(run_path)
state = samples.state(options, nic, networks=(net,))
failed = networks.apply(state)
folder = f'{run_path}/networks/{net.uuid}'
status = {}
pids = pathlib.Path('/proc').glob('[0-9]*/status')
for path in pids:
    try:
        text = path.read_text()
        line = (path.parent / 'cmdline').read_bytes().decode()
    except OSError:
        continue
    if 'privsep-helper' in line and run_path in line:
        context = line.split('--privsep_context')[1].split(chr(0))[1]
        caps = [x.split()[1] for x in text.splitlines() if x.startswith('CapEff')]
        status[context] = caps[0]

def timed(function, times=20):
    best = 1e9
    for _ in range(times):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return round(best * 1000, 3)

result = {
    'failed': {uuid: error.message for uuid, error in failed.items()},
    'pid': dnsmasq.server_pid(folder) is not None,
    'console': files.read_tail(str(console), 3).decode(),
    'apply_again_ms': timed(lambda: networks.apply(state)),
    'ensure_bridge_ms': timed(lambda: bridge.ensure_bridges([state.networks[0].link])),
    'caps': status,
}
files.remove(str(console))
result['failed again'] = {u: e.message for u, e in networks.apply(topology.HostState()).items()}
result['left'] = sorted(p.name for p in pathlib.Path(run_path, 'networks').iterdir())
print(json.dumps(result))
"""


def run_program(host: Host, *, patched: bool) -> dict[str, Any]:
    config = host.run_path / 'nova.conf'
    state_path = host.run_path / 'state'
    config.write_text(f'[DEFAULT]\nrun_path = {host.run_path}\nstate_path = {state_path}\n')
    done = subprocess.run(
        [sys.executable, '-c', f'PATCHED = {patched}\n{_PROGRAM}', str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, 'PYTHONPATH': str(pathlib.Path(__file__).parents[4])},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize('patched', [False, True], ids=['plain', 'eventlet'])
def test_the_helper_can_do_all_that_is_asked_of_it(host: Host, patched: bool) -> None:
    found = run_program(host, patched=patched)

    print({key: value for key, value in found.items() if key.endswith('_ms')})
    assert found['failed'] == {}
    assert found['pid'] is True
    assert found['console'] == 'ted'
    assert found['failed again'] == {}
    assert found['left'] == []
    assert set(host.links()) == {'lo'}
    # CAP_KILL, CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW: linux/capability.h
    assert int(found['caps']['nova.privileged.network'], 16) == 0b11_0100_0010_0000
