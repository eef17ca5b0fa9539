"""Rules about the tree itself: what a review would have to look for again and again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import pathlib
import re
import tomllib

from importlinter import cli as importlinter
import pytest

ROOT = pathlib.Path(__file__).parents[3]
NOVA = ROOT / 'nova'
SKIPPED_FOLDERS = {
    '.git',
    '.hypothesis',
    '.import_linter_cache',
    '.mypy_cache',
    '.pytest_cache',
    '.ruff_cache',
    '.run',
    '.tox',
    '.venv',
    '__pycache__',
    'build',
    'dist',
}
SHAPELESS = {'common', 'helper', 'helpers', 'misc', 'shared', 'util', 'utils'}
#: Written apart so that this file does not name what it forbids.
MACHINE_PATHS = re.compile('/wor' 'k/(main|shared)|/tmp/te' 'am|/tmp/' r'v/|/home/[a-z]+/')


def tree(folder: pathlib.Path = ROOT) -> Iterator[pathlib.Path]:
    """Every file of ours below ``folder``."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            continue
        if path.is_dir():
            if path.name not in SKIPPED_FOLDERS and not path.name.endswith('.egg-info'):
                yield from tree(path)
        elif path.name != '.git':  # a file in a worktree
            yield path


def modules() -> list[pathlib.Path]:
    return [path for path in tree(NOVA) if path.suffix == '.py']


def name_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'), str(path))


def settings() -> dict[str, object]:
    with (ROOT / 'pyproject.toml').open('rb') as file:
        tool: dict[str, object] = tomllib.load(file)['tool']
    return tool


def pure_modules() -> list[pathlib.Path]:
    """As the import contract lists them, so that there is one list."""
    contracts = settings()['importlinter']['contracts']  # type: ignore[index]
    (names,) = [c['source_modules'] for c in contracts if c['id'] == 'pure']
    return [ROOT / f'{name.replace(".", "/")}.py' for name in names]


MODULES = modules()
CODE = [path for path in MODULES if not path.is_relative_to(NOVA / 'tests')]


def test_the_import_contracts_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    status = importlinter.lint_imports(
        config_filename=str(ROOT / 'pyproject.toml'), no_cache=True, no_logo=True
    )
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize('path', MODULES, ids=name_of)
def test_modules_are_named_after_what_they_hold(path: pathlib.Path) -> None:
    assert path.stem not in SHAPELESS
    assert path.parent.name not in SHAPELESS


@pytest.mark.parametrize('path', CODE, ids=name_of)
def test_every_module_and_package_says_what_it_is(path: pathlib.Path) -> None:
    text = ast.get_docstring(parsed(path)) or ''
    assert text.endswith(('.', ')', '::')) or '\n' in text


@pytest.mark.parametrize('path', pure_modules(), ids=name_of)
def test_the_public_names_of_pure_modules_are_documented(path: pathlib.Path) -> None:
    module = parsed(path)
    bodies = [module.body, *(node.body for node in module.body if isinstance(node, ast.ClassDef))]
    bare = [
        node.name
        for body in bodies
        for node in body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith('_')
        and ast.get_docstring(node) is None
    ]
    assert bare == []


def broad_handlers(path: pathlib.Path) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
            if node.type is None or names & {'Exception', 'BaseException'}:
                yield node


@pytest.mark.parametrize('path', CODE, ids=name_of)
def test_a_broad_handler_says_whom_it_protects(path: pathlib.Path) -> None:
    lines = path.read_text(encoding='utf-8').splitlines()
    silent = [
        f'{path.relative_to(ROOT)}:{handler.lineno}'
        for handler in broad_handlers(path)
        if not any('#' in s for s in lines[handler.lineno - 2 : handler.body[0].lineno])
    ]
    assert silent == []


def test_nothing_names_a_path_of_somebodys_machine() -> None:
    found = []
    for path in tree():
        try:
            text = path.read_text(encoding='utf-8')
        except UnicodeDecodeError:
            continue
        found += [f'{path.relative_to(ROOT)}: {m.group()}' for m in MACHINE_PATHS.finditer(text)]
    assert found == []


def test_nothing_reads_the_options_globally() -> None:
    """Objects are handed their group; only the wiring reads CONF. The privileged helper is a
    process of its own, which reads its own configuration."""
    wiring = [NOVA / 'conf', NOVA / 'wiring.py', NOVA / 'privileged/__init__.py']
    readers = [
        str(path.relative_to(ROOT))
        for path in CODE
        if not any(path == place or place in path.parents for place in wiring)
        and re.search(r'\b(cfg\.CONF|conf\.CONF|nova\.conf import .*CONF)\b', path.read_text())
    ]
    assert readers == []


def test_processes_run_under_limits_and_in_few_places() -> None:
    """The contract "processes" keeps subprocess out; oslo.concurrency is the other way to one."""
    runners = {name_of(path) for path in CODE if 'processutils' in path.read_text()}
    assert runners <= {'nova.virt.libvirt.disk', 'nova.virt.libvirt.kvmprobe'}
    for path in CODE:
        text = path.read_text(encoding='utf-8')
        assert 'run_as_root' not in text, f'{path}: what needs root is in nova.privileged'
        assert text.count('processutils.execute(') == text.count('prlimit='), path


def test_unit_tests_mirror_the_packages() -> None:
    """What tests nova/a/b is found in nova/tests/unit/a/b."""
    unit = NOVA / 'tests' / 'unit'
    folders = {path.parent.relative_to(unit) for path in tree(unit) if path.suffix == '.py'}
    assert [str(folder) for folder in folders if not (NOVA / folder / '__init__.py').exists()] == []


def test_the_scripts_that_users_start_are_executable() -> None:
    for name in ('.ci/run', 'tools/install', 'tools/quickstart', 'tools/run_tests'):
        assert (ROOT / name).stat().st_mode & 0o111, f'{name} is not executable'
