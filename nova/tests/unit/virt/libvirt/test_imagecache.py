from __future__ import annotations

from collections.abc import Iterator
import hashlib
from pathlib import Path
import threading
from typing import Any

import pytest

from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova.tests.unit.image import files
from nova.virt.libvirt import imagecache

IMAGE = 'c1b5a7f2-0d53-4f0e-8d6f-5a1b2c3d4e5f'


class Images(glance.ImageClient):
    """One image; ``broken`` downloads end early first."""

    def __init__(self, content: bytes, **record: Any) -> None:
        self.content = content
        self.record = {
            'id': IMAGE,
            'status': 'active',
            'disk_format': 'qcow2',
            'size': len(content),
            'os_hash_algo': 'sha512',
            'os_hash_value': hashlib.sha512(content).hexdigest(),
            **record,
        }
        self.broken = 0
        self.downloads = 0

    def show(self, context: nova_context.RequestContext, image_id: str) -> glance.Image:
        if image_id != IMAGE:
            raise exception.ImageNotFound(image_id=image_id)
        return glance.parse_image(self.record)

    def download(self, context: nova_context.RequestContext, image_id: str) -> Iterator[bytes]:
        self.downloads += 1
        pieces = [self.content[i : i + 1000] for i in range(0, len(self.content), 1000)]
        if self.downloads <= self.broken:
            yield from pieces[:2]
            raise exception.ImageDownloadFailed(image_id=image_id, reason='broken')
        yield from pieces


def build(folder: Path, images: Images, **changes: Any) -> imagecache.ImageCache:
    return imagecache.ImageCache(folder / 'images', images, **{'max_image_gb': 2, **changes})


def test_an_image_is_fetched_once(tmp_path: Path) -> None:
    images = Images(files.make_qcow2(size=12345))
    first = build(tmp_path, images).ensure_image(IMAGE)
    assert first == imagecache.CachedImage(
        path=tmp_path / 'images' / f'{hashlib.sha256(IMAGE.encode()).hexdigest()}.qcow2',
        format='qcow2',
        virtual_size=12345,
    )
    assert first.path.read_bytes() == images.content
    assert first.path.stat().st_mode & 0o777 == 0o644
    assert first.path.parent.stat().st_mode & 0o777 == 0o711
    assert build(tmp_path, images).ensure_image(IMAGE) == first
    assert images.downloads == 1


def test_a_raw_image(tmp_path: Path) -> None:
    images = Images(files.make_partitioned(), disk_format='raw')
    cache = build(tmp_path, images)
    first = cache.ensure_image(IMAGE)
    assert (first.format, first.virtual_size) == ('raw', len(images.content))
    assert cache.ensure_image(IMAGE) == first


def test_those_who_want_it_at_once_share_one_download(tmp_path: Path) -> None:
    images = Images(files.make_qcow2())
    cache = build(tmp_path, images)
    found: list[imagecache.CachedImage] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.ensure_image(IMAGE))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert images.downloads == 1


def test_a_download_that_breaks_off_is_tried_again(tmp_path: Path) -> None:
    images = Images(files.make_qcow2())
    images.broken = 2
    with pytest.raises(exception.ImageDownloadFailed):
        build(tmp_path, images, attempts=2).ensure_image(IMAGE)
    assert list((tmp_path / 'images').iterdir()) == []
    assert build(tmp_path, images, attempts=2).ensure_image(IMAGE).path.exists()


@pytest.mark.parametrize(
    ('record', 'error', 'reason'),
    [
        ({'status': 'queued'}, exception.ImageUnacceptable, 'queued'),
        ({'status': 'deactivated'}, exception.ImageUnacceptable, 'deactivated'),
        ({'disk_format': 'raw'}, exception.ImageUnacceptable, 'its content is qcow2'),
        ({'disk_format': 'vmdk'}, exception.ImageUnacceptable, 'vmdk'),
        ({'size': 3 * 1024**3}, exception.ImageUnacceptable, '2 GiB'),
        ({'virtual_size': 3 * 1024**3}, exception.ImageUnacceptable, '2 GiB'),
        ({'size': 17}, exception.ImageDownloadFailed, 'instead of 17'),
        ({'os_hash_value': 'ab'}, exception.ImageDownloadFailed, 'hash is wrong'),
    ],
)
def test_an_image_that_is_not_right_leaves_nothing(
    tmp_path: Path, record: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        build(tmp_path, Images(files.make_qcow2(), **record)).ensure_image(IMAGE)
    assert list(tmp_path.rglob('*.*')) == []


def test_the_disk_in_the_file_may_not_be_too_large(tmp_path: Path) -> None:
    images = Images(files.make_qcow2(size=3 * 1024**3))
    with pytest.raises(exception.ImageUnacceptable, match='2 GiB'):
        build(tmp_path, images).ensure_image(IMAGE)
    assert list(tmp_path.rglob('*.*')) == []


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(exception.ImageNotFound):
        build(tmp_path, Images(b'')).ensure_image('another')


def test_an_image_without_a_hash(tmp_path: Path) -> None:
    images = Images(files.make_qcow2(), os_hash_algo=None, os_hash_value=None, size=None)
    assert build(tmp_path, images).ensure_image(IMAGE).format == 'qcow2'


def test_remains_are_removed(tmp_path: Path) -> None:
    images = Images(files.make_qcow2())
    cache = build(tmp_path, images)
    cache.remove_remains()
    kept = cache.ensure_image(IMAGE).path
    (kept.parent / '.download-abc').touch()
    cache.remove_remains()
    assert list(kept.parent.iterdir()) == [kept]
