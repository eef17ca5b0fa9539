"""``nova-manage`` as a process of its own, on a test's database."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from nova.db import api as db

MANAGE = pathlib.Path(sys.executable).with_name('nova-manage')


@dataclasses.dataclass(frozen=True)
class Command:
    """The command, with a configuration file of its own."""

    config: pathlib.Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(MANAGE), '--config-file', str(self.config), '--json', *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def answer(self, *words: str) -> Any:
        """What it prints, as data; None if it prints nothing."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def refusal(self, *words: str) -> str:
        """What it says instead; no network and no service has changed."""
        before = db.network_list(), db.service_list()
        done = self.run(*words)
        assert (done.returncode, done.stdout) == (1, ''), (words, done.stderr)
        assert (db.network_list(), db.service_list()) == before
        return done.stderr.strip()


@pytest.fixture
def command(tmp_path: pathlib.Path, database: object) -> Command:
    config = tmp_path / 'nova.conf'
    paths = f'[DEFAULT]\nstate_path = {tmp_path}\nrun_path = {tmp_path}/run\n'
    config.write_text(f'{paths}[database]\nconnection = sqlite:///{tmp_path}/nova.sqlite\n')
    return Command(config)
