"""The gates of the test suites themselves, seen from outside: a gate that cannot fail is a defect.

Each test runs pytest, with our conftest modules as plugins, on a test module of its own.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]


def run(
    folder: pathlib.Path, source: str, *arguments: str, required: str | None = None
) -> tuple[int, str]:
    """pytest's exit status and output for a module ``test_it.py`` with ``source``."""
    (folder / 'test_it.py').write_text(source)
    (folder / 'pytest.ini').write_text('[pytest]\n')
    environment = {k: v for k, v in os.environ.items() if not k.startswith(('NOVA_', 'PYTEST_'))}
    environment['PYTHONPATH'] = str(ROOT)
    if required is not None:
        (folder / 'required').write_text(required)
        environment['NOVA_REQUIRED_TESTS'] = str(folder / 'required')
    plugins = ['-p', 'nova.tests.conftest', '-p', 'no:cacheprovider', '-p', 'no:xdist']
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', *plugins, '--basetemp=tmp', *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


GUARD = ('-p', 'nova.tests.unit.conftest')


@pytest.mark.parametrize('handler', ['Exception', 'BaseException'])
def test_the_guard_cannot_be_hidden(tmp_path: pathlib.Path, handler: str) -> None:
    source = f"""
import subprocess
def test_it():
    try:
        subprocess.run(['/bin/true'])
    except {handler}:
        pass
"""
    status, output = run(tmp_path, source, *GUARD)
    assert status == 1
    assert 'a unit test started a process' in output


def test_the_guard_covers_fixtures(tmp_path: pathlib.Path) -> None:
    source = """
import pytest, time
@pytest.fixture
def slow(): time.sleep(0)
def test_it(slow): pass
"""
    status, output = run(tmp_path, source, *GUARD)
    assert status == 1
    assert 'a unit test slept' in output


GOLDEN = """
import nova.tests.conftest as shared, pathlib
shared.DATA = pathlib.Path(__file__).parent / 'data'
def test_it(golden): golden('a/b.txt', 'one\\ntwo\\n')
"""


@pytest.mark.parametrize('guard', [(), GUARD])
def test_golden(tmp_path: pathlib.Path, guard: tuple[str, ...]) -> None:
    path = tmp_path / 'data' / 'a' / 'b.txt'
    status, output = run(tmp_path, GOLDEN, *guard)
    assert (status, path.exists()) == (1, False)
    assert 'does not exist' in output
    status, _ = run(tmp_path, GOLDEN, '--regenerate', *guard)
    assert (status, path.read_text()) == (0, 'one\ntwo\n')
    assert run(tmp_path, GOLDEN, *guard)[0] == 0
    path.write_text('one\nthree\n')
    status, output = run(tmp_path, GOLDEN, *guard)
    assert status == 1
    assert '-three' in output
    assert '+two' in output


SKIP = """
import pytest
def test_it(): pytest.skip('no kernel support')
@pytest.mark.xfail
def test_other(): assert False
"""
SKIP_MODULE = """
import pytest
pytest.skip('no libvirt', allow_module_level=True)
def test_it(): pass
"""
SKIP_FIXTURE = """
import pytest
@pytest.fixture
def prerequisite(): pytest.skip('no root')
@pytest.mark.parametrize('n', [1, 2])
def test_it(prerequisite, n): pass
"""


@pytest.mark.parametrize('source', [SKIP, SKIP_MODULE, SKIP_FIXTURE])
def test_a_required_test_may_not_skip(tmp_path: pathlib.Path, source: str) -> None:
    assert run(tmp_path, source)[0] in (0, 5)
    assert run(tmp_path, source, required='# nothing\n')[0] in (0, 5)
    status, output = run(tmp_path, source, required='test_it.py  # all of it\n')
    assert status in (1, 2)
    assert 'may not skip' in output


def test_one_test_of_a_module_may_be_required(tmp_path: pathlib.Path) -> None:
    status, output = run(tmp_path, SKIP_FIXTURE, required='test_it.py::test_it\n')
    assert status == 1
    assert output.count('no root') >= 2
    assert run(tmp_path, SKIP, required='test_it.py::test_other\n')[0] == 0


def test_a_required_test_must_exist(tmp_path: pathlib.Path) -> None:
    status, output = run(tmp_path, SKIP, '.', required='test_it.py::test_gone\n')
    assert status == 4
    assert 'test_it.py::test_gone' in output
    status, _ = run(tmp_path, SKIP, 'test_it.py', required='other/test_x.py::test_gone\n')
    assert status == 0
