"""One cloud for all tests of the folder that do not need one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import compute
from lab.sandbox import Sandbox
from nova.tests.integration.cloud import clouds
from nova.tests.integration.cloud import two_hosts as pair


def plug_trunk(sandbox: Sandbox) -> None:
    """An interface whose cable leads nowhere."""
    sandbox.run(['ip', 'link', 'add', 'trunk0', 'up', 'type', 'veth', 'peer', 'trunk0-end'])


@pytest.fixture(scope='session')
def cloud() -> Iterator[clouds.Cloud]:
    """A cloud in one process, on SQLite, which has booted a guest on every network before: what a
    first boot leaves for the next ones (cached image, helpers, networks' hosts) is there."""
    options = {'project_ranges': '10.128.0.0/9', 'physical_networks': 'trunk:trunk0'}
    patience = {'detach_timeout_s': str(clouds.DETACH_TIMEOUT_S)}
    settings = compute.Settings(extra={'network': options, 'compute': patience})
    with clouds.running('cloud', settings, prepare=plug_trunk) as sandbox:
        made = clouds.fill(sandbox, settings, list(clouds.NETWORKS))
        with made.booted(list(clouds.NETWORKS)) as server:
            server.console()
        yield made


#: On the two hosts' wires; an untagged wire carries one network.
PAIR_NETWORKS = {
    'across': ('10.71.0.0/24', '--physical-network', 'red'),
    'own': (
        *('10.72.0.0/24', '--physical-network', 'blue', '--multi-host'),
        *('--range-v6', 'fd00:72::/64', '--gateway-v6', 'fd00:72::1'),
    ),
}


@pytest.fixture(scope='session')
def two_hosts() -> Iterator[pair.Cloud]:
    """A cloud of two hosts, either of which has booted a guest before."""
    with pair.running('pair', PAIR_NETWORKS) as made:
        with made.deleted(*made.boot_on_each(['across', 'own'])):
            pass
        yield made
