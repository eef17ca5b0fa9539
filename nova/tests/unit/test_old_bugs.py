"""The table of old bugs (``doc/source/old-bugs.rst``) is complete, and the tests that it names are
there."""

from __future__ import annotations

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[3]
TABLE = ROOT / 'doc/source/old-bugs.rst'
TESTS = ROOT / 'nova/tests'

#: Those about networks, and those found in the code of the last release.
NUMBERS = [str(n) for n in (*range(1, 39), *range(45, 68))] + [f'L{n}' for n in range(1, 14)]
NAMED = re.compile(r'``([\w/]+\.py)::(\w+)``')
CANNOT = 'Cannot occur: '


def rows() -> dict[str, tuple[str, str, str]]:
    """What went wrong, why it does not here, and the tests, by number."""
    _, *blocks = re.split(r'^   \* - (?=L?\d+$)', TABLE.read_text(), flags=re.MULTILINE)
    found = {}
    for block in blocks:
        number, *cells = re.split(r'\n     -', block)
        what, why, tests = (' '.join(cell.split()) for cell in cells)
        assert number not in found
        found[number] = (what, why, tests)
    return found


def functions(path: pathlib.Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_bug_is_missing() -> None:
    assert list(rows()) == NUMBERS


def test_each_has_a_test_or_a_reason() -> None:
    for number, (what, why, tests) in rows().items():
        assert what.endswith('.'), number
        assert why.endswith('.'), number
        assert NAMED.search(tests) or why.startswith(CANNOT), number
        assert NAMED.sub('', tests).strip() == '', number


def test_every_test_that_is_named_is_there() -> None:
    named = [match for *_, tests in rows().values() for match in NAMED.findall(tests)]
    assert len(named) > 100
    for file, name in named:
        assert (TESTS / file).is_file(), file
        assert name.startswith('test_'), name
        assert name in functions(TESTS / file), f'{file}::{name}'
