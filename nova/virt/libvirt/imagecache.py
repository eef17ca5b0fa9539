"""Images on this host: each is fetched once, checked while it is read, and then only read.

A cached image is ``<SHA-256 of its id>.<format>`` in the cache's folder. Glance's images never
change, so the id is enough; the name appears by a rename, when the file is complete, checked and on
the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import dataclasses
import hashlib
import os
from pathlib import Path
import struct
import tempfile

from oslo_concurrency import lockutils
from oslo_log import log as logging

from nova import context as nova_context
from nova import exception
from nova.image import glance, inspection
from nova.virt.libvirt import offload as offloading

LOG = logging.getLogger(__name__)

_TEMPORARY_PREFIX = '.download-'

#: The disk's size in the header of a qcow2 file (docs/interop/qcow2.txt in QEMU).
_QCOW2_SIZE = struct.Struct('>24xQ')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CachedImage:
    """A complete and checked image file. ``format`` is ``raw`` or ``qcow2``."""

    path: Path
    format: str
    virtual_size: int
    """Bytes of the disk that the guest sees."""


class ImageCache:
    """The images of one host.

    :param folder: where they are kept; made when it is missing.
    :param attempts: how often a download that broke off is started again, the first time included.
    :param offload: runs what blocks on the disk.
    """

    def __init__(
        self,
        folder: Path,
        client: glance.ImageClient,
        *,
        max_image_gb: int,
        attempts: int = 1,
        offload: offloading.Offload = offloading.call_directly,
    ) -> None:
        self._folder = folder
        self._client = client
        self._max_image_gb = max_image_gb
        self._attempts = attempts
        self._offload = offload

    def remove_remains(self) -> None:
        """Remove what downloads left behind that were cut off with the service."""
        for path in self._folder.glob(f'{_TEMPORARY_PREFIX}*'):
            path.unlink(missing_ok=True)

    def ensure_image(self, image_id: str) -> CachedImage:
        """The image, fetched from Glance when it is not here. Several who want one image at the
        same time wait for one download.

        :raises ImageNotFound: Glance has no such image.
        :raises ImageUnacceptable: it is not active, not bootable, unsafe or too large.
        :raises ImageDownloadFailed: it could not be read to its end, or arrived damaged.
        """
        with lockutils.lock(f'image-{image_id}'):
            return self._find(image_id) or self._fetch(image_id)

    def _find(self, image_id: str) -> CachedImage | None:
        for image_format in inspection.BOOTABLE:
            path = self._path(image_id, image_format)
            if path.exists():
                return CachedImage(
                    path=path, format=image_format, virtual_size=_virtual_size(path, image_format)
                )
        return None

    def _path(self, image_id: str, image_format: str) -> Path:
        return self._folder / f'{hashlib.sha256(image_id.encode()).hexdigest()}.{image_format}'

    def _fetch(self, image_id: str) -> CachedImage:
        for attempt in range(1, self._attempts + 1):
            try:
                return self._download(image_id)
            except exception.ImageDownloadFailed as exc:
                if attempt == self._attempts:
                    raise
                LOG.warning('%s; trying again.', exc)
        raise AssertionError('at least one attempt is made')

    def _download(self, image_id: str) -> CachedImage:
        context = nova_context.service_context()
        image = self._client.show(context, image_id)
        if image.status != glance.ACTIVE:
            reason = f'its status is {image.status}'
            raise exception.ImageUnacceptable(image_id=image_id, reason=reason)
        for size in (image.size, image.virtual_size):
            inspection.check_size(image_id, size, self._max_image_gb)
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        with _temporary_file(self._folder) as (temporary, descriptor):
            inspector = inspection.Inspector(
                image_id, image.disk_format, self._client.download(context, image_id)
            )
            _copy(self._checked(image, inspector), descriptor)
            verdict = inspector.verdict()
            inspection.check_size(image_id, verdict.virtual_size, self._max_image_gb)
            self._offload(os.fsync, descriptor)
            path = self._path(image_id, verdict.format)
            temporary.rename(path)
        LOG.info('Image %s is cached as %s', image_id, path)
        return CachedImage(path=path, format=verdict.format, virtual_size=verdict.virtual_size)

    def _checked(self, image: glance.Image, content: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces; fails unless they are what the image's record says they are."""
        digest = hashlib.new(image.hash_algorithm) if image.hash_algorithm else None
        size = 0
        for piece in content:
            size += len(piece)
            inspection.check_size(image.id, size, self._max_image_gb)
            if digest is not None:
                digest.update(piece)
            yield piece
        if image.size is not None and size != image.size:
            reason = f'{size} bytes arrived instead of {image.size}'
            raise exception.ImageDownloadFailed(image_id=image.id, reason=reason)
        if digest is not None and image.hash_value and digest.hexdigest() != image.hash_value:
            reason = f'its {image.hash_algorithm} hash is wrong'
            raise exception.ImageDownloadFailed(image_id=image.id, reason=reason)


@contextlib.contextmanager
def _temporary_file(folder: Path) -> Iterator[tuple[Path, int]]:
    """A new file in ``folder``, its path and descriptor; removed unless it is renamed.

    QEMU, which is another user, must be able to read it: the folder keeps everybody else out.
    """
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=folder)
    path = Path(name)
    try:
        os.fchmod(descriptor, 0o644)
        yield path, descriptor
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _copy(pieces: Iterable[bytes], descriptor: int) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _virtual_size(path: Path, image_format: str) -> int:
    if image_format == inspection.RAW:
        return path.stat().st_size
    with path.open('rb') as file:
        return int(_QCOW2_SIZE.unpack(file.read(_QCOW2_SIZE.size))[0])
