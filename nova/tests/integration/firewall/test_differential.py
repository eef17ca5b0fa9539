"""Random groups, NICs and frames: the kernel does what the interpreter says.

``NOVA_FIREWALL_EXAMPLES`` multiplies how many are tried.
"""

from __future__ import annotations

import dataclasses
import os
import random
import time

import pytest
from scapy.layers import inet, inet6, l2
from scapy.packet import Packet

from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import interpreter, rules
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import Case, World

pytestmark = pytest.mark.root

_EXAMPLES = int(os.environ.get('NOVA_FIREWALL_EXAMPLES', '1'))
_SEED = int(os.environ.get('NOVA_FIREWALL_SEED', '20'))
_SECONDS = 20 * _EXAMPLES
_ROUNDS = 60 * _EXAMPLES
_LEAST_ROUNDS = 10 * _EXAMPLES
_PROTOCOLS = ('tcp', 'udp', 'icmp', 'icmpv6', 'sctp', 'gre', None)
#: What a NIC may have, and nobody else has.
_OWN_V4, _OWN_V6 = ('10.0.0.10', '10.0.0.77'), ('2001:db8:1::a', '2001:db8:1::4d')
_PEER_V4, _PEER_V6 = ('10.0.0.20', '10.0.0.200'), ('2001:db8:1::14', '2001:db8:1::c8')


def random_rule(rng: random.Random, number: int) -> rules.SecurityGroupRule:
    protocol = rng.choice(_PROTOCOLS)
    family = 'IPv6' if protocol == 'icmpv6' else rng.choice(list(rules.EtherType))
    low = high = None
    if protocol in ('icmp', 'icmpv6'):
        low = rng.choice((None, 8, 128, 13))
        high = rng.choice((None, 0, 1)) if low is not None else None
    elif protocol in ('tcp', 'udp', 'sctp') and rng.random() < 0.8:
        low = rng.choice((1, 22, 80))
        high = rng.choice((low, 80, 1000))
        high = max(low, high)
    cidr, group = None, None
    match rng.randrange(3):
        case 0:
            choices = ('10.0.0.0/25', '10.0.0.20', '0.0.0.0/0')
            if family == 'IPv6':
                choices = ('2001:db8:1::/121', '2001:db8:1::14', '::/0')
            cidr = rng.choice(choices)
        case 1:
            group = rng.choice(('a', 'b'))
    return rules.parse_rule(
        rule_id=str(number),
        direction=rng.choice(list(rules.Direction)),
        ethertype=family,
        protocol=protocol,
        port_min=low,
        port_max=high,
        remote_cidr=cidr,
        remote_group_id=group,
    )


def random_ruleset(rng: random.Random) -> rules.Ruleset:
    groups = []
    for name in ('a', 'b', 'c'):
        found = tuple(random_rule(rng, number) for number in range(rng.randrange(5)))
        members = tuple(
            rules.GroupMember(network_id='network-0', address=address)
            for address in (*_PEER_V4, *_PEER_V6)
            if rng.random() < 0.5
        )
        groups.append(rules.SecurityGroup(id=name, rules=found, members=members))
    provider = (random_rule(rng, 99),) if rng.random() < 0.2 else ()
    return rules.Ruleset(groups=tuple(groups), provider=provider)


def random_nic(rng: random.Random) -> rules.NicPolicy:
    """With addresses of one family or of both."""
    base = packets.nic(0)
    v4, v6 = rng.choice(((1, 1), (1, 1), (1, 1), (2, 2), (1, 0), (0, 1), (0, 2)))
    ipv6 = (packets.link_local(base), *rng.sample(_OWN_V6, v6)) if v6 else ()
    first_hop = dataclasses.replace(base.first_hop, ipv4=tuple(rng.sample(_OWN_V4, v4)), ipv6=ipv6)
    groups = rng.choice((None, (), ('a',), ('a', 'c'), ('b', 'c'), ('a', 'b', 'c')))
    return dataclasses.replace(base, first_hop=first_hop, groups=groups)


