"""What a newcomer types first."""

from __future__ import annotations

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[4]


def test_quickstart_check() -> None:
    done = subprocess.run(
        [ROOT / 'tools' / 'quickstart', '--check'],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert '--nic net-id=' in done.stdout
    assert done.stdout.rstrip().endswith('CHECK PASSED')
