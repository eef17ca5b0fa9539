"""Real guests on every kind of network, in every family, judged from inside.

Networks of kind ``vlan`` need a kernel with 802.1Q: see ``nova/tests/integration/vlan``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nova.tests.integration.cloud import clouds, matrix, matrix_guests

pytestmark = pytest.mark.root

CASES = matrix.build_cases(matrix.FLAT, matrix.FLAT_DHCP)


@pytest.fixture(scope='module')
def guests(cloud: clouds.Cloud, request: pytest.FixtureRequest) -> Iterator[matrix_guests.Guests]:
    made = matrix_guests.Guests(cloud, matrix_guests.selected_cases(request))
    yield made
    made.remove()


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.id)
def test_a_guest_has_what_was_asked_for(
    cloud: clouds.Cloud, guests: matrix_guests.Guests, case: matrix.Case
) -> None:
    """NICs in order, MACs, every address, one default route of each family, DNS, MTU."""
    with guests.booted(case) as server:
        matrix_guests.judge(cloud, case, server)
