"""cloud-init's own code, unchanged, in a process of its own."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from nova.metadata import network_data
from nova.network import model

#: Unpacked, not installed, by ``tools/install --tests``.
_PACKAGES = pathlib.Path(__file__).parents[4] / '.run/cloud-init/usr/lib/python3/dist-packages'


def run(script: str, given: object) -> str:
    """What a script that may import ``cloudinit`` prints, with ``given`` as JSON to read."""
    if not _PACKAGES.is_dir():
        pytest.skip('needs cloud-init: tools/install --tests')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, 'PYTHONPATH': str(_PACKAGES), 'PYTHONDONTWRITEBYTECODE': '1'},
    )
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def build_given(info: model.NetworkInfo) -> dict[str, Any]:
    """``{"data": network_data.json, "macs": {mac: name}}`` of a guest."""
    return {
        'data': network_data.build_network_data(info),
        'macs': {vif.mac: f'eth{vif.index}' for vif in info},
    }
