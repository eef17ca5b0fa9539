"""nftables by libnftables (libnftables(3)) in the helper's own process.

A change costs a fraction of a millisecond, an ``nft`` process several. A context is kept by each
thread, since its socket belongs to the network namespace it was opened in. So is the socket that
asks for the generation: to close one waits for all processors, which takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
import ctypes
import errno
import functools
import json
import re
import socket
import struct
import threading
from typing import Any

from nova import privileged
from nova.privileged import sysctl

_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON
_NETLINK_NETFILTER, _GETGEN = 12, 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
_LINE = re.compile(
    r'(add|delete|flush) (table|chain|set|map|element|rule|counter) '
    r'(bridge|inet) nova(-nat|-edge)?( [^\n]*)?'
)
_lock = threading.Lock()
_kept = threading.local()


@privileged.network.entrypoint
def change(lines: Sequence[str]) -> int | None:
    """Carry out a batch on our tables, ``nova``, ``nova-nat`` and ``nova-edge``, wholly or not at
    all.

    :returns: the :func:`generation` that it has made; None if there were others meanwhile.
    :raises OSError: the kernel or libnftables refused; the text says what.
    """
    text = _join(lines)
    with _lock:
        before = _generation()
        _run(text)
        after = _generation()
    return after if after == before + 1 else None


@privileged.network.entrypoint
def check(lines: Sequence[str]) -> None:
    """Find out whether the kernel would take a batch, which is not carried out.

    :raises OSError: it would not.
    """
    text = _join(lines)
    with _lock:
        library, context = _context()
        library.nft_ctx_set_dry_run(context, True)
        try:
            _run(text)
        finally:
            library.nft_ctx_set_dry_run(context, False)


@privileged.network.entrypoint
def generation() -> int:
    """A number that every change of any rules of nftables in this namespace counts up."""
    return _generation()


@privileged.network.entrypoint
def counters() -> dict[str, int]:
    """How many packets each named counter of the tables ``nova`` has seen."""
    found: dict[str, int] = {}
    for family in ('bridge', 'inet'):
        for item in _listing(f'list counters table {family} nova'):
            if 'counter' in item:
                found[item['counter']['name']] = int(item['counter']['packets'])
    return found


@privileged.network.entrypoint
def counted_elements(name: str) -> list[tuple[str, int, int]]:
    """What the elements of a set of the table ``nova`` of bridges have counted whose keys are a
    device and a number: device, number, packets. Nothing if there is no such set.

    :raises OSError: EPERM, the name is none of a set.
    """
    found = []
    for item in _listing(f'list set bridge nova {_checked_name(name)}'):
        for entry in item.get('set', {}).get('elem', ()):
            device, number = entry['elem']['val']['concat']
            found.append((str(device), int(number), int(entry['elem']['counter']['packets'])))
    return found


def _checked_name(name: str) -> str:
    if re.fullmatch(r'[a-z_]+', name) is None:
        raise OSError(errno.EPERM, f'no set of ours: {name[:200]}')
    return name


@privileged.network.entrypoint
def forget_tap(device: str) -> None:
    """Remove the chains that libvirt had for a tap device of ours which is gone, and what leads to
    them, should they still be there: its ebtables fails now and then while somebody else changes
    rules, and libvirt goes on. Nothing of a device that exists is touched.

    :raises OSError: EPERM, ``device`` is no tap device of ours.
    """
    if re.fullmatch(r'tap[0-9a-f]{12}', device) is None:
        raise OSError(errno.EPERM, f'no tap device of ours: {device[:200]}')
    with contextlib.suppress(OSError):
        socket.if_nametoindex(device)
        return
    lines = _render_removal(_listing('list table bridge nat'), device)
    with _lock, contextlib.suppress(OSError):  # somebody else was faster
        _run('\n'.join(lines))


@privileged.network.entrypoint
def read() -> list[dict[str, Any]]:
    """What is in the tables ``nova``, in the format of libnftables-json(5); empty if there are
    none."""
    return [item for family in ('bridge', 'inet') for item in _listing(f'list table {family} nova')]


@privileged.network.entrypoint
def ensure_bridged_packets_tracked() -> bool:
    """Have br_netfilter hand bridged packets to the inet hooks, and to iptables.

    :returns: False where the kernel has no br_netfilter.
    """
    for family in ('iptables', 'ip6tables'):
        sysctl.write(f'net/bridge/bridge-nf-call-{family}', '1')
    return sysctl.exists('net/bridge/bridge-nf-call-iptables')


@privileged.network.entrypoint
def are_bridged_packets_tracked() -> bool:
    """Whether br_netfilter hands bridged packets to iptables and ip6tables."""
    return all(
        sysctl.read(f'net/bridge/bridge-nf-call-{family}') == '1'
        for family in ('iptables', 'ip6tables')
    )


def close() -> None:
    """Give back what this thread keeps; its next call opens another, in the network namespace that
    it is in then."""
    kept = vars(_kept).pop('context', None)
    if kept is not None:
        kept[0].nft_ctx_free(kept[1])
    kernel = vars(_kept).pop('kernel', None)
    if kernel is not None:
        kernel.close()


def _render_removal(listing: Sequence[Mapping[str, Any]], device: str) -> list[str]:
    """Commands that remove libvirt's chains of a device, final ones and those in the making."""
    theirs = {f'libvirt-{letter}-{device}' for letter in 'IOJP'}
    jumps = [
        f'delete rule bridge nat {item["rule"]["chain"]} handle {item["rule"]["handle"]}'
        for item in listing
        if any(_target(expression) in theirs for expression in item.get('rule', {}).get('expr', ()))
    ]
    chains = [f'chain bridge nat {name}' for name in sorted(theirs & _names_of_chains(listing))]
    return [*jumps, *(f'flush {chain}' for chain in chains), *(f'delete {c}' for c in chains)]


