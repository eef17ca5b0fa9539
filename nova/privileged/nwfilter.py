"""The chains of iptables in which libvirt puts what it makes of network filters.

Whenever libvirt makes the rules of a NIC it takes the jumps to its chains out of FORWARD and INPUT,
one after the other, and puts them back in front (``iptables -D``, then ``-I``, seen in its log).
For that moment the groups of no NIC of the host would be in force. So there are other jumps to the
same chains, at the end; and before the chain that accepts what comes from any NIC does so, it asks
the others as well.
"""

from __future__ import annotations

import re

from nova import privileged
from nova.privileged import programs

_PROGRAMS = ('iptables', 'ip6tables')
#: By the chain of the kernel's: the one that is ours there, and libvirt's, in their order.
_CHAINS = {
    'FORWARD': ('nova-nwfilter', ('libvirt-in', 'libvirt-out', 'libvirt-in-post')),
    'INPUT': ('nova-nwfilter-host', ('libvirt-host-in',)),
}
#: What accepts whatever comes from a NIC, and what it has to ask before.
_ACCEPTING, _ASKED = 'libvirt-in-post', ('libvirt-in', 'libvirt-out')
#: Where libvirt's rules of a device are: the tool, its table, and how its chains begin.
_RULES = (
    ('ebtables', 'nat', ('libvirt-I', 'libvirt-O')),
    ('iptables', 'filter', ('FI', 'FO', 'HI')),
    ('ip6tables', 'filter', ('FI', 'FO', 'HI')),
)


@privileged.network.entrypoint
def ensure_entered() -> bool:
    """Have libvirt's chains entered at any time.

    :returns: whether something had to be done.
    :raises OSError: EIO, iptables refused; ENOENT, there is none.
    """
    changes = [
        _ensure(program, hook, ours, theirs)
        for program in _PROGRAMS
        for hook, (ours, theirs) in _CHAINS.items()
    ]
    changes += [_ensure_asked(program) for program in _PROGRAMS]
    return any(changes)


@privileged.network.entrypoint
def filtered_devices() -> dict[str, list[str]]:
    """The devices for which libvirt's rules are there and are entered, by the tool that has them:
    ``ebtables``, ``iptables``, ``ip6tables``.

    :raises OSError: EIO, a tool refused; ENOENT, there is none.
    """
    found = {}
    for program, table, chains in _RULES:
        words = ['-t', table] if program != 'ebtables' else []
        rules = programs.run(f'{program}-save', *words)
        found[program] = sorted(
            set.intersection(*(_parse_devices(rules, chain) for chain in chains))
        )
    return found


def _parse_devices(text: str, chain: str) -> set[str]:
    """Those that have such a chain with rules in it, and a jump to it."""
    filled = set(re.findall(rf'^-A {chain}-(\S+) ', text, re.MULTILINE))
    entered = set(re.findall(rf'^-A .* -[gj] {chain}-(\S+)$', text, re.MULTILINE))
    return filled & entered


def _ensure(program: str, hook: str, ours: str, theirs: tuple[str, ...]) -> bool:
    wanted = [f'-N {ours}', *(f'-A {ours} -j {name}' for name in theirs)]
    is_whole = _ask(program, '-S', ours) == wanted
    is_entered = _ask(program, '-C', hook, '-j', ours) is not None
    if is_whole and is_entered:
        return False
    for name in theirs:
        if _ask(program, '-S', name) is None:
            programs.run(program, '-N', name)
    if not is_whole:
        lines = ['*filter', f':{ours} - [0:0]', *wanted[1:], 'COMMIT', '']
        programs.run(f'{program}-restore', '--noflush', '-w', text='\n'.join(lines))
    if not is_entered:
        programs.run(program, '-w', '-A', hook, '-j', ours)
    return True


def _ensure_asked(program: str) -> bool:
    wanted = [f'-A {_ACCEPTING} -j {name}' for name in _ASKED]
    found = _ask(program, '-S', _ACCEPTING) or []
    if found[1 : len(wanted) + 1] == wanted:
        return False
    for place, name in enumerate(_ASKED, start=1):
        programs.run(program, '-w', '-I', _ACCEPTING, str(place), '-j', name)
    return True


def _ask(program: str, *words: str) -> list[str] | None:
    """The lines of the answer; None for no."""
    done = programs.start(program, '-w', *words)
    return done.stdout.splitlines() if done.returncode == 0 else None
