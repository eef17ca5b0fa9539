"""What the last NICs of a real guest cost to attach and detach, against the first ones.

Needs root; it works in a sandbox host. Time is that of the wall, since libvirt, QEMU and the guest
work in other processes; each side is the median of several, in one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import os
import statistics
import time

import pytest

from bench.figures import Figures
from lab import compute
from nova.tests.integration.cloud import clouds

#: A guest with one NIC gets so many more; there is room for 16.
NICS = 15
#: How many at either end are compared.
SEVERAL = 5
#: The cost must not grow with the number of NICs; what is allowed is the machine's noise.
LIMIT = 2.0


@pytest.fixture
def cloud() -> Iterator[clouds.Cloud]:
    if os.geteuid() != 0:
        pytest.skip('needs root')
    settings = compute.Settings()
    with clouds.running('bench-plugging', settings) as sandbox:
        yield clouds.fill(sandbox, settings, ['net-a', 'net-c'])


def attach(server: clouds.Server) -> float:
    """Seconds."""
    start = time.monotonic()
    server.attach(net_id='net-c')
    return time.monotonic() - start


def detach(server: clouds.Server) -> float:
    """Seconds until the last NIC is gone from the guest."""
    *others, last = [nic['port_id'] for nic in server.interfaces()]
    start = time.monotonic()
    server.detach(last)
    server.wait_ports(*others)
    return time.monotonic() - start


def compare(figures: Figures, what: str, seconds: Sequence[float]) -> None:
    """The last ones' median over that of the first ones."""
    first, last = statistics.median(seconds[:SEVERAL]), statistics.median(seconds[-SEVERAL:])
    figures.compare(
        f'{what} of the last {SEVERAL} of {NICS} NICs over the first', last, first, LIMIT
    )


@pytest.mark.timeout(600)
def test_the_last_nics_cost_no_more_than_the_first(cloud: clouds.Cloud, figures: Figures) -> None:
    # net-a's and net-c's DHCP servers are there before anything is measured
    with (
        cloud.booted(['net-a', 'net-c'], name='neighbour'),
        cloud.booted(['net-a']) as server,
        cloud.console(server),
    ):
        attached = [attach(server) for _ in range(NICS)]
        detached = [detach(server) for _ in range(NICS)]
    compare(figures, 'attach', attached)
    compare(figures, 'detach', detached[::-1])
