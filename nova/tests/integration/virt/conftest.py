"""A sandbox host with libvirtd, bridges with DHCP servers, and the driver working in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from lab import checkout, compute, guest_image, libvirtd
from lab.sandbox import Sandbox, end
from nova.tests.integration.virt import inside

BRIDGES = 3
DNSMASQ = """\
exec dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --no-hosts --no-resolv \\
  --interface=br10$0 --bind-interfaces --except-interface=lo --leasefile-ro --log-facility=- \\
  --listen-address=10.$0.0.2 --dhcp-range=10.$0.0.2,static --dhcp-host=fa:16:3e:01:00:0$0,10.$0.0.10
"""


class Bench:
    """The host under test."""

    def __init__(self, sandbox: Sandbox, image: str) -> None:
        self.sandbox = sandbox
        self._image = image
        python = checkout.venv_command('python')
        self._driver = sandbox.popen([python, '-B', '-m', inside.__name__], user=compute.USER)

    def call(self, name: str, **request: Any) -> Any:
        """The result of one call of the driver; see ``inside.py``."""
        outcome = self.outcome(name, **request)
        assert 'error' not in outcome, outcome
        return outcome['result']

    def outcome(self, name: str, **request: Any) -> dict[str, Any]:
        """What one call of the driver printed, failed or not."""
        request = {'call': name, 'image': self._image, **request}
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(request) + '\n')
        self._driver.stdin.flush()
        printed = ''
        for line in self._driver.stdout:
            if line.startswith(inside.OUTCOME):
                return dict(json.loads(line.removeprefix(inside.OUTCOME)))
            printed += line
        raise AssertionError(f'the driver ended at {request}:\n{printed}')

    def close(self) -> None:
        """End the driver's process."""
        end(self._driver)

    def shell(self, script: str) -> str:
        """What a shell script prints as root."""
        return self.sandbox.output('/bin/sh', '-c', script)

    def virsh(self, *arguments: str) -> str:
        return libvirtd.virsh(self.sandbox, *arguments)

    @contextlib.contextmanager
    def frames(self, action: str, device: str) -> Iterator[subprocess.Popen[str]]:
        """``frames.py`` at work."""
        script = checkout.ROOT / 'nova/tests/integration/virt/frames.py'
        process = self.sandbox.popen(
            [checkout.venv_command('python'), '-B', str(script), action, device]
        )
        try:
            yield process
        finally:
            end(process)

    def traces(self) -> dict[str, list[str]]:
        """What guests of ours have on the host; all empty when there are none."""
        return {
            'domains': self.virsh('list', '--all', '--name').split(),
            'filters': [
                word for word in self.virsh('nwfilter-list').split() if 'nova-instance' in word
            ],
            'bindings': self.virsh('nwfilter-binding-list').split(),
            'rules': [
                line for line in self.shell('ebtables -t nat -L').splitlines() if 'tap' in line
            ],
            'taps': [line for line in self.shell('ip -o link').splitlines() if ' tap' in line],
            'folders': self.shell('ls /var/lib/nova/instances').split(),
            'processes': self.shell('pgrep qemu-system || :').split(),
        }


_KINDS = ('domains', 'filters', 'bindings', 'rules', 'taps', 'folders', 'processes')
NOTHING: dict[str, list[str]] = {kind: [] for kind in _KINDS}


@pytest.fixture(scope='module')
def bench(worker_id: str) -> Iterator[Bench]:
    if os.geteuid() != 0:
        pytest.skip('sandboxes need root')
    for program in ('libvirtd', 'virtlogd', 'qemu-system-x86_64', 'ebtables', 'dnsmasq'):
        if shutil.which(program) is None:
            pytest.skip(f'{program} is not installed')
    image = str(guest_image.build())
    sandbox = Sandbox(f'virt-{worker_id}')
    sandbox.down()
    sandbox.up()
    try:
        libvirtd.start(sandbox)
        compute.prepare_host(sandbox)
        for index in range(BRIDGES):
            _add_bridge(sandbox, index)
        made = Bench(sandbox, image)
        try:
            made.call('init')
            yield made
        finally:
            made.close()
    finally:
        sandbox.down()


def _add_bridge(sandbox: Sandbox, index: int) -> None:
    name = f'br10{index}'
    for words in (
        f'link add {name} type bridge forward_delay 0',
        f'link set {name} up',
        # dnsmasq answers from the first address.
        f'addr add 10.{index}.0.2/24 dev {name}',
        f'addr add 10.{index}.0.1/24 dev {name}',
    ):
        sandbox.output('ip', *words.split())
    sandbox.spawn(['/bin/sh', '-c', DNSMASQ, str(index)], f'/var/log/dnsmasq-{name}.log')


@pytest.fixture(scope='session')
def worker_id(request: pytest.FixtureRequest) -> str:
    """The worker of pytest-xdist, each of which has its own sandbox."""
    return str(getattr(request.config, 'workerinput', {'workerid': 'main'})['workerid'])


@pytest.fixture
def clean(bench: Bench) -> Iterator[Callable[[], dict[str, list[str]]]]:
    """A host without guests, before and after; gives the function that tells what is there."""
    assert bench.traces() == NOTHING
    yield bench.traces
    for name in bench.virsh('list', '--all', '--name').split():
        bench.call('destroy', number=int(name.removeprefix('instance-'), 16))
