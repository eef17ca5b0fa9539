"""Disk files of guests."""

from __future__ import annotations

import os
from pathlib import Path

from oslo_concurrency import processutils

from nova import exception
from nova.virt.libvirt import imagecache

_GIB = 1024**3

#: qemu-img may read what a stranger made: bounds for a bug in it.
_LIMITS = processutils.ProcessLimits(cpu_time=30, address_space=1 * _GIB, core_file_size=0)


def choose_size(image: imagecache.CachedImage, image_id: str, root_gb: int) -> int:
    """Bytes of the root disk of a flavor with ``root_gb`` GiB; 0 takes the image's own size.

    :raises ImageUnacceptable: the image does not fit.
    """
    wanted = root_gb * _GIB
    if wanted == 0:
        return image.virtual_size
    if wanted < image.virtual_size:
        raise exception.ImageUnacceptable(
            image_id=image_id,
            reason=f'its disk of {image.virtual_size} bytes is larger than the {root_gb} GiB of '
            'the flavor',
        )
    return wanted


def write_overlay(path: Path, image: imagecache.CachedImage, size: int) -> None:
    """Make the qcow2 file ``path`` of ``size`` bytes that shows the image until it is written to.

    :raises HypervisorError: qemu-img failed.
    """
    try:
        processutils.execute(
            *('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', image.format),
            *('-b', str(image.path), str(path), str(size)),
            env_variables={**os.environ, 'LC_ALL': 'C'},
            prlimit=_LIMITS,
        )
    except (processutils.ProcessExecutionError, OSError) as exc:
        reason = getattr(exc, 'stderr', '') or str(exc)
        raise exception.HypervisorError(action='make the disk', reason=reason) from exc


def supports_direct_io(folder: Path) -> bool:
    """Whether files in ``folder`` can be read past the host's page cache (O_DIRECT, open(2))."""
    probe = folder / f'.direct-io-{os.getpid()}'
    try:
        descriptor = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_DIRECT, 0o600)
    except OSError:
        return False
    else:
        os.close(descriptor)
        return True
    finally:
        probe.unlink(missing_ok=True)
