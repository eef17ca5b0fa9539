"""Programs that the privileged functions start, and wait for."""

from __future__ import annotations

from collections.abc import Collection
import errno
import subprocess

#: Where programs are looked for: not what the environment says, which sudo may or may not have
#: cleaned.
_SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


def start(*command: str, text: str = '', timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code.

    :param text: what it reads from its standard input.
    :raises OSError: ENOENT, it is not installed; ETIMEDOUT, it was ended after ``timeout_s``.
    """
    try:
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env={'PATH': _SEARCH_PATH},
        )
    except FileNotFoundError as exc:
        raise OSError(errno.ENOENT, f'{command[0]} is not installed') from exc
    except subprocess.TimeoutExpired as exc:
        raise OSError(errno.ETIMEDOUT, f'{command[0]} did not end in {timeout_s} s') from exc


def run(
    *command: str, text: str = '', accepted: Collection[int] = (0,), timeout_s: float = 60
) -> str:
    """Run a program to its end; returns what it printed.

    :param accepted: the exit codes that are none of an error.
    :raises OSError: as for :func:`start`; EIO, another exit code, with what it said, or with the
        code if it said nothing.
    """
    done = start(*command, text=text, timeout_s=timeout_s)
    if done.returncode not in accepted:
        reason = done.stderr.strip() or f'it ended with {done.returncode}'
        raise OSError(errno.EIO, f'{command[0]}: {reason}'[:2000])
    return done.stdout
