"""One cloud on a trunk for all tests of the folder."""

from __future__ import annotations

from collections.abc import Iterator
import os

import pytest

from lab import uml
from nova.tests.integration.vlan import trunk_cloud


@pytest.fixture(scope='session')
def cloud() -> Iterator[trunk_cloud.Cloud]:
    if os.geteuid() != 0:
        pytest.skip('sandboxes need root')
    if not uml.has_8021q() and not uml.is_installed():
        pytest.skip('this kernel has no 802.1Q, and user-mode-linux is not installed')
    with trunk_cloud.running() as made:
        yield made
