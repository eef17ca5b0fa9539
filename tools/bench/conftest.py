"""What more than one bench needs."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import secrets
import subprocess

from pyroute2 import netns
import pytest

from nova import privileged
from nova.privileged import link, nft


@pytest.fixture
def namespace() -> Iterator[None]:
    """A network namespace with the bridge ``br0``, which the bench and the privileged functions are
    in."""
    if os.geteuid() != 0:
        pytest.skip('needs root')
    name = f'bench-{secrets.token_hex(4)}'
    with contextlib.ExitStack() as undo:
        netns.create(name)
        undo.callback(netns.remove, name)
        outside = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        undo.callback(os.close, outside)
        privileged.network.set_client_mode(False)
        undo.callback(privileged.network.set_client_mode, True)
        netns.setns(name)
        undo.callback(netns.setns, outside)
        undo.callback(link.close)
        undo.callback(nft.close)
        subprocess.run(['ip', 'link', 'add', 'br0', 'type', 'bridge'], check=True)
        yield
