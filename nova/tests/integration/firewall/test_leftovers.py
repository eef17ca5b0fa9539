"""What libvirt's ebtables may leave of a tap device that is gone."""

from __future__ import annotations

import pytest

from nova.privileged import nft
from nova.tests.integration.firewall.conftest import World, run

DEVICE = 'tap0123456789ab'
USED = 'tapfedcba987654'


def rules() -> list[str]:
    saved = run('ebtables-save').splitlines()
    return [line for line in saved if line.startswith((':libvirt', '-A'))]


@pytest.mark.usefixtures('world')
def test_what_is_left_of_a_tap_that_is_gone_is_removed_and_all_else_stays() -> None:
    """Chains that nothing refers to any more, and such as are still entered."""
    run('ip', 'link', 'add', USED, 'type', 'bridge')
    for device in (DEVICE, USED):
        for direction in 'IOJ':
            chain = f'libvirt-{direction}-{device}'
            run('ebtables', '-t', 'nat', '-N', chain)
            run('ebtables', '-t', 'nat', '-A', chain, '-p', 'ARP', '-j', 'DROP')
        run('ebtables', '-t', 'nat', '-A', 'PREROUTING', '-i', device, '-j', f'libvirt-I-{device}')
    before = rules()
    assert [line for line in before if DEVICE in line]
    for device in (DEVICE, USED, DEVICE):
        nft.forget_tap(device)
    assert rules() == [line for line in before if DEVICE not in line]


@pytest.mark.parametrize('device', ['eth0', 'tap1; flush ruleset', 'tap0123456789ab\nflush'])
def test_only_taps_of_ours(world: World, device: str) -> None:
    with pytest.raises(OSError, match='no tap device of ours'):
        nft.forget_tap(device)
