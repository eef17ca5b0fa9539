"""Connections that the kernel is to forget, put there by conntrack itself."""

from __future__ import annotations

import pytest

from nova.network.firewall import flows
from nova.privileged import conntrack
from nova.tests.integration.firewall.conftest import World, run

pytestmark = pytest.mark.root

_KINDS = {
    'tcp': ('-p', 'tcp', '--sport', '4000', '--dport', '22', '--state', 'ESTABLISHED'),
    'udp': ('-p', 'udp', '--sport', '4000', '--dport', '53'),
    'sctp': (
        *('-p', 'sctp', '--sport', '4000', '--dport', '53', '--state', 'ESTABLISHED'),
        *('--orig-vtag', '1', '--reply-vtag', '2'),
    ),
    'icmp': ('-p', 'icmp', '--icmp-type', '8', '--icmp-code', '0', '--icmp-id', '7'),
    'icmpv6': ('-p', 'icmpv6', '--icmpv6-type', '128', '--icmpv6-code', '0', '--icmpv6-id', '7'),
    'gre': ('-p', 'gre', '--srckey', '1', '--dstkey', '2'),
    'ospf': ('-p', '89'),
}


def insert(version: int, kind: str, source: int, zone: int) -> None:
    ends = (f'10.0.0.{source}', '10.0.0.9') if version == 4 else (f'fd00::{source}', 'fd00::9')
    where = ('-s', ends[0], '-d', ends[1], '-w', str(zone), '-t', '300')
    run('conntrack', '-I', *where, *_KINDS[kind])


@pytest.mark.parametrize(
    ('version', 'kind'),
    [
        *((4, kind) for kind in ('tcp', 'udp', 'sctp', 'icmp', 'gre', 'ospf')),
        *((6, kind) for kind in ('tcp', 'udp', 'icmpv6')),
    ],
)
def test_exactly_these_are_forgotten(world: World, version: int, kind: str) -> None:
    """Others stay: from another source, in another zone, and of the other family."""
    run('nft', 'add', 'table', 'inet', 'any')
    run('nft', 'add', 'chain', 'inet', 'any', 'c', '{ type filter hook input priority 0; }')
    run('nft', 'add', 'rule', 'inet', 'any', 'c', 'ct', 'state', 'new', 'accept')
    for source, zone in ((1, 7), (2, 7), (1, 8), (1, 0)):
        insert(version, kind, source, zone)
    insert(10 - version, 'tcp', 1, 7)
    known = list(flows.parse_connections(conntrack.flows()))
    assert sorted(one.flow.version for one in known) == sorted([version] * 4 + [10 - version])
    gone = [
        one
        for one in known
        if one.zone in (0, 7) and one.flow.source.endswith('1') and one.flow.version == version
    ]
    assert len(gone) == 2
    for _time in range(2):  # what is gone already is no error
        conntrack.forget(version, [(one.zone, one.values) for one in gone])
        left = list(flows.parse_connections(conntrack.flows()))
        assert {(one.zone, one.values) for one in left} == {
            (one.zone, one.values) for one in known if one not in gone
        }
