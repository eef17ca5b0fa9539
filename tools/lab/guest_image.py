"""A bootable disk image of a guest that reports what it sees on its network cards.

Made of Debian's cloud kernel, Debian's static BusyBox and the files in ``guest/``: one whole-disk
ext4 file system with extlinux, so that it boots like any image in the image service, without
a kernel of its own to hand over.  About 17 MB as qcow2; about 6 s to the report without KVM.

The result is kept in ``.run/cache`` under the hash of what it was made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import hashlib
from pathlib import Path
import re
import shutil
import subprocess
import tempfile

from lab import checkout

SOURCES = Path(__file__).parent / 'guest'
KERNEL_METAPACKAGE = 'linux-image-cloud-amd64'
#: The compiler's flags for a program without any C library.
FREESTANDING = ('-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-s')
#: What they make of which source.
PROGRAMS: Mapping[str, str] = {'inject.c': 'inject-frame', 'ask6.c': 'ask6'}
#: Modules by the moment they are loaded; what they depend on is added.
#: "boot" makes the time to the report: nothing else belongs there.
RAMDISK_MODULES: Mapping[str, Sequence[str]] = {
    'boot': ('virtio_pci', 'virtio_blk', 'virtio_net'),
    'power': ('button', 'evdev'),
}
#: These stay on the disk until a test types "load NAME".
DISK_MODULES: Mapping[str, Sequence[str]] = {
    'vlan': ('8021q',),
    'cdrom': ('isofs',),
}
#: Without mitigations and self-tests an emulated processor boots a second sooner.
KERNEL_OPTIONS = (
    'console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check'
    ' cryptomgr.notests random.trust_cpu=on net.ifnames=0'
)
BOOT_LOADER = f"""\
DEFAULT guest
PROMPT 0
TIMEOUT 1
LABEL guest
 LINUX /vmlinuz
 INITRD /initrd
 APPEND {KERNEL_OPTIONS}
"""
DISK_MIB = 24
#: Copied by the kernel: extlinux cannot read what "mke2fs -d" writes; and extlinux itself wants a
#: mounted file system.  The mount is in a namespace, nobody else's to see.
FILL_DISK = """\
set -e
mount --make-rprivate /
mount -o loop "$1" "$2"
cp -r "$3"/. "$2"
extlinux --install "$2"
umount "$2"
"""
#: The BIOS part of extlinux reads neither of these features.
FILE_SYSTEM_FEATURES = '^64bit,^metadata_csum,^has_journal'


class ImageError(Exception):
    """The image could not be made; the text says at which command and why."""


def build() -> Path:
    """Make the image unless it is there; returns its path.  Raises ImageError.  About 5 s."""
    images = checkout.CACHE / 'guest'
    images.mkdir(parents=True, exist_ok=True)
    image = images / f'guest-{hash_of_inputs()}.qcow2'
    with checkout.locked(images / '.lock'):
        if not image.exists():
            with tempfile.TemporaryDirectory(dir=images) as scratch:
                build_in(Path(scratch), image)
            remove_others(image)
    return image


def hash_of_inputs() -> str:
    """Of this file, the files in ``guest/`` and the version of BusyBox.

    Not of the kernel: the newest there is when the image is made is good enough, and asking
    for its version takes longer than everything else.
    """
    digest = hashlib.sha256()
    for source in [Path(__file__), *sorted(SOURCES.iterdir())]:
        if source.is_file():
            digest.update(source.read_bytes())
    digest.update(run('dpkg-query', '-W', '-f', '${Version}', 'busybox-static').encode())
    return digest.hexdigest()[:16]


def remove_others(image: Path) -> None:
    """Images of older inputs."""
    for other in image.parent.glob('guest-*.qcow2'):
        if other != image:
            other.unlink()


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command; its stdout.  Raises ImageError with its stderr."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise ImageError(f'{command[0]} is missing: run tools/install first') from exc
    if done.returncode != 0:
        raise ImageError(f'{" ".join(command)}: {done.stderr.strip() or done.stdout.strip()}')
    return done.stdout


def build_in(scratch: Path, image: Path) -> None:
    kernel = unpack_kernel(scratch)
    disk = scratch / 'disk'
    disk.mkdir()
    shutil.copy(next(kernel.glob('boot/vmlinuz-*')), disk / 'vmlinuz')
    shutil.copy('/usr/lib/syslinux/modules/bios/ldlinux.c32', disk)
    (disk / 'extlinux.conf').write_text(BOOT_LOADER)
    copy_modules(kernel, DISK_MODULES, disk / 'modules', '/disk/modules')
    make_ramdisk(scratch, kernel, disk / 'initrd')
    raw = make_disk(scratch, disk)
    new = scratch / 'image.qcow2'
    # Not compressed: most of it is the kernel, which is, and each boot would unpack it again.
    run('qemu-img', 'convert', '-O', 'qcow2', str(raw), str(new))
    new.rename(image)


# --- kernel and modules -------------------------------------------------------------


def unpack_kernel(scratch: Path) -> Path:
    """Fetch Debian's cloud kernel, without installing it, and unpack it."""
    target = scratch / 'kernel'
    run('dpkg', '-x', str(fetch_kernel(scratch)), str(target))
    return target


