"""The first process of a sandbox host.

Run as a script, in a process of its own, with one argument: a JSON object with the keys

    name      the host name
    checkout  the source tree, shown inside at the same path, read-only and live
    share     a directory shown inside at the same path, writable, to exchange files
    state     where ``state.json`` is written; ``mnt`` below it is used as a mount point
    kvm       whether the host gets /dev/kvm

It enters new namespaces, builds the host's root out of the machine's own (copy-on-write, the
copies in memory), reports on stdout (``ready``, or one line of error), and then does what the
first process of a host must do: collect dead processes.  When it ends, by SIGTERM or by being
killed, the kernel ends every process of the host, and with the last of them go the mounts and
the network devices.

Sources: namespaces(7), pid_namespaces(7), mount_namespaces(7), pivot_root(2) and the kernel's
Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
import grp
import json
import os
from pathlib import Path
import signal
import stat
import subprocess
import sys
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
ALL_NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
)

#: File systems that hold files worth seeing inside.  An overlay of "/" does not show what is
#: mounted below it, so each mount of these kinds gets an overlay of its own.
FILE_KINDS = frozenset(
    ('9p', 'bcachefs', 'btrfs', 'erofs', 'ext2', 'ext3', 'ext4', 'f2fs', 'overlay', 'squashfs')
    + ('virtiofs', 'xfs', 'zfs')
)
#: Trees of which the host has its own, whatever the machine has there.
OWN_TREES = ('/dev', '/proc', '/run', '/sys', '/tmp')
#: Directories that start empty, so that the machine's own guests are never seen or touched.
EMPTY_DIRECTORIES = ('/etc/libvirt', '/var/lib/libvirt', '/var/cache/libvirt', '/var/log/libvirt')
#: Device nodes: name, major, minor, mode (Documentation/admin-guide/devices.txt).
DEVICES = (
    ('null', 1, 3, 0o666),
    ('zero', 1, 5, 0o666),
    ('full', 1, 7, 0o666),
    ('random', 1, 8, 0o666),
    ('urandom', 1, 9, 0o666),
    ('tty', 5, 0, 0o666),
    ('net/tun', 10, 200, 0o666),
)
KVM_MINOR = 232


@dataclass(frozen=True)
class Plan:
    """What to build; see the module's docstring."""

    name: str
    checkout: Path
    share: Path
    state: Path
    kvm: bool

    @classmethod
    def from_json(cls, text: str) -> Plan:
        data = json.loads(text)
        return cls(
            name=data['name'],
            checkout=Path(data['checkout']),
            share=Path(data['share']),
            state=Path(data['state']),
            kvm=bool(data['kvm']),
        )


def unshare(flags: int) -> None:
    """Enter new namespaces (unshare(2)); raises OSError with a hint."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(
            code,
            f'cannot make namespaces: {os.strerror(code)}'
            ' (this needs root with CAP_SYS_ADMIN; in a container, a privileged one)',
        )


def mount(*arguments: str) -> None:
    """Run mount(8); its own words are the error."""
    done = subprocess.run(['mount', *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f'mount {" ".join(arguments)}: {done.stderr.strip()}')


def parse_mounts(mountinfo: str) -> list[tuple[str, str]]:
    """(mount point, file system type) of each line of /proc/self/mountinfo (proc(5))."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(' - ')
        point = before.split()[4].encode().decode('unicode_escape')
        found.append((point, after.split()[0]))
    return found


def choose_overlays(mounts: list[tuple[str, str]]) -> list[str]:
    """The mount points to show inside by an overlay, parents first, "/" always the first."""
    points = {
        point
        for point, kind in mounts
        if kind in FILE_KINDS and not any(is_below(point, tree) for tree in OWN_TREES)
    }
    return sorted(points | {'/'})


def is_below(path: str, tree: str) -> bool:
    """Whether a path is a tree's top or something in it."""
    return path == tree or path.startswith(tree + '/')


