"""Programs of every Debian, as an ordinary user may run them."""

from __future__ import annotations

import errno
import time

import pytest

from nova.privileged import programs


def test_what_it_reads_and_prints() -> None:
    text = 'ä line\n' * 100_000  # more than a pipe holds
    assert programs.run('cat', text=text) == text
    assert programs.run('cat') == ''


def test_nothing_of_the_environment_but_where_programs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SECRET', 'x')
    monkeypatch.setenv('PATH', '/nowhere')
    (line,) = programs.run('env').splitlines()
    assert line.startswith('PATH=/usr/local/sbin:')


def test_an_exit_code_that_is_an_error_says_why() -> None:
    with pytest.raises(OSError, match='sh: no such thing') as caught:
        programs.run('sh', '-c', 'echo no such thing >&2; exit 3')
    assert caught.value.errno == errno.EIO
    with pytest.raises(OSError, match='sh: it ended with 3'):
        programs.run('sh', '-c', 'exit 3')
    assert programs.run('sh', '-c', 'echo x; exit 3', accepted=(0, 3)) == 'x\n'
    done = programs.start('sh', '-c', 'echo x; echo y >&2; kill -9 $$')
    assert (done.returncode, done.stdout, done.stderr) == (-9, 'x\n', 'y\n')


def test_one_that_is_not_there() -> None:
    with pytest.raises(OSError, match='nova-none is not installed') as caught:
        programs.run('nova-none')
    assert caught.value.errno == errno.ENOENT


def test_one_that_does_not_end_is_ended() -> None:
    before = time.monotonic()
    with pytest.raises(OSError, match=r'sleep did not end in 0\.1 s') as caught:
        programs.run('sleep', '1000', timeout_s=0.1)
    assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() < before + 900


def test_one_that_leaves_a_child_behind_is_not_waited_for() -> None:
    """Which a server does that goes to the background and keeps its output open."""
    child = programs.run('sh', '-c', 'sleep 1000 & echo $!').strip()
    programs.run('sh', '-c', f'kill {child}')
