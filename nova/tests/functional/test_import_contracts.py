"""Each import contract of pyproject.toml can fail: a tree with one offence against each."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[3]

#: Contract -> (module, a line that the contract forbids it).
OFFENCES = {
    'layers': ('nova/db/records.py', 'import nova.compute.api'),
    'network': ('nova/network/model.py', 'import nova.network.names'),
    'virt-and-network': ('nova/virt/driver.py', 'from nova.network import manager'),
    'manager-and-virt': ('nova/network/manager.py', 'from nova.virt import driver'),
    'through-rpcapi': ('nova/compute/manager.py', 'from nova.network import manager'),
    'pure': ('nova/network/topology.py', 'import subprocess'),
    'sql': ('nova/compute/manager.py', 'import sqlalchemy'),
    'eventlet': ('nova/compute/manager.py', 'import eventlet.green'),
    'libvirt': ('nova/virt/libvirt/domain.py', 'import libvirt'),
    'http': ('nova/compute/api.py', 'from falcon import errors'),
    'netlink': ('nova/network/linux/bridge.py', 'import pyroute2'),
    'processes': ('nova/compute/manager.py', 'import subprocess'),
    'tests': ('nova/compute/manager.py', 'import nova.tests.conftest'),
}


@pytest.fixture(scope='module')
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of the tree with all the offences."""
    tree = tmp_path_factory.mktemp('offences')
    shutil.copytree(ROOT / 'nova', tree / 'nova', ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(ROOT / 'pyproject.toml', tree)
    for path, line in OFFENCES.values():
        with (tree / path).open('a', encoding='utf-8') as file:
            file.write(f'\n{line}\n')
    done = subprocess.run(
        [sys.executable, '-c', 'from importlinter import cli; cli.lint_imports_command()']
        + ['--no-cache', '--no-logo'],
        cwd=tree,
        env={'PATH': '/usr/bin:/bin', 'PYTHONPATH': str(tree), 'COLUMNS': '1000'},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def contracts() -> dict[str, str]:
    with (ROOT / 'pyproject.toml').open('rb') as file:
        return {
            contract['id']: contract['name']
            for contract in tomllib.load(file)['tool']['importlinter']['contracts']
        }


def test_every_contract_has_an_offence() -> None:
    assert set(OFFENCES) == set(contracts())


@pytest.mark.parametrize('contract', OFFENCES)
def test_it_can_fail(report: str, contract: str) -> None:
    assert f'{contracts()[contract]} BROKEN' in report