def fetch_kernel(scratch: Path) -> Path:
    """The kernel's package file; the lists of packages are renewed if they are too old."""
    with contextlib.suppress(ImageError):
        return download_kernel(scratch)
    run('apt-get', '-q', 'update')
    return download_kernel(scratch)


def download_kernel(scratch: Path) -> Path:
    depends = run('apt-cache', 'depends', KERNEL_METAPACKAGE)
    found = re.search(r'Depends: (linux-image-\S+)', depends)
    if found is None:
        raise ImageError(f'apt knows no package {KERNEL_METAPACKAGE}')
    # As root: apt's own user cannot write here.
    run('apt-get', '-q', '-o', 'APT::Sandbox::User=root', 'download', found[1], cwd=scratch)
    return next(scratch.glob('linux-image-*.deb'))


def copy_modules(
    kernel: Path, wanted: Mapping[str, Sequence[str]], target: Path, seen_at: str
) -> None:
    """Copy modules, and for each group a list of them in the order in which to load them.

    :param seen_at: the directory's path in the guest
    """
    files = {path.stem.replace('-', '_'): path for path in kernel.rglob('*.ko')}
    target.mkdir(parents=True)
    for group, names in wanted.items():
        order = load_order(files, names)
        for name in order:
            shutil.copy(files[name], target / f'{name}.ko')
        lines = ''.join(f'{seen_at}/{name}.ko\n' for name in order)
        (target / f'{group}.order').write_text(lines)


def load_order(files: Mapping[str, Path], names: Iterable[str]) -> list[str]:
    """Modules with all they depend on, dependencies first."""
    order: list[str] = []
    for name in names:
        if name not in files:
            raise ImageError(f'the kernel has no module {name}')
        for module in (*load_order(files, dependencies(files[name].read_bytes())), name):
            if module not in order:
                order.append(module)
    return order


def dependencies(module: bytes) -> list[str]:
    """What a kernel module depends on, from its ``depends=`` line (modinfo(8))."""
    found = re.search(rb'\0depends=([^\0]*)\0', module)
    names = found[1].decode().split(',') if found else []
    return [name.replace('-', '_') for name in names if name]


# --- ramdisk ------------------------------------------------------------------------


def make_ramdisk(scratch: Path, kernel: Path, target: Path) -> None:
    """The guest's whole system: BusyBox, our files, the modules needed at once."""
    root = scratch / 'ramdisk'
    for directory in ('bin', 'config', 'dev', 'disk', 'etc/acpi/PWRF', 'proc', 'run', 'sys', 'tmp'):
        (root / directory).mkdir(parents=True)
    install_busybox(root / 'bin')
    copy_modules(kernel, RAMDISK_MODULES, root / 'lib/modules', '/lib/modules')
    install_script(SOURCES / 'init', root / 'init')
    install_script(SOURCES / 'udhcpc', root / 'etc/udhcpc')
    shutil.copy(SOURCES / 'flatten.awk', root / 'etc')
    for source, name in PROGRAMS.items():
        run('gcc', *FREESTANDING, '-o', str(root / 'bin' / name), str(SOURCES / source))
    power = root / 'etc/acpi/PWRF/00000080'  # what BusyBox acpid runs for the power button
    power.write_text('#!/bin/sh\nsync\nexec /bin/busybox poweroff -f\n')
    power.chmod(0o755)
    pack(root, target)


def install_busybox(target: Path) -> None:
    shutil.copy('/bin/busybox', target / 'busybox')
    for name in run('/bin/busybox', '--list').split():
        if name != 'busybox':
            (target / name).symlink_to('busybox')


def install_script(source: Path, target: Path) -> None:
    shutil.copy(source, target)
    target.chmod(0o755)


def pack(root: Path, target: Path) -> None:
    """An initramfs (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    script = 'find . | sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n >"$1"'
    run('/bin/sh', '-c', script, 'sh', str(target), cwd=root)


# --- disk ---------------------------------------------------------------------------


def make_disk(scratch: Path, content: Path) -> Path:
    """A raw disk of one file system, without partitions, that a BIOS boots."""
    raw = scratch / 'disk.raw'
    with raw.open('wb') as file:
        file.truncate(DISK_MIB << 20)
    options = ('-q', '-F', '-t', 'ext4', '-O', FILE_SYSTEM_FEATURES, '-m', '0', '-N', '64')
    run('mke2fs', *options, str(raw))
    point = scratch / 'mnt'
    point.mkdir()
    run('unshare', '--mount', '/bin/sh', '-c', FILL_DISK, 'sh', str(raw), str(point), str(content))
    return raw
