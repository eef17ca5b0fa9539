"""libvirtd and virtlogd in a sandbox.

The daemons are Debian's, with Debian's user for QEMU; what differs from Debian's configuration
is what a sandbox has not: no security module, no device namespaces, no control groups.
Sources: the comments of Debian's qemu.conf, libvirtd.conf and virtlogd.conf.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
import shutil

from lab import checkout
from lab.sandbox import Sandbox, SandboxError, wait_until

URI = 'qemu:///system'
LOG = '/var/log/libvirt/libvirtd.log'
VIRTLOGD_LOG = '/var/log/libvirt/virtlogd.log'
LIBVIRTD_PID = '/run/libvirtd.pid'
VIRTLOGD_PID = '/run/virtlogd.pid'
#: What libvirt learnt about QEMU's abilities; asking QEMU takes seconds.  libvirt itself checks
#: whether it still holds (QEMU's and libvirt's file times, the kernel, KVM).
CAPABILITIES = '/var/cache/libvirt/qemu/capabilities'
CACHE_PREFIX = 'qemu-capabilities-'
START_TIMEOUT_S = 90.0

LIBVIRTD_CONF = f"""\
unix_sock_group = "libvirt"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_filters = "3:*"
log_outputs = "1:file:{LOG}"
"""
QEMU_CONF = """\
# There is no AppArmor, no SELinux and no writable control group in a sandbox.
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
# An overlay has no trusted extended attributes to remember owners in.
remember_owner = 0
# Serial consoles go through virtlogd, which bounds the log files.
stdio_handler = "logd"
"""
VIRTLOGD_CONF = f"""\
log_outputs = "2:file:{VIRTLOGD_LOG}"
max_size = 2097152
max_backups = 1
"""
#: The pristine filters of libvirt's own (clean-traffic and its parts).
FILTERS = '/usr/share/libvirt/nwfilter'


def start(sandbox: Sandbox) -> None:
    """Configure and start both daemons, and wait until libvirtd serves.

    Raises SandboxError with the end of the log.
    """
    configure(sandbox)
    with locked_cache():
        restore_capabilities(sandbox)
    start_daemons(sandbox)
    with locked_cache():
        save_capabilities(sandbox)


def start_daemons(sandbox: Sandbox) -> None:
    """Start both daemons, configured before, and wait until libvirtd serves."""
    sandbox.run(['virtlogd', '-d', '-p', VIRTLOGD_PID])
    start_libvirtd(sandbox)


def start_libvirtd(sandbox: Sandbox) -> None:
    """Start libvirtd alone, as after stop_libvirtd."""
    sandbox.run(['libvirtd', '-d', '-p', LIBVIRTD_PID])
    # "capabilities" makes libvirtd ask QEMU now rather than in the midst of a test.
    ready = wait_until(lambda: virsh_works(sandbox, 'capabilities'), START_TIMEOUT_S)
    if not ready:
        raise SandboxError(f'libvirtd does not serve:\n{sandbox.tail(LOG)}')


def stop_libvirtd(sandbox: Sandbox, timeout_s: float = 30.0) -> None:
    """Stop libvirtd; guests run on, as they do when an operator restarts it."""
    pid = int(sandbox.read_file(LIBVIRTD_PID))
    sandbox.kill(pid)
    if not sandbox.wait_process_end(pid, timeout_s):
        raise SandboxError(f'libvirtd does not end:\n{sandbox.tail(LOG)}')


def virsh(sandbox: Sandbox, *arguments: str) -> str:
    """What virsh prints; CommandError when it fails."""
    return sandbox.output('virsh', '-q', '-c', URI, *arguments)


def virsh_works(sandbox: Sandbox, *arguments: str) -> bool:
    done = sandbox.run(['virsh', '-q', '-c', URI, *arguments], check=False, timeout_s=None)
    return done.returncode == 0


def configure(sandbox: Sandbox) -> None:
    """Fill the sandbox's empty /etc/libvirt."""
    sandbox.write_file('/etc/libvirt/libvirtd.conf', LIBVIRTD_CONF)
    sandbox.write_file('/etc/libvirt/qemu.conf', QEMU_CONF)
    sandbox.write_file('/etc/libvirt/virtlogd.conf', VIRTLOGD_CONF)
    sandbox.run(['mkdir', '-p', '/etc/libvirt/qemu/networks'])  # as Debian's package has it
    copy_in(sandbox, Path(FILTERS), '/etc/libvirt/nwfilter')


def copy_in(sandbox: Sandbox, source: Path, target: str) -> None:
    """Copy a directory of the machine's to a place inside."""
    if not source.is_dir():
        return
    exchange = sandbox.share / 'copy-in'
    shutil.copytree(source, exchange)
    script = 'mkdir -p "$2" && cp -rp "$1"/. "$2"'
    sandbox.run(['/bin/sh', '-c', script, 'sh', str(exchange), target])
    shutil.rmtree(exchange)


def locked_cache() -> contextlib.AbstractContextManager[None]:
    """While it is copied, no other test replaces it."""
    checkout.CACHE.mkdir(parents=True, exist_ok=True)
    return checkout.locked(checkout.CACHE / f'.{CACHE_PREFIX}lock')


def capabilities_cache(sandbox: Sandbox) -> Path:
    """Where they are kept for the next sandbox with the same kernel."""
    return checkout.CACHE / f'{CACHE_PREFIX}{sandbox.output("uname", "-r").strip()}'


def restore_capabilities(sandbox: Sandbox) -> None:
    """Where there is nothing of this kernel, what was learnt with another one: without KVM libvirt
    does not ask which it was, and in a user-mode-linux host to learn it anew takes half a minute.
    """
    others = sorted(checkout.CACHE.glob(f'{CACHE_PREFIX}*'))
    for cache in (capabilities_cache(sandbox), *others):
        if cache.is_dir():
            copy_in(sandbox, cache, CAPABILITIES)
            return


def save_capabilities(sandbox: Sandbox) -> None:
    """Keep what libvirt learnt for the next sandbox."""
    exchange = sandbox.share / 'copy-out'
    sandbox.run(['cp', '-rp', CAPABILITIES, str(exchange)])
    cache = capabilities_cache(sandbox)
    new = cache.with_name(f'.{cache.name}.{sandbox.name}')
    shutil.copytree(exchange, new)
    shutil.rmtree(exchange)
    shutil.rmtree(cache, ignore_errors=True)
    new.rename(cache)