def mount_overlays(base: Path, root: Path) -> None:
    """Show the machine's files at ``root``; what is changed there stays in memory."""
    points = choose_overlays(parse_mounts(Path('/proc/self/mountinfo').read_text()))
    os.chdir(base)  # relative names: the options of an overlay cannot hold every character
    for number, point in enumerate(points):
        if not os.path.isdir(point):
            continue  # containers mount single files, such as /etc/hosts
        for kind in ('upper', 'work'):
            Path(f'{kind}{number}').mkdir()
        copy_attributes(point, f'upper{number}')
        options = f'lowerdir={point},upperdir=upper{number},workdir=work{number}'
        mount('-t', 'overlay', '-o', options, 'sandbox', str(root) + point)


def copy_attributes(source: str, target: str) -> None:
    """The top of an overlay takes owner and mode from its upper directory."""
    found = os.stat(source)
    os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, stat.S_IMODE(found.st_mode))


def mount_own_trees(root: Path) -> None:
    """Fresh /proc, /sys, /run, /tmp and the directories that start empty."""
    mount('-t', 'proc', 'proc', f'{root}/proc')
    mount('-t', 'sysfs', 'sysfs', f'{root}/sys')  # a new one: it shows this network namespace
    mount('-t', 'tmpfs', '-o', 'mode=755', 'cgroup', f'{root}/sys/fs/cgroup')
    mount('-t', 'tmpfs', '-o', 'mode=755', 'run', f'{root}/run')
    (root / 'run/lock').mkdir()
    (root / 'run/lock').chmod(0o1777)
    mount('-t', 'tmpfs', '-o', 'mode=1777', 'tmp', f'{root}/tmp')
    for path in EMPTY_DIRECTORIES:
        Path(f'{root}{path}').mkdir(parents=True, exist_ok=True)
        mount('-t', 'tmpfs', '-o', 'mode=755', 'empty', f'{root}{path}')


def make_devices(dev: Path, kvm: bool) -> None:
    """A small /dev of its own, with its own terminals; the machine's disks are not in it."""
    mount('-t', 'tmpfs', '-o', 'mode=755', 'dev', str(dev))
    for directory in ('net', 'pts', 'shm'):
        (dev / directory).mkdir()
    for name, major, minor, mode in DEVICES:
        make_device(dev / name, os.makedev(major, minor), mode)
    if kvm:
        make_device(dev / 'kvm', os.makedev(10, KVM_MINOR), 0o660)
        os.chown(dev / 'kvm', 0, grp.getgrnam('kvm').gr_gid)
    mount('-t', 'devpts', '-o', 'newinstance,ptmxmode=0666,mode=620,gid=5', 'pts', f'{dev}/pts')
    mount('-t', 'tmpfs', '-o', 'mode=1777', 'shm', f'{dev}/shm')
    for name, target in (
        ('ptmx', 'pts/ptmx'),
        ('fd', '/proc/self/fd'),
        ('stdin', '/proc/self/fd/0'),
        ('stdout', '/proc/self/fd/1'),
        ('stderr', '/proc/self/fd/2'),
    ):
        (dev / name).symlink_to(target)


def make_device(path: Path, device: int, mode: int) -> None:
    os.mknod(path, stat.S_IFCHR | mode, device)
    os.chmod(path, mode)  # whatever the umask


def show_checkout(plan: Plan, root: Path) -> None:
    """The source tree by a bind mount, not through the overlay.

    The kernel leaves undefined what an overlay shows of files that change underneath, and an
    edited source file must be what a restarted service runs.
    """
    target = f'{root}{plan.checkout}'
    Path(target).mkdir(parents=True, exist_ok=True)
    mount('--bind', str(plan.checkout), target)
    mount('-o', 'remount,bind,ro', target)
    mount('--bind', str(plan.share), f'{root}{plan.share}')
    open_way(root, plan.checkout)


