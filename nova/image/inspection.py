"""What an image's bytes say it is, whatever its record says.

A hypervisor that guesses a disk's format can be led to open other files of the host
(CVE-2015-5163, CVE-2022-47951, CVE-2024-32498). So the format is declared, the content must agree,
and nothing here or in the driver ever lets QEMU guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses
from typing import IO, cast

from oslo_utils.imageutils import format_inspector

from nova import exception

RAW = 'raw'
QCOW2 = 'qcow2'
#: The formats that may be booted.
BOOTABLE = (QCOW2, RAW)
#: Formats that are a way to lay out a raw disk.
_RAW_LAYOUTS = frozenset((RAW, 'gpt', 'iso'))

_GIB = 1024**3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """An image file that may be booted: ``format`` is ``raw`` or ``qcow2``."""

    format: str
    virtual_size: int
    """Bytes of the disk that the guest sees."""


class Inspector:
    """Passes an image's content on, and looks at it meanwhile.

    :param declared: the disk format of the image's record.
    :param content: the content in pieces, from its first byte to its last.
    :raises ImageUnacceptable: an image of the declared format cannot be booted.
    """

    def __init__(self, image_id: str, declared: str | None, content: Iterable[bytes]) -> None:
        self._image_id = image_id
        self._declared = declared
        self._size = 0
        if declared not in BOOTABLE:
            raise self._refused(
                f'its disk format is {declared}, and only {" and ".join(BOOTABLE)} can be booted'
            )
        self._wrapper = format_inspector.InspectWrapper(
            # It is only ever iterated over, though it is declared to be a file.
            cast(IO[bytes], iter(content)),
            expected_format=declared if declared != RAW else None,
        )

    def __iter__(self) -> Iterator[bytes]:
        """The same pieces.

        :raises ImageUnacceptable: as soon as the content cannot be what was declared.
        """
        try:
            for piece in self._wrapper:
                self._size += len(piece)
                yield piece
        except format_inspector.ImageFormatError as exc:
            raise self._refused(str(exc)) from exc

    def verdict(self) -> Inspection:
        """What the image is, once all of it has been read.

        :raises ImageUnacceptable: it is not what was declared, or it is unsafe.
        """
        found = {str(match): match for match in self._wrapper.formats or ()}
        if self._declared == QCOW2 and set(found) == {QCOW2}:
            self._check_safety(found[QCOW2])
            return Inspection(format=QCOW2, virtual_size=found[QCOW2].virtual_size)
        # A raw disk is never parsed on the host, so what its partitions are is the guest's affair.
        if self._declared == RAW and set(found) <= _RAW_LAYOUTS:
            return Inspection(format=RAW, virtual_size=self._size)
        raise self._refused(
            f'its record says {self._declared}, its content is {" and ".join(sorted(found))}'
        )

    def _check_safety(self, found: format_inspector.FileInspector) -> None:
        try:
            found.safety_check()
        except format_inspector.SafetyCheckFailed as exc:
            raise self._refused('; '.join(map(str, exc.failures.values()))) from exc
        except format_inspector.ImageFormatError as exc:
            raise self._refused(str(exc)) from exc

    def _refused(self, reason: str) -> exception.ImageUnacceptable:
        return exception.ImageUnacceptable(image_id=self._image_id, reason=reason)


def check_size(image_id: str, size: int | None, max_gb: int) -> None:
    """Refuse an image that is larger than ``max_gb`` GiB; an unknown size passes.

    :raises ImageUnacceptable: it is larger.
    """
    if size is not None and size > max_gb * _GIB:
        raise exception.ImageUnacceptable(
            image_id=image_id, reason=f'it is larger than {max_gb} GiB'
        )
