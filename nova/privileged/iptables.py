"""iptables and ip6tables by their tools, for the chains that are ours (iptables-restore(8)).

``backend`` says which of the two iptables a host may have is meant: ``legacy``, ``nft``, or
``system`` for the one that its own commands are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import errno
import re

from nova import privileged
from nova.privileged import programs

#: Of no other is there anything of ours.
_TABLE = 'mangle'
_TIMEOUT_S = 120
#: Seconds to wait for another who changes tables.
_LOCK_S = 60
_CHAIN = r'(?:nova-(?:egress|ingress|host)(?:-[A-Za-z0-9._-])?|nova-g?[ei]-[0-9a-f]{16})'
_LINE = re.compile(
    rf':{_CHAIN} - \[0:0\]|-X {_CHAIN}|-[AD] {_CHAIN} [ -~]+'
    rf'|-I (?:PREROUTING|FORWARD|POSTROUTING) [ -~]+ -j {_CHAIN}'
)
_PROGRAMS = {4: 'iptables', 6: 'ip6tables'}
_BACKENDS = {'system': '', 'legacy': '-legacy', 'nft': '-nft'}


@privileged.network.entrypoint
def change(backend: str, lines: Mapping[int, Sequence[str]]) -> None:
    """Change our chains, and the jumps to them, as these lines for ``iptables-restore`` say, by
    version of IP. What they do not name is left alone. Each version changes wholly or not at all,
    and none after one that was refused.

    :raises OSError: EPERM, a line is about something else; ENOENT, there is no such program; EIO,
        refused, with what was said.
    """
    for text in (text for found in lines.values() for text in found):
        if _LINE.fullmatch(text) is None:
            raise OSError(errno.EPERM, f'not a change of our chains: {text[:200]}')
    for version, found in lines.items():
        text = '\n'.join((f'*{_TABLE}', *found, 'COMMIT', ''))
        restore = _program(version, backend, 'restore')
        programs.run(restore, '--noflush', '-w', str(_LOCK_S), text=text, timeout_s=_TIMEOUT_S)


@privileged.network.entrypoint
def read(backend: str, version: int) -> str:
    """All that is in the table with our chains, as ``iptables-save`` prints it.

    :raises OSError: as for :func:`change`.
    """
    return programs.run(_program(version, backend, 'save'), '-t', _TABLE, timeout_s=_TIMEOUT_S)


def _program(version: int, backend: str, what: str) -> str:
    if version not in _PROGRAMS or backend not in _BACKENDS:
        raise OSError(errno.EINVAL, f'there is no iptables {backend!r} for IPv{version}')
    return f'{_PROGRAMS[version]}{_BACKENDS[backend]}-{what}'
