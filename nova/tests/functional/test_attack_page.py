"""The page of what guests may not do says what the suite of attacks has found.

nova/tests/integration/firewall/test_attacks.py writes a file for each driver; the page is made of
these files. ``--regenerate`` writes it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any

import pytest

from nova.tests import conftest as tests_conftest

_PAGE = pathlib.Path(__file__).parents[3] / 'doc/source/firewall-attacks.rst'
_PLACES = ('same host', 'other host')
_HEAD = """\
.. Written by nova/tests/functional/test_attack_page.py; --regenerate writes it again.

What guests may not do
======================

Each row is a family of attacks, made from every NIC of a guest with three, while somebody watches
in two places: beside the guest (a neighbour on its bridge, a port without a filter, and the host
itself), and on another host, which filters nothing, and on the wire to it. *held* means that
nothing succeeded from any NIC, and that the bridges of both hosts learned no address that is not
the NIC's own; where it succeeded, the NICs are named from which it did. The number is that of the
different frames sent from each NIC; *any* stands for what kernels send. The same test makes every
attack without a firewall, and sees it succeed in both places.

"""
_FOOT = """\

Services of the hosts are those other than DHCP, DNS and metadata. Packets for other networks go
to a host that is the gateway of all of them. Both are held on hosts that serve networks by the
table ``nova-nat``, whatever the driver.
"""

Results = Mapping[str, Any]


def _cell(found: Mapping[str, Any], place: str) -> str:
    open_nics = [str(number) for number, held in enumerate(found[place]) if not held]
    return f'**not held**: NIC {", ".join(open_nics)}' if open_nics else 'held'


def render_page(results: Sequence[Results]) -> str:
    """A column for each driver and place."""
    columns = [(r, place) for r in results for place in _PLACES]
    head = ['Attack', 'Frames', *(f'{r["driver"]}, {place}' for r, place in columns)]
    rows = [
        [row, str(found['frames'] or 'any'), *(_cell(r['rows'][row], p) for r, p in columns)]
        for row, found in results[0]['rows'].items()
    ]
    lines = ['.. list-table::', '   :header-rows: 1', '']
    for cells in (head, *rows):
        lines += [f'   {"  " if place else "* "}- {cell}' for place, cell in enumerate(cells)]
    reasons = [
        f'* {r["driver"]}, {row}: {found["reason"]}'
        for r in results
        for row, found in r['rows'].items()
        if 'reason' in found
    ]
    if reasons:
        lines += ['', 'What is not held, and why:', '', *reasons]
    return _HEAD + '\n'.join(lines) + '\n' + _FOOT


def test_the_page_says_what_was_found(request: pytest.FixtureRequest) -> None:
    paths = sorted((tests_conftest.DATA / 'attacks').glob('*.json'))
    # The default first.
    paths.sort(key=lambda path: path.stem != 'nftables')
    text = render_page([json.loads(path.read_text()) for path in paths])
    regenerate = bool(request.config.getoption('--regenerate'))
    tests_conftest.compare_golden(_PAGE, text, regenerate=regenerate)


def test_what_is_not_held_is_said_with_the_reason() -> None:
    rows = {'MAC': {'frames': 2, 'same host': [True, False], 'other host': [True, True]}}
    rows['MAC']['reason'] = 'no such match'
    text = render_page([{'driver': 'some', 'rows': rows}])
    assert '**not held**: NIC 1' in text
    assert '* some, MAC: no such match' in text
