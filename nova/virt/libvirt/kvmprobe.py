"""Whether guests run under KVM here, found out by running one for a moment.

That ``/dev/kvm`` opens says little. Under nested virtualisation without the processor's help,
KVM may take guests and interpret their instructions one by one: a boot sector in real mode then
runs as it should, while a kernel seems to hang. So the probe's guest does what a kernel does
first: it enters long mode with paging, asks CPUID, goes 20 million times round a loop that writes
to memory, uses SSE, and only then reports, by QEMU's isa-debug-exit device. A processor does that
in 50 ms and QEMU's own emulation in 200; an interpreter needs minutes.

What a yes proves: KVM runs 64-bit supervisor code with paging at the processor's speed, with the
processor model that guests get. What it does not prove: that interrupts, user mode or several
processors work. Whatever else happens (no QEMU, no right to open the device, a crash, no answer in
time) counts as no.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil

from oslo_concurrency import processutils
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

DEVICE = '/dev/kvm'
QEMU = 'qemu-system-x86_64'
DEADLINE_S = 3

#: Real mode code that a PC's firmware loads at 0x7c00.
_CODE = bytes.fromhex(
    # cli; ds, es, ss = 0; sp = 0x7c00
    'fa 31c0 8ed8 8ec0 8ed0 bc007c'
    # Clear 0x1000..0x3fff, then map the first 2 MiB one to one: PML4, PDPT, PD.
    'fc bf0010 b90018 f3ab c70600100320 c70600200330 c70600308300'
    # cr4 |= PAE | OSFXSR | OSXMMEXCPT; cr3 = 0x1000; EFER |= LME
    '0f20e0 660d20060000 0f22e0 66b800100000 0f22d8 66b9800000c0 0f32 660d00010000 0f30'
    # lgdt; cr0 = cr0 & ~(EM | TS) | PG | MP | PE; far jump into the 64-bit segment
    '0f0116b87c 0f20c0 6683e0f3 660d03000080 0f22c0 66ea697c00000800'
    # ds, es, ss = data segment; cpuid of leaf 0
    'b810000000 8ed8 8ec0 8ed0 31c0 0fa2'
    # ecx = 20,000,000; do ebx += ecx; [0x4000] = ebx while --ecx
    'b9002d3101 31db 01cb 891c2500400000 ffc9 75f3'
    # pxor xmm0, xmm0; [0x4010] = xmm0
    '660fefc0 0f11042510400000'
    # port 0xf4 = 0x31; hlt for ever
    'b031 e6f4 f4 ebfd 90'
    # Segments: none, 64-bit code, data; then the size and address that lgdt reads.
    '0000000000000000 00000000009a2000 0000000000920000 1700 a07c0000'
)
#: QEMU exits with twice the value written to the port plus one (hw/misc/debugexit.c).
_SUCCESS = 0x31 * 2 + 1


def build_boot_sector() -> bytes:
    """The probe's guest: a disk of one sector."""
    return _CODE.ljust(510, b'\0') + b'\x55\xaa'


def is_kvm_usable(state_path: Path) -> bool:
    """Whether new guests may use KVM.

    The answer is kept below ``state_path`` for as long as the host does not boot and QEMU is not
    replaced.
    """
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        LOG.info('Guests are emulated: %s is missing or may not be opened.', DEVICE)
        return False
    folder = state_path / 'cache'
    answer = folder / 'kvm-probe.json'
    key = _key()
    if (known := _read_answer(answer, key)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    usable = launch_probe(folder)
    answer.write_text(json.dumps({'key': key, 'usable': usable}))
    return usable


def launch_probe(folder: Path, *, accelerator: str = 'kvm', cpu: str = 'host') -> bool:
    """Run the probe's guest now, with a file in ``folder``; takes at most the deadline."""
    image = folder / 'kvm-probe.img'
    image.write_bytes(build_boot_sector())
    try:
        processutils.execute(
            *('timeout', '--signal=KILL', str(DEADLINE_S), QEMU),
            *('-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'),
            *('-machine', f'pc,accel={accelerator}', '-cpu', cpu, '-m', '16'),
            *('-device', 'isa-debug-exit,iobase=0xf4,iosize=1'),
            *('-drive', f'file={image},format=raw,if=ide'),
            check_exit_code=[_SUCCESS],
            prlimit=processutils.ProcessLimits(core_file_size=0),
        )
    except processutils.ProcessExecutionError as exc:
        what = 'no answer in time' if exc.exit_code in (-9, 137) else f'exit code {exc.exit_code}'
        LOG.warning('Guests do not run with %s here (%s): %s', accelerator, what, exc.stderr)
        return False
    except OSError as exc:
        LOG.warning('%s could not be started: %s', QEMU, exc)
        return False
    finally:
        image.unlink(missing_ok=True)
    return True


def _key() -> str:
    """What the answer depends on: this boot of this kernel, and the QEMU program."""
    boot_id = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    found = shutil.which(QEMU)
    if found is None:
        return boot_id
    status = os.stat(found)
    return f'{boot_id} {os.uname().release} {found} {status.st_size} {status.st_mtime_ns}'


def _read_answer(path: Path, key: str) -> bool | None:
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return bool(kept['usable']) if isinstance(kept, dict) and kept.get('key') == key else None
