"""Only our own chains can be changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nova import privileged
from nova.network.firewall import iptables_plan, iptables_text
from nova.privileged import iptables, programs
from nova.tests.unit.network.firewall import test_iptables_plan as samples


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """The commands that would be run, with what they would read."""
    commands: list[tuple[str, ...]] = []

    def run(*command: str, text: str = '', **_limits: float) -> str:
        commands.append((*command, text))
        return ''

    monkeypatch.setattr(programs, 'run', run)
    privileged.network.set_client_mode(False)
    yield commands
    privileged.network.set_client_mode(True)


def batch() -> iptables_text.Batch:
    host = samples.host_of(
        iptables_plan.GroupChange('g', samples.REMOTE), *samples.put(samples.nic(0, 'g'))
    )
    return iptables_text.render_change(iptables_plan.Contents(), samples.everything(host))


def test_what_we_render_is_let_through(ran: list[tuple[str, ...]]) -> None:
    lines = (*batch().tables[4], *iptables_text.render_hooks(()))
    iptables.change('nft', {4: lines})
    text = '\n'.join(('*mangle', *lines, 'COMMIT', ''))
    assert ran == [('iptables-nft-restore', '--noflush', '-w', '60', text)]


@pytest.mark.parametrize(
    'line',
    [
        '-F',
        '-F PREROUTING',
        ':PREROUTING DROP [0:0]',
        '-A INPUT -j nova-egress',
        '-I PREROUTING 1 -j ACCEPT',
        '-D mine -j nova-egress',
        '-A nova-egress -j RETURN\nCOMMIT',
        '-X mine',
        '-X nova-compute-local',
        '*filter',
        'COMMIT',
    ],
)
def test_anything_else_is_refused(ran: list[tuple[str, ...]], line: str) -> None:
    with pytest.raises(OSError, match='not a change of our chains'):
        iptables.change('system', {4: [':nova-egress - [0:0]', line]})
    assert ran == []


@pytest.mark.parametrize('words', [('other', 4), ('nft', 5)])
def test_there_are_two_back_ends_and_two_families(ran: list[tuple[str, ...]], words: Any) -> None:
    with pytest.raises(OSError, match='there is no iptables'):
        iptables.read(*words)
