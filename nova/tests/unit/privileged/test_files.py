from __future__ import annotations

from collections.abc import Iterator
import os
import pathlib

import pytest

from nova import privileged
import nova.conf
from nova.privileged import files


@pytest.fixture
def instances(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folder of the instances, with one; the privileged functions run here."""
    folder = tmp_path / 'state' / 'instances'
    (folder / 'one').mkdir(parents=True)
    nova.conf.CONF.set_override('state_path', str(tmp_path / 'state'))
    privileged.guest_files.set_client_mode(False)
    yield folder
    privileged.guest_files.set_client_mode(True)
    nova.conf.CONF.clear_override('state_path')


@pytest.mark.parametrize(
    ('content', 'max_bytes', 'tail'),
    [
        (b'', 10, b''),
        (b'abc', 10, b'abc'),
        (b'abc', 3, b'abc'),
        (b'abcdef', 3, b'def'),
        (b'abc', 0, b''),
        (b'\xff\x00\n', 2, b'\x00\n'),
    ],
)
def test_the_tail_of_a_file(
    instances: pathlib.Path, content: bytes, max_bytes: int, tail: bytes
) -> None:
    path = instances / 'one' / 'console.log'
    path.write_bytes(content)

    assert files.read_tail(str(path), max_bytes) == tail


def test_a_path_elsewhere_is_refused(instances: pathlib.Path) -> None:
    secret = instances.parent / 'secret'
    secret.write_text('x')
    for path in (
        str(secret),
        f'{instances}/../secret',
        f'{instances}/one/../../secret',
        f'{instances}',
        f'{instances}x/y',
        'one/console.log',
        '',
    ):
        with pytest.raises(PermissionError):
            files.read_tail(path, 10)
        with pytest.raises(PermissionError):
            files.remove(path)
    assert secret.exists()


def test_no_symbolic_link_is_followed(instances: pathlib.Path) -> None:
    secret = instances.parent / 'secret'
    secret.mkdir()
    (secret / 'console.log').write_text('x')
    (instances / 'one' / 'console.log').symlink_to(secret / 'console.log')
    (instances / 'two').symlink_to(secret)

    for name in ('one', 'two'):
        with pytest.raises(OSError, match=r'symbolic links|Not a directory'):
            files.read_tail(f'{instances}/{name}/console.log', 10)
    with pytest.raises(OSError, match='Not a directory'):
        files.remove(f'{instances}/two/console.log')
    files.remove(f'{instances}/one/console.log')

    assert (secret / 'console.log').read_text() == 'x'
    assert not (instances / 'one' / 'console.log').is_symlink()


def test_only_a_regular_file_is_read(instances: pathlib.Path) -> None:
    os.mkfifo(instances / 'one' / 'console.log')

    with pytest.raises(OSError, match='not a regular file'):
        files.read_tail(f'{instances}/one/console.log', 10)
    with pytest.raises(OSError, match='not a regular file'):
        files.read_tail(f'{instances}/one', 10)


def test_what_is_gone(instances: pathlib.Path) -> None:
    files.remove(f'{instances}/one/console.log')
    files.remove(f'{instances}/gone/console.log')
    with pytest.raises(FileNotFoundError):
        files.read_tail(f'{instances}/one/console.log', 10)
