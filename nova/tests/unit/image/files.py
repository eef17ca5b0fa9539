"""Image files made on the fly, of the formats' own specifications."""

from __future__ import annotations

import struct


def make_qcow2(
    *,
    size: int = 1024**3,
    version: int = 3,
    backing: bytes = b'',
    incompatible: int = 0,
    length: int = 65536,
) -> bytes:
    """The header of a qcow2 file and nothing else (docs/interop/qcow2.txt in QEMU)."""
    header = struct.pack(
        '>4sIQIIQIIQQIIQQQQII',
        *(b'QFI\xfb', version, 512 if backing else 0, len(backing), 16, size),
        *(0, 0, 0x30000, 0x10000, 1, 0, 0),
        *(incompatible, 0, 0, 4, 104),
    )
    return (header.ljust(512, b'\0') + backing).ljust(length, b'\0')


def make_vmdk() -> bytes:
    """A sparse VMDK whose descriptor names a file of the host."""
    descriptor = (
        b'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n'
        b'createType="monolithicFlat"\nRW 2048 FLAT "/etc/passwd" 0\n'
    )
    header = struct.pack('<4sIIQQQQIQQQ', b'KDMV', 1, 3, 2048, 128, 1, 20, 512, 0, 0, 128)
    return header.ljust(512, b'\0') + descriptor.ljust(20 * 512, b'\0') + bytes(65536)


def make_raw(length: int = 128 * 1024) -> bytes:
    """A disk with nothing that anybody knows."""
    return bytes(range(256)) * (length // 256)


def make_partitioned(length: int = 128 * 1024) -> bytes:
    """A raw disk with a master boot record and one Linux partition."""
    entry = struct.pack('<B3BB3BII', 0x80, 0, 2, 0, 0x83, 0, 9, 0, 1, 100)
    return (bytes(446) + entry + bytes(48) + b'\x55\xaa').ljust(length, b'\0')
