"""What passes on the switch and on the hosts' bridges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import pathlib
import subprocess
import sys
import time

from lab.sandbox import Sandbox, end
from nova.tests.integration.virt import frames

SCRIPT = pathlib.Path(frames.__file__)
_ETH_P_8021Q = 0x8100
#: The last frame's way through the queues of two hosts that emulate their guests.
_SETTLE_S = 2.0


@dataclasses.dataclass(frozen=True)
class Frame:
    """An Ethernet frame; ``vlan`` is that of its outer tag (IEEE 802.1Q), None: it has none."""

    destination: str
    source: str
    vlan: int | None
    ethertype: int
    payload: bytes


def parse_frame(raw: bytes) -> Frame:
    addresses = [raw[start : start + 6].hex(':') for start in (0, 6)]
    kind, vlan, rest = int.from_bytes(raw[12:14]), None, raw[14:]
    if kind == _ETH_P_8021Q:
        vlan = int.from_bytes(rest[:2]) & 0xFFF
        kind, rest = int.from_bytes(rest[2:4]), rest[4:]
    return Frame(addresses[0], addresses[1], vlan, kind, rest)


@contextlib.contextmanager
def captured(*places: tuple[Sandbox, str], action: str = 'watch') -> Iterator[list[list[Frame]]]:
    """The frames that pass each device meanwhile, complete when the block is left.

    :param places: host and device.
    :param action: ``received`` leaves out what that side itself sends.
    """
    seen: list[list[Frame]] = [[] for _ in places]
    processes: list[subprocess.Popen[str]] = []
    try:
        for host, device in places:
            process = host.popen([sys.executable, '-I', str(SCRIPT), action, device])
            processes.append(process)
            assert process.stdout is not None
            first = process.stdout.readline().strip()
            assert first == 'ready', (device, first)
        yield seen
        time.sleep(_SETTLE_S)
    finally:
        for process, found in zip(processes, seen, strict=False):
            found += parse_lines(end(process).splitlines())


def parse_lines(lines: Sequence[str]) -> list[Frame]:
    return [parse_frame(bytes.fromhex(line)) for line in lines if line]