def last_frame(nic: rules.NicPolicy, direction: rules.Direction, number: int) -> bytes:
    """What the NIC admits whatever its groups."""
    is_out, first_hop = direction is rules.Direction.EGRESS, nic.first_hop
    mac = first_hop.mac if is_out else packets.OUTSIDER_MAC
    if first_hop.ipv4:
        return packets.mark(mac, first_hop.ipv4[0] if is_out else '192.0.2.66', number)
    sender = first_hop.ipv6[0] if is_out else packets.OUTSIDER_LINK_LOCAL
    return packets.mark6(mac, sender, number)


def random_frame(
    rng: random.Random, nic: rules.NicPolicy, direction: rules.Direction, number: int
) -> bytes:
    """A whole packet, mostly honest, of a connection of its own."""
    version = rng.choice((4, 6))
    owned, peers = (_OWN_V4, _PEER_V4) if version == 4 else (_OWN_V6, _PEER_V6)
    held = nic.first_hop.addresses(version)[-1:]  # behind a link-local one
    own = rng.choice(held if held and rng.random() < 0.9 else (*owned, *peers))
    is_forged = direction is rules.Direction.EGRESS and rng.random() < 0.05
    mac = 'fa:16:3e:99:99:99' if is_forged else nic.first_hop.mac
    source, target, sender, receiver = own, rng.choice(peers), mac, packets.OUTSIDER_MAC
    if direction is rules.Direction.INGRESS:
        source, target, sender, receiver = target, source, packets.OUTSIDER_MAC, mac
    layer: Packet
    if version == 4:
        layer = inet.IP(src=source, dst=target, id=number & 0xFFFF)
    else:
        layer = inet6.IPv6(src=source, dst=target)
        if rng.random() < 0.1:
            layer = layer / rng.choice((inet6.IPv6ExtHdrDestOpt(), inet6.IPv6ExtHdrHopByHop()))
    port = rng.choice((1, 22, 53, 67, 68, 80, 546, 547, 900, 5000))
    source_port = 10000 + number % 50000 if rng.random() < 0.9 else rng.choice((67, 68, 546, 547))
    upper: Packet
    match rng.randrange(4):
        case 0:
            upper = inet.TCP(sport=source_port, dport=port, flags='S')
        case 1 | 2:
            upper = inet.UDP(sport=source_port, dport=port) / b'payload'
        case _ if version == 4:
            upper = inet.ICMP(
                type=rng.choice((5, 8, 8, 13)), code=rng.choice((0, 1)), id=number & 0xFFFF
            )
        case _:
            kind = rng.choice((128, 128, 134, 137))
            upper = inet6.ICMPv6EchoRequest(type=kind, code=rng.choice((0, 1)), id=number & 0xFFFF)
    return bytes(l2.Ether(src=sender, dst=receiver) / layer / upper)


@pytest.mark.timeout(60 + 240 * _EXAMPLES)
def test_the_kernel_agrees_with_the_interpreter(
    world: World, driver: firewall_driver.FirewallDriver, case: Case
) -> None:
    rng = random.Random(_SEED)
    base = packets.nic(0)
    world.bridge(base.bridge)
    near = world.port(base.device, base.bridge)
    outside = world.port('uplink', base.bridge)
    end = time.monotonic() + _SECONDS
    number = judged = admitted = 0
    for done in range(_ROUNDS):
        if time.monotonic() > end and done >= _LEAST_ROUNDS:
            break
        ruleset = random_ruleset(rng)
        nic = random_nic(rng)
        driver.apply('instance-00000001', [nic], ruleset)
        for direction in rules.Direction:
            is_out = direction is rules.Direction.EGRESS
            sender, receiver = (near, outside) if is_out else (outside, near)
            frames = []
            for _frame in range(case.frames):
                number += 1
                frame = random_frame(rng, nic, direction, number)
                if case.sees(frame):
                    frames.append(frame)
            last = last_frame(nic, direction, number)
            receiver.drain()
            sender.send(*frames, last)
            arrived = set(receiver.until(last))
            for frame in frames:
                verdict = interpreter.judge(frame, direction, nic, ruleset)
                assert (frame in arrived) is verdict.allowed, (
                    direction,
                    verdict,
                    frame.hex(),
                    nic,
                    ruleset,
                )
                judged += 1
                admitted += verdict.allowed
    assert judged > 500
    assert 0.1 < admitted / judged < 0.9
