"""What libvirt's ebtables may leave of a tap device that is gone."""

from __future__ import annotations

import pytest

from nova.privileged import nft
from nova.tests.integration.firewall.conftest import World, run

DEVICE = 'tap0123456789ab'
USED = 'tapfedcba987654'


def chains() -> list[str]:
    return [word for word in run('nft', 'list', 'table', 'bridge', 'nat').split() if 'tap' in word]


@pytest.mark.usefixtures('world')
def test_chains_that_nothing_refers_to_are_removed_and_others_stay() -> None:
    for device in (DEVICE, USED):
        for direction in 'IO':
            chain = f'libvirt-{direction}-{device}'
            run('ebtables', '-t', 'nat', '-N', chain)
            run('ebtables', '-t', 'nat', '-A', chain, '-p', 'ARP', '-j', 'DROP')
    run('ebtables', '-t', 'nat', '-A', 'PREROUTING', '-i', USED, '-j', f'libvirt-I-{USED}')
    assert f'libvirt-I-{DEVICE}' in chains()
    nft.forget_tap(DEVICE)
    nft.forget_tap(USED)
    nft.forget_tap(DEVICE)
    assert not [word for word in chains() if DEVICE in word]
    rules = run('ebtables-save')
    assert f'-j libvirt-I-{USED}' in rules
    assert f'-A libvirt-I-{USED} -p ARP -j DROP' in rules
    assert f'libvirt-O-{USED}' not in rules


@pytest.mark.parametrize('device', ['eth0', 'tap1; flush ruleset', 'tap0123456789ab\nflush'])
def test_only_taps_of_ours(world: World, device: str) -> None:
    with pytest.raises(OSError, match='no tap device of ours'):
        nft.forget_tap(device)
