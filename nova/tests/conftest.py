"""What every tier of tests shares: expected texts in files, and tests that may not skip.

Options and environment:

``--regenerate``
    The ``golden`` fixture writes what it is given instead of comparing. Read the difference
    (``git diff nova/tests/data``) before it is committed.
``NOVA_REQUIRED_TESTS``
    A file of node id prefixes, one a line, ``#`` for comments. A test that matches one fails where
    it would have skipped, and a prefix that no collected test matches is an error, so that neither
    a missing prerequisite nor a renamed test turns a gate off unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
import difflib
import os
import pathlib
from typing import Any

import hypothesis
from hypothesis import configuration
import pytest

DATA = pathlib.Path(__file__).parent / 'data'

# No example database: the tests leave nothing in the tree. No deadline: a loaded machine is slow,
# and time is measured in tools/bench. Derandomized: a run can be repeated from the log alone.
hypothesis.settings.register_profile(
    'nova', database=None, deadline=None, derandomize=True, max_examples=50
)
hypothesis.settings.load_profile('nova')


@pytest.fixture(scope='session', autouse=True)
def _hypothesis_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hypothesis keeps tables of Unicode somewhere, by default in the working directory."""
    configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp('hypothesis'))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        '--regenerate',
        action='store_true',
        help='write the expected files of nova/tests/data instead of comparing with them',
    )


def compare_golden(path: pathlib.Path, text: str, *, regenerate: bool) -> None:
    """Assert that the file at ``path`` holds ``text``; with ``regenerate`` make it so.

    A file whose content is already right is not written, so its time stamp tells the truth.

    :raises pytest.fail.Exception: the file is missing or differs; the text shows the difference.
    """
    expected = path.read_text(encoding='utf-8') if path.exists() else None
    if expected == text:
        return
    if regenerate:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
        return
    if expected is None:
        pytest.fail(f'{path} does not exist; --regenerate writes it', pytrace=False)
    difference = ''.join(
        difflib.unified_diff(
            expected.splitlines(keepends=True),
            text.splitlines(keepends=True),
            fromfile=f'expected: {path.name}',
            tofile='actual',
        )
    )
    pytest.fail(f'{path} differs; --regenerate rewrites it\n{difference}', pytrace=False)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden('virt/two-nics.xml', text)`` asserts that this file of nova/tests/data holds
    ``text``."""
    regenerate = bool(request.config.getoption('--regenerate'))

    def compare(name: str, text: str) -> None:
        compare_golden(DATA / name, text, regenerate=regenerate)

    return compare


def parse_required(text: str) -> tuple[str, ...]:
    """The node id prefixes of a ``NOVA_REQUIRED_TESTS`` file."""
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def is_required(node_id: str, prefixes: Sequence[str]) -> bool:
    """Whether one of ``prefixes`` is ``node_id``, a folder or file above it, or its test without
    the parameters."""
    return any(
        prefix == '.' or node_id == prefix or node_id.startswith(f'{prefix.rstrip("/")}{mark}')
        for prefix in prefixes
        for mark in ('/', '::', '[')
    )


def missing_required(
    node_ids: Sequence[str], prefixes: Sequence[str], arguments: Sequence[str]
) -> list[str]:
    """The ``prefixes`` below one of the run's ``arguments`` (paths) that none of ``node_ids``
    matches."""
    return [
        prefix
        for prefix in prefixes
        if is_required(prefix, arguments)
        and not any(is_required(node_id, (prefix,)) for node_id in node_ids)
    ]


def _required() -> tuple[str, ...]:
    path = os.environ.get('NOVA_REQUIRED_TESTS')
    return parse_required(pathlib.Path(path).read_text(encoding='utf-8')) if path else ()


def _refuse_skip(report: Any) -> None:
    if not report.skipped or hasattr(report, 'wasxfail'):
        return
    if not is_required(report.nodeid, _required()):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = 'failed'
    report.longrepr = f'{report.nodeid} may not skip in this run (NOVA_REQUIRED_TESTS): {reason}'


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(report)
    return report


#: Node ids of modules whose tests are unknown, since they could not be imported or may not skip.
_uncollected: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(report)
    if report.failed:
        _uncollected.append(report.nodeid)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    arguments = [os.path.relpath(a, config.rootpath) for a in config.args if '::' not in a]
    collected = [item.nodeid for item in items]
    wanted = [r for r in _required() if not is_required(r, _uncollected)]
    if lost := missing_required(collected, wanted, arguments):
        raise pytest.UsageError(f'NOVA_REQUIRED_TESTS names tests that do not exist: {lost}')
