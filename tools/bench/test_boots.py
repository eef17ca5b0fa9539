"""What the firewall adds to the start of a guest: all of the first hop, and on each NIC a group of
its own with 50 rules.

Against the same guest without filters, and with libvirt's filter ``clean-traffic``, which is the
first hop of MAC, ARP and IPv4 only. Needs root. Time is that of the wall, the best of several
rounds in turn; what takes little is done several times in each, since a start that takes half a
second now and then takes a tenth more.
"""

from __future__ import annotations

import json
import os
import pathlib

import pytest

from bench.figures import Figures
from lab import checkout, libvirtd
from lab.sandbox import Sandbox

_SCRIPT = pathlib.Path(__file__).with_name('boots.py')
ROUNDS, TIMES = 2, 5
#: Times a start without filters, and times less than ``clean-traffic``.
OVER_NONE, UNDER_CLEAN = 1.25, 10.0
#: The driver for network filters has two families and groups to make rules for, which
#: ``clean-traffic`` has not.
FILTERS_OVER_CLEAN = 1.6


@pytest.mark.timeout(900)
def test_the_start_of_a_guest(figures: Figures) -> None:
    if os.geteuid() != 0:
        pytest.skip('needs root')
    sandbox = Sandbox(f'bench-{os.getpid()}')
    try:
        sandbox.up()
        libvirtd.start(sandbox)
        command = [checkout.venv_command('python'), '-B', str(_SCRIPT), str(ROUNDS), str(TIMES)]
        done = sandbox.run(command, cwd=str(checkout.ROOT), timeout_s=800)
    finally:
        sandbox.down()
    least = {name: min(found) for name, found in json.loads(done.stdout).items()}
    what = 'start of a guest with 8 NICs: {} over {}'
    for name in ('nftables', 'iptables'):
        for other, at_most in (('no filters', OVER_NONE), ('clean-traffic', 1 / UNDER_CLEAN)):
            figures.compare(what.format(name, other), least[name], least[other], at_most)
    for other, most in (('no filters', None), ('clean-traffic', FILTERS_OVER_CLEAN)):
        figures.compare(what.format('nwfilter', other), least['nwfilter'], least[other], most)
    figures.compare(
        'start of a guest with 1 NIC: nwfilter over clean-traffic',
        least['nwfilter, 1 NIC'],
        least['clean-traffic, 1 NIC'],
        FILTERS_OVER_CLEAN,
    )
