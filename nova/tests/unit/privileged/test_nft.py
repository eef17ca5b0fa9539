"""Only our own tables can be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nova import privileged
from nova.network import reach
from nova.privileged import nft
from nova.tests.unit.network import samples


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What libnftables would be given."""
    texts: list[str] = []
    run: Callable[[str], None] = texts.append
    monkeypatch.setattr(nft, '_run', run)
    monkeypatch.setattr(nft, '_generation', lambda: len(texts))
    privileged.network.set_client_mode(False)
    yield texts
    privileged.network.set_client_mode(True)


def test_what_we_render_is_let_through(ran: list[str]) -> None:
    networks = [samples.network(number) for number in range(3)]
    wanted = reach.plan_reach(networks, reach.Options(default_egress='eth0'), edges=['eth1.100'])
    lines = (*reach.render_table(wanted), *reach.render_edge_table(wanted))

    assert nft.change(list(lines)) == 1
    assert ran == ['\n'.join(lines)]


@pytest.mark.parametrize(
    'line',
    [
        'flush ruleset',
        'delete table inet filter',
        'add table inet nova-other',
        'add table ip nova-nat',
        'add table inet nova-nat; flush ruleset',
        'add table inet nova-nat\nflush ruleset',
        'include "/etc/passwd"',
        'add rule inet nova-nat forward } flush ruleset {',
    ],
)
def test_anything_else_is_refused(ran: list[str], line: str) -> None:
    with pytest.raises(OSError, match='not a change of our tables'):
        nft.change(['add table inet nova-nat', line])
    assert ran == []
