"""The reference: what it says of frames, and that no group undoes the first-hop stage."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from nova.network.firewall import interpreter, rules

IN, OUT = rules.Direction.INGRESS, rules.Direction.EGRESS
MAC, IP = 'fa:16:3e:00:00:01', '10.0.0.5'
NIC = rules.NicPolicy(
    vif_id='v',
    device='tap0',
    bridge='br0',
    network_id='n',
    first_hop=rules.FirstHop(mac=MAC, ipv4=(IP,), ipv6=('fe80::1',), dhcp_servers=('10.0.0.2',)),
    groups=('g',),
)


def udp(source: str = IP, target: str = '10.0.0.9', ports: tuple[int, int] = (5, 6)) -> bytes:
    octets = [bytes(int(part) for part in address.split('.')) for address in (source, target)]
    upper = ports[0].to_bytes(2, 'big') + ports[1].to_bytes(2, 'big') + b'\0\x08\0\0'
    header = bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]) + octets[0] + octets[1]
    return b'\xff' * 6 + bytes.fromhex(MAC.replace(':', '')) + b'\x08\0' + header + upper


def everything(direction: str) -> rules.Ruleset:
    found = tuple(
        rules.parse_rule(rule_id=family, direction=direction, ethertype=family)
        for family in rules.EtherType
    )
    return rules.Ruleset(groups=(rules.SecurityGroup(id='g', rules=found),))


def test_reasons() -> None:
    allowed = everything('egress')
    assert interpreter.judge(udp(), OUT, NIC, allowed) == interpreter.Verdict(True, 'group', 'IPv4')
    assert interpreter.judge(udp(), OUT, NIC, rules.Ruleset()).reason == 'group'
    assert interpreter.judge(udp('10.0.0.6'), OUT, NIC, allowed).reason == 'ipv4'
    assert interpreter.judge(udp(ports=(67, 68)), OUT, NIC, allowed).reason == 'dhcp'
    assert interpreter.judge(b'', OUT, NIC, allowed).reason == 'kind'
    assert interpreter.judge(udp(), IN, NIC, rules.Ruleset(), established=True).allowed


@hypothesis.given(frame=st.binary(max_size=120), begin=st.integers(0, 42))
def test_groups_never_admit_what_the_first_hop_refuses(frame: bytes, begin: int) -> None:
    """Of random frames, most of which begin like an honest one."""
    sent = udp()[:begin] + frame
    open_nic = rules.NicPolicy(
        vif_id='v', device='tap0', bridge='br0', network_id='n', first_hop=NIC.first_hop
    )
    for direction in (IN, OUT):
        alone = interpreter.judge(sent, direction, open_nic, rules.Ruleset()).allowed
        for ruleset in (everything(direction), rules.Ruleset()):
            assert interpreter.judge(sent, direction, NIC, ruleset).allowed <= alone
