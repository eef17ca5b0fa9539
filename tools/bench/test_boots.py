"""What the firewall adds to the start of a guest: all of the first hop, and on each NIC a group of
its own with 50 rules.

Against the same guest without filters, and with libvirt's filter ``clean-traffic``, which is the
first hop of MAC, ARP and IPv4 only. Needs root. The best of several rounds in turn.
"""

from __future__ import annotations

import json
import os
import pathlib

import pytest

from lab import checkout, libvirtd
from lab.sandbox import Sandbox

_SCRIPT = pathlib.Path(__file__).with_name('boots.py')
ROUNDS = 3
#: Times a start without filters, and times less than ``clean-traffic``.
OVER_NONE, UNDER_CLEAN = 1.25, 10.0
#: The driver for network filters has two families and groups to make rules for, which
#: ``clean-traffic`` has not, and must not take more than this times as long.
FILTERS_OVER_CLEAN = 1.6


def test_the_start_of_a_guest() -> None:
    if os.geteuid() != 0:
        pytest.skip('needs root')
    sandbox = Sandbox(f'bench-{os.getpid()}')
    try:
        sandbox.up()
        libvirtd.start(sandbox)
        command = [checkout.venv_command('python'), '-B', str(_SCRIPT), str(ROUNDS)]
        done = sandbox.run(command, cwd=str(checkout.ROOT), timeout_s=500)
    finally:
        sandbox.down()
    seconds = {name: min(found) for name, found in json.loads(done.stdout).items()}
    none, ours, clean = (seconds[name] for name in ('no filters', 'nftables', 'clean-traffic'))
    print(', '.join(f'{name}: {least:.2f} s' for name, least in seconds.items()))
    print(
        f'{ours / none:.2f} times no filters; clean-traffic takes {clean / ours:.1f} times as long'
    )
    assert ours <= OVER_NONE * none
    assert clean >= UNDER_CLEAN * ours
    for count in ('', ', 1 NIC'):
        filters, theirs = seconds[f'nwfilter{count}'], seconds[f'clean-traffic{count}']
        print(f'nwfilter{count}: {filters / theirs:.2f} times clean-traffic')
        assert filters <= FILTERS_OVER_CLEAN * theirs