def open_way(root: Path, path: Path) -> None:
    """Let services that are not root reach the checkout, below /root for example.

    Only the sandbox's copies of the directories are changed.
    """
    for parent in path.parents:
        inside = Path(f'{root}{parent}')
        mode = stat.S_IMODE(inside.stat().st_mode)
        if not mode & stat.S_IXOTH:
            inside.chmod(mode | stat.S_IXOTH)


def enter_root(root: Path) -> None:
    """Make ``root`` the root of this mount namespace and forget the old one."""
    (root / 'tmp/old').mkdir()
    subprocess.run(['pivot_root', str(root), str(root / 'tmp/old')], check=True)
    os.chdir('/')
    subprocess.run(['umount', '-l', '/tmp/old'], check=True)
    Path('/tmp/old').rmdir()


def name_host(name: str) -> None:
    """Set the host name, and make it known to the resolver."""
    subprocess.run(['hostname', name], check=True)
    replace_file('/etc/hostname', f'{name}\n')
    replace_file('/etc/hosts', f'127.0.0.1 localhost {name}\n::1 localhost ip6-localhost\n')


def replace_file(path: str, text: str) -> None:
    """Write a file anew rather than through a symbolic link, which may lead nowhere inside."""
    if os.path.lexists(path):
        os.unlink(path)
    Path(path).write_text(text)


def build_host(plan: Plan) -> None:
    """From new, empty namespaces to a host; raises OSError."""
    mount('--make-rprivate', '/')
    base = plan.state / 'mnt'
    mount('-t', 'tmpfs', '-o', 'mode=755', 'sandbox', str(base))
    root = base / 'root'
    root.mkdir()
    mount_overlays(base, root)
    mount_own_trees(root)
    make_devices(root / 'dev', plan.kvm)
    show_checkout(plan, root)
    enter_root(root)
    name_host(plan.name)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)


def process_start(pid: str) -> int:
    """When a process started, in clock ticks since boot: with the pid, a lasting identity."""
    return int(Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19])


def write_state(plan: Plan) -> None:
    """Record how the machine knows this process.

    Written by this process itself and before anything else, so that ``down`` finds the host
    even if the process that asked for it was killed meanwhile.  /proc is still the machine's.
    """
    pid = os.readlink('/proc/self')
    state = {
        'pid': int(pid),
        'start': process_start(pid),
        'boot': Path('/proc/sys/kernel/random/boot_id').read_text().strip(),
        'pid_namespace': os.readlink('/proc/self/ns/pid'),
        'since': time.time(),
    }
    new = plan.state / 'state.json.new'
    new.write_text(json.dumps(state, indent=1) + '\n')
    new.rename(plan.state / 'state.json')


def reap_for_ever() -> None:
    """Collect dead processes until SIGTERM.

    A host whose first process does not is not usable: a guest's QEMU would stay a zombie, and
    libvirt waits more than a minute for it to vanish.
    """
    wanted = {signal.SIGCHLD, signal.SIGTERM}
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if signal.sigwait(wanted) == signal.SIGTERM:
            return


def detach() -> None:
    """Keep no descriptor of whoever asked for the host."""
    null = os.open('/dev/null', os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


def answer(text: str) -> None:
    """Tell whoever asked for the host; if he is gone, nobody wants it."""
    try:
        os.write(1, f'{text}\n'.encode())
    except BrokenPipeError:
        os._exit(1)


def first_process(plan: Plan) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    write_state(plan)
    try:
        build_host(plan)
    except (OSError, subprocess.CalledProcessError) as exc:
        answer(str(exc))
        os._exit(1)
    answer('ready')
    detach()
    reap_for_ever()


def main() -> None:
    plan = Plan.from_json(sys.argv[1])
    os.setsid()
    os.umask(0o022)
    try:
        unshare(ALL_NAMESPACES)
    except OSError as exc:
        print(exc.strerror, flush=True)
        sys.exit(1)
    # The new process namespace is for children only: the first of them is its process 1.
    if os.fork() == 0:
        first_process(plan)
    os._exit(0)


if __name__ == '__main__':
    main()
