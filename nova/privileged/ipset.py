"""Sets of addresses that rules of iptables refer to by name (man 8 ipset).

A set is replaced by a new one that takes its name, so that a packet meets the old content or the
new one, and rules go on referring to it.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
import errno
import re

from nova import privileged
from nova.privileged import programs

#: The name, the type, the IP version, and the entries: ``10.0.0.0/8``, or with a protocol and a
#: port (for ICMP the type and the code) ``10.0.0.0/8,udp:53``.
Set = tuple[str, str, int, Sequence[str]]

_NAME = re.compile(r'nova-[a-z0-9-]{1,26}')
_ENTRY = re.compile(r'[0-9a-f.:]+(/[0-9]{1,3})?(,[0-9]{1,3}:[0-9]{1,5}([/-][0-9]{1,5})?)?')
_KINDS = {'hash:net': 'n', 'hash:net,port': 'p'}
#: Sixteen times what a set holds unless told otherwise. Room is taken as it is needed.
_MAX_ENTRIES = 1 << 20


@privileged.network.entrypoint
def ensure(sets: Sequence[Set]) -> None:
    """Have these sets with these entries and no others. The order of the sets is that in which
    they change; each one changes at once.

    :raises OSError: EPERM, a name is not one of ours; EINVAL, an entry is not one; EIO, the kernel
        refused, as it does when a set of this name is of another type.
    """
    lines = [line for wanted in sets for line in _render(*wanted)]
    if lines:
        programs.run('ipset', 'restore', text='\n'.join(lines) + '\n')


@privileged.network.entrypoint
def find_equal(sets: Sequence[Set]) -> list[str]:
    """The names of those that are there with these entries and no others. Nothing is changed.

    They are compared with copies, since ipset has names and ranges of its own for what it is told.

    :raises OSError: as for :func:`ensure`.
    """
    there = _names()
    lines: list[str] = []
    copies: dict[str, str] = {}
    for number, (name, kind, version, entries) in enumerate(sets):
        if name in there:
            copies[name], more = _render_beside(name, kind, version, entries, f'-{number}')
            lines += more
    if not copies:
        return []
    try:
        programs.run('ipset', 'restore', text='\n'.join(lines) + '\n')
        found = _parse_entries(read())
    finally:
        remove(list(copies.values()))
    return [name for name, copy in copies.items() if found[name] == found[copy]]


@privileged.network.entrypoint
def change(changes: Sequence[tuple[str, str, int, Sequence[str], Sequence[str]]]) -> None:
    """Have these sets, which need not be there yet, with more entries and with fewer: name, type
    and IP version as in :data:`Set`, what comes, and what goes. It costs what changes, whatever
    else is in them.

    :raises OSError: as for :func:`ensure`; what was said before is done.
    """
    lines = []
    for name, kind, version, new, gone in changes:
        _check_name(name)
        lines.append(f'create {name} {_kind_text(name, kind, version)} -exist')
        for word, entries in (('add', new), ('del', gone)):
            lines += [f'{word} {name} {_checked_entry(name, entry)} -exist' for entry in entries]
    if lines:
        programs.run('ipset', 'restore', text='\n'.join(lines) + '\n')


@privileged.network.entrypoint
def read() -> str:
    """All sets and what is in them, in the format of ``ipset save``.

    :raises OSError: EIO, the kernel has no such sets; ENOENT, there is no ``ipset``.
    """
    return programs.run('ipset', 'save')


@privileged.network.entrypoint
def remove(names: Sequence[str]) -> list[str]:
    """Remove these sets; those that are not there are no error.

    :returns: those that rules still refer to.
    :raises OSError: EPERM, a name is not one of ours.
    """
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise OSError(errno.EPERM, f'no set of ours: {name[:100]!r}')
    found = sorted(_names().intersection(names))
    # All at once, which ends at the first that cannot be removed; mostly there is none.
    if not found or _destroy(*found):
        return []
    return [name for name in sorted(_names().intersection(found)) if not _destroy(name)]


@privileged.network.entrypoint
def list_names() -> list[str]:
    """The names of all sets of ours.

    :raises OSError: EIO, the kernel has no such sets; ENOENT, there is no ``ipset``.
    """
    return sorted(_names())


def _names() -> set[str]:
    return {name for name in programs.run('ipset', 'list', '-n').split() if _NAME.fullmatch(name)}


def _destroy(*names: str) -> bool:
    """Whether all of them are gone."""
    try:
        programs.run('ipset', 'restore', text=''.join(f'destroy {name}\n' for name in names))
    except OSError:
        return False
    return True


def _parse_entries(saved: str) -> Mapping[str, set[str]]:
    """By set, what ``ipset save`` prints (``add NAME ENTRY``); of one without entries the empty
    set."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for line in saved.splitlines():
        if line.startswith('add '):
            _add, name, entry = line.split(maxsplit=2)
            found[name].add(entry)
    return found


def _render(name: str, kind: str, version: int, entries: Iterable[str]) -> Iterable[str]:
    """Lines of ``ipset restore``."""
    new, lines = _render_beside(name, kind, version, entries)
    yield f'create {name} {_kind_text(name, kind, version)} -exist'
    yield from lines
    yield f'swap {new} {name}'
    yield f'destroy {new}'


def _render_beside(
    name: str, kind: str, version: int, entries: Iterable[str], end: str = ''
) -> tuple[str, list[str]]:
    """The name of a set that has the entries while ``name`` is as it was, and its lines.

    :param end: of the name, where there are several at a time.
    """
    _check_name(name)
    kind_text = _kind_text(name, kind, version)
    # One for each type: what a failure leaves behind is of the type that is wanted next.
    new = f'nova-new-{_KINDS[kind]}{version}{end}'
    adds = [f'add {new} {_checked_entry(name, entry)} -exist' for entry in entries]
    return new, [f'create {new} {kind_text} -exist', f'flush {new}', *adds]


def _kind_text(name: str, kind: str, version: int) -> str:
    if kind not in _KINDS or version not in (4, 6):
        raise OSError(errno.EINVAL, f'{name}: no set of {kind} for IPv{version}')
    return f'{kind} family {"inet" if version == 4 else "inet6"} maxelem {_MAX_ENTRIES}'


def _checked_entry(name: str, entry: str) -> str:
    if _ENTRY.fullmatch(entry) is None:
        raise OSError(errno.EINVAL, f'{name}: {entry[:100]!r} is no entry')
    return entry


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None or name.startswith('nova-new-'):
        raise OSError(errno.EPERM, f'no set of ours: {name[:100]!r}')
