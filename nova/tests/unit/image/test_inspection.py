from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova import exception
from nova.image import inspection
from nova.tests.unit.image import files

IMAGE = 'c1b5a7f2-0d53-4f0e-8d6f-5a1b2c3d4e5f'


def inspect(content: bytes, declared: str | None, piece: int = 4096) -> inspection.Inspection:
    pieces = [content[i : i + piece] for i in range(0, len(content), piece)]
    inspector = inspection.Inspector(IMAGE, declared, pieces)
    assert b''.join(inspector) == content
    return inspector.verdict()


@pytest.mark.parametrize('piece', [100, 512, 4096, 1024 * 1024])
def test_good_images(piece: int) -> None:
    raw, partitioned = files.make_raw(), files.make_partitioned()
    assert inspect(raw, 'raw', piece) == inspection.Inspection(format='raw', virtual_size=len(raw))
    assert inspect(partitioned, 'raw', piece).format == 'raw'
    assert inspect(files.make_qcow2(size=7 * 1024**3), 'qcow2', piece) == inspection.Inspection(
        format='qcow2', virtual_size=7 * 1024**3
    )
    assert inspect(files.make_qcow2(version=2), 'qcow2', piece).format == 'qcow2'


@pytest.mark.parametrize(
    ('content', 'declared', 'reason'),
    [
        (files.make_qcow2(), 'raw', 'its content is qcow2'),
        (files.make_vmdk(), 'raw', 'its content is vmdk'),
        (files.make_raw(), 'qcow2', 'qcow2'),
        (files.make_partitioned(), 'qcow2', 'qcow2'),
        (files.make_vmdk(), 'qcow2', 'qcow2'),
        (b'', 'qcow2', 'qcow2'),
        (files.make_qcow2()[:100], 'qcow2', 'qcow2'),
        (files.make_qcow2(backing=b'/etc/passwd'), 'qcow2', 'backing file'),
        (files.make_qcow2(incompatible=1 << 2), 'qcow2', 'data_file'),
        (files.make_qcow2(incompatible=1 << 9), 'qcow2', 'features'),
        (files.make_qcow2(version=4), 'qcow2', 'version'),
    ],
)
def test_bad_images(content: bytes, declared: str, reason: str) -> None:
    with pytest.raises(exception.ImageUnacceptable, match=reason) as caught:
        inspect(content, declared)
    assert caught.value.code == 400


@pytest.mark.parametrize('declared', ['vmdk', 'iso', 'vhd', 'ami', 'ploop', '', None, 'QCOW2'])
def test_other_formats_are_not_even_read(declared: str | None) -> None:
    def content() -> None:
        raise AssertionError('it was read')

    with pytest.raises(exception.ImageUnacceptable, match='only qcow2 and raw'):
        inspection.Inspector(IMAGE, declared, iter(content, None))


def test_a_wrong_image_is_not_read_to_its_end() -> None:
    pieces = iter([files.make_raw(1024 * 1024)] * 1000)
    with pytest.raises(exception.ImageUnacceptable):
        for _ in inspection.Inspector(IMAGE, 'qcow2', pieces):
            pass
    assert len(list(pieces)) > 990


@given(st.binary(max_size=2048), st.sampled_from(['raw', 'qcow2']))
def test_any_content_has_a_verdict(content: bytes, declared: str) -> None:
    try:
        verdict = inspect(content, declared, 500)
    except exception.ImageUnacceptable:
        return
    assert verdict.format == declared


@given(st.binary(min_size=104, max_size=2048))
def test_no_qcow2_with_a_backing_file_is_accepted(tail: bytes) -> None:
    content = b'QFI\xfb' + tail
    try:
        inspect(content, 'qcow2', 500)
    except exception.ImageUnacceptable:
        return
    assert content[8:16] == bytes(8)


@pytest.mark.parametrize('size', [None, 0, 2 * 1024**3])
def test_a_size_that_is_allowed(size: int | None) -> None:
    inspection.check_size(IMAGE, size, 2)


def test_a_size_that_is_not_allowed() -> None:
    with pytest.raises(exception.ImageUnacceptable, match='2 GiB'):
        inspection.check_size(IMAGE, 2 * 1024**3 + 1, 2)
