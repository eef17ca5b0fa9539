"""Interfaces of tests."""

from __future__ import annotations

from collections.abc import Callable
import json

from lab.sandbox import wait_until

_TIMEOUT_S = 20.0


def wait_up(device: str, run: Callable[..., str]) -> None:
    """Wait until what is sent through an interface that has been set up leaves it.

    Before, the kernel drops all of it without a word: an end of a veth pair gets its queue only
    when the change of its carrier has been dealt with, some time after the command that has caused
    it (Documentation/networking/operstates.rst).

    :param run: gives the output of a command, given as words, in the namespace of the interface
    """

    def is_up() -> bool:
        (link,) = json.loads(run('ip', '-j', 'link', 'show', 'dev', device))
        return bool(link['operstate'] == 'UP')

    if not wait_until(is_up, _TIMEOUT_S, 0.005):
        raise AssertionError(f'{device} has no carrier')
