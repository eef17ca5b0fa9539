"""The sample configuration that operators start from."""

from __future__ import annotations

import pathlib
import subprocess
import sys

from nova.tests.unit import test_conf


def test_the_generator_writes_every_option(tmp_path: pathlib.Path) -> None:
    sample = tmp_path / 'nova.conf.sample'
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'oslo_config.generator',
            '--namespace=nova.conf',
            f'--output-file={sample}',
        ],
        env={'XDG_CACHE_HOME': str(tmp_path), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    text = sample.read_text()
    for _, option in test_conf.OPTIONS:
        assert f'\n#{option.dest} =' in text
    assert '[libvirt]' in text
