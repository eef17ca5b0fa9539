"""A cloud whose firewall is nftables, with a real guest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import compute
from nova.tests.integration.cloud import clouds, test_spoof

LABELS = ('net-a', 'net-b')


@pytest.fixture(scope='module')
def cloud() -> Iterator[clouds.Cloud]:
    settings = compute.Settings(extra={'firewall': {'driver': 'nftables'}})
    with clouds.running('nft', settings) as sandbox:
        made = clouds.fill(sandbox, settings, LABELS)
        with made.booted(LABELS) as server:
            server.console()
        yield made


def tables(cloud: clouds.Cloud) -> str:
    """Our tables, with handles, which are new for whatever is made anew."""
    script = 'nft -a -s list table bridge nova; nft -a -s list table inet nova'
    return cloud.sandbox.output('/bin/sh', '-c', script)


def test_a_guest_sends_only_as_itself(cloud: clouds.Cloud) -> None:
    """It has its leases, and libvirt has made no filters."""
    test_spoof.test_a_guest_sends_only_as_itself(cloud)


def test_rules_come_before_the_guest_and_go_after_it(cloud: clouds.Cloud) -> None:
    assert '"tap' not in tables(cloud).replace('"tap*"', '')
    with cloud.booted(LABELS) as server:
        server.report()
        xml = cloud.sandbox.output('virsh', 'dumpxml', server.domain)
        assert 'filterref' not in xml
        shown = tables(cloud)
        for nic in server.interfaces():
            assert f'tap{nic["port_id"].replace("-", "")[:12]}' in shown
            assert nic['mac_addr'] in shown
    assert '"tap' not in tables(cloud).replace('"tap*"', '')