def _target(expression: Mapping[str, Any]) -> str | None:
    """Where a jump leads."""
    jump = expression.get('jump') or expression.get('goto')
    return str(jump['target']) if isinstance(jump, Mapping) else None


def _names_of_chains(listing: Sequence[Mapping[str, Any]]) -> set[str]:
    return {str(item['chain']['name']) for item in listing if 'chain' in item}


def _join(lines: Sequence[str]) -> str:
    for line in lines:
        if _LINE.fullmatch(line) is None or not _is_one_command(line):
            raise OSError(errno.EPERM, f'not a change of our tables: {line[:200]}')
    return '\n'.join(lines)


def _listing(command: str) -> list[dict[str, Any]]:
    """In the format of libnftables-json(5); empty if there is no such table."""
    with _lock:
        library, context = _context()
        library.nft_ctx_output_set_flags(context, _JSON)
        try:
            found: list[dict[str, Any]] = json.loads(_run(command))['nftables']
        except OSError:
            return []
        finally:
            library.nft_ctx_output_set_flags(context, 0)
    return found


def _generation() -> int:
    """NFT_MSG_GETGEN (include/uapi/linux/netfilter/nf_tables.h), which libnftables keeps for
    itself."""
    if not hasattr(_kept, 'kernel'):
        _kept.kernel = _Kernel(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        _kept.kernel.bind((0, 0))
    _kept.kernel.send(struct.pack('=IHHIIBBH', 20, _GETGEN, 1, 1, 0, 0, 0, 0))  # NLM_F_REQUEST
    answer = _kept.kernel.recv(65536)
    # struct nlmsghdr, struct nfgenmsg, and the first attribute, NFTA_GEN_ID, in network order
    length, kind, number = struct.unpack_from('=HH', answer, 20) + struct.unpack_from(
        '!I', answer, 24
    )
    if (length, kind) != (8, 1):
        raise OSError(errno.EIO, 'the kernel does not tell the generation of its rules')
    return int(number)


class _Kernel(socket.socket):
    """A socket that goes with its thread."""

    def __del__(self) -> None:
        self.close()


def _is_one_command(line: str) -> bool:
    """Whether no semicolon ends it: they stand in braces only."""
    depth = 0
    for character in line:
        depth += (character == '{') - (character == '}')
        if depth < 0 or (character == ';' and depth == 0):
            return False
    return depth == 0


def _run(text: str) -> str:
    library, context = _context()
    failed = library.nft_run_cmd_from_buffer(context, text.encode())
    output: bytes = library.nft_ctx_get_output_buffer(context) or b''
    error: bytes = library.nft_ctx_get_error_buffer(context) or b''
    if failed:
        raise OSError(errno.EINVAL, error.decode(errors='replace')[:2000])
    return output.decode()


def _context() -> tuple[Any, Any]:
    if not hasattr(_kept, 'context'):
        library = _library()
        context = library.nft_ctx_new(0)
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        _kept.context = (library, context)
    kept: tuple[Any, Any] = _kept.context
    return kept


@functools.cache
def _library() -> Any:
    library = ctypes.CDLL('libnftables.so.1')
    pointer = ctypes.c_void_p
    library.nft_ctx_new.restype = pointer
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ('nft_ctx_free', 'nft_ctx_buffer_output', 'nft_ctx_buffer_error'):
        getattr(library, name).argtypes = [pointer]
    library.nft_ctx_output_set_flags.argtypes = [pointer, ctypes.c_uint]
    library.nft_ctx_set_dry_run.argtypes = [pointer, ctypes.c_bool]
    library.nft_run_cmd_from_buffer.argtypes = [pointer, ctypes.c_char_p]
    for name in ('nft_ctx_get_output_buffer', 'nft_ctx_get_error_buffer'):
        getattr(library, name).argtypes = [pointer]
        getattr(library, name).restype = ctypes.c_char_p
    return library
