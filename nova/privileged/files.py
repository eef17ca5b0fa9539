"""Files that libvirt and QEMU made for themselves inside the folder of the instances.

A path is walked from that folder one name at a time, never through a symbolic link, so that
nobody who may write into an instance's folder reads or removes another file of the host through
us (man 2 openat, O_NOFOLLOW).
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import os
import stat

from nova import privileged


@privileged.guest_files.entrypoint
def read_tail(path: str, max_bytes: int) -> bytes:
    """The last ``max_bytes`` bytes of the regular file ``path``, or all of it.

    :raises OSError: ENOENT, there is none; EACCES, the path is not below the folder of the
        instances; ELOOP or ENOTDIR, a symbolic link is on the way; EINVAL, it is no regular file.
    """
    with _parent(path) as (folder, name):
        # O_NONBLOCK: a FIFO that somebody put there must not stop us
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, f'{path!r} is not a regular file')
        return os.pread(descriptor, max_bytes, max(0, status.st_size - max_bytes))
    finally:
        os.close(descriptor)


@privileged.guest_files.entrypoint
def remove(path: str) -> None:
    """Remove the file ``path`` itself, were it a symbolic link; one that is gone is no error.

    :raises OSError: EACCES, the path is not below the folder of the instances.
    """
    with contextlib.suppress(FileNotFoundError), _parent(path) as (folder, name):
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def _parent(path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that ``path`` is in, and its last name."""
    base = os.path.normpath(privileged.instances_path())
    if os.path.normpath(path) != path or not path.startswith(f'{base}/'):
        raise OSError(errno.EACCES, f'{path!r} is not in {base}')
    *folders, name = path.removeprefix(f'{base}/').split('/')
    with contextlib.ExitStack() as opened:
        folder = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, folder)
        for part in folders:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            folder = os.open(part, flags, dir_fd=folder)
            opened.callback(os.close, folder)
        yield folder, name
