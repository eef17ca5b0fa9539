"""What the benches find is judged, whether they ask for it or not."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from bench import figures
import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(folder: pathlib.Path, *lines: str) -> tuple[int, str]:
    """pytest's exit status and output for a bench of these lines."""
    bench = folder / 'test_bench.py'
    bench.write_text('\n'.join(('def test_it(figures):', *(f'    {line}' for line in lines))))
    (folder / 'pytest.ini').write_text('[pytest]\n')
    plugins = ['-p', 'bench.conftest', '-p', 'no:cacheprovider', '-p', 'no:xdist']
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', *plugins, '--figures', 'page.txt', str(bench)],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "tools"}'},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_figure_out_of_bounds_fails_and_hides_no_other(tmp_path: pathlib.Path) -> None:
    status, output = run(
        tmp_path,
        "figures.compare('one', 0.004, 0.002, 1.5)",
        "figures.limit('two', 0.001, 0.002)",
        "figures.compare_rates('three', 10, 100, 4)",
        "figures.compare('four', 9, 1, None)",
    )
    assert status == 1
    assert 'one: 2.00, at most 1.5' in output
    assert 'three: 10.00, at most 4' in output
    assert 'two: ' not in output
    assert 'four: ' not in output
    page = (tmp_path / 'page.txt').read_text()
    for name in ('one', 'two', 'three', 'four'):
        assert f'   * - {name}\n' in page


def test_within_bounds(tmp_path: pathlib.Path) -> None:
    status, output = run(tmp_path, "figures.compare('one', 0.003, 0.002, 1.5)")
    assert status == 0
    assert '3.00 ms  2.00 ms   1.50      1.5' in output


def test_a_bench_that_measures_nothing_fails(tmp_path: pathlib.Path) -> None:
    status, output = run(tmp_path, 'pass')
    assert status == 1
    assert 'nothing was measured' in output


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.0000204, '20 µs'), (0.00123, '1.23 ms'), (0.0246, '24.6 ms'), (1.5, '1.50 s')],
)
def test_times_have_three_digits(seconds: float, text: str) -> None:
    found = figures.Figures()
    found.limit('it', seconds, 1)
    assert found.found[0].measured == text
