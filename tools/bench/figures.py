"""What the benches have found, each beside its floor and its bound.

A bench notes all that it finds, and is judged when it has ended (``conftest.py``): one figure that
is out of bounds hides no other. All are printed at the end of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses
import os
import platform
import re
import subprocess

from lab import checkout
from nova.virt.libvirt import kvmprobe

#: The programs that have a say in the figures.
_TOOLS = {
    'nftables': 'nft',
    'iptables': 'iptables-nft',
    'libvirt': 'libvirtd',
    'QEMU': 'qemu-system-x86_64',
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the table. ``judged`` must not be more than ``at_most``, unless that is None."""

    what: str
    measured: str
    floor: str = ''
    judged: float
    unit: str = ''
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        return self.at_most is None or self.judged <= self.at_most

    def cells(self) -> tuple[str, ...]:
        """What it is, what was measured, the floor, how many times the floor, and the bound."""
        ratio = f'{self.judged:.2f}' if self.floor else ''
        bound = '' if self.at_most is None else f'{self.at_most:g}{self.unit}'
        return self.what, self.measured, self.floor, ratio, bound


class Figures:
    """Those of one bench."""

    def __init__(self) -> None:
        self.found: list[Figure] = []

    def compare(self, what: str, seconds: float, floor_s: float, at_most: float | None) -> None:
        """A time against its floor; ``at_most`` is a ratio."""
        self.found.append(
            Figure(
                what=what,
                measured=_render_time(seconds),
                floor=_render_time(floor_s),
                judged=seconds / floor_s,
                at_most=at_most,
            )
        )

    def compare_rates(self, what: str, rate: float, floor: float, at_most: float | None) -> None:
        """Something a second, of which the floor does more."""
        self.found.append(
            Figure(
                what=what,
                measured=f'{rate:.0f}/s',
                floor=f'{floor:.0f}/s',
                judged=floor / rate,
                at_most=at_most,
            )
        )

    def limit(self, what: str, seconds: float, at_most_s: float) -> None:
        """A time that has a bound of its own."""
        self.found.append(
            Figure(
                what=what,
                measured=_render_time(seconds),
                judged=seconds * 1e3,
                unit=' ms',
                at_most=at_most_s * 1e3,
            )
        )

    def broken(self) -> list[str]:
        """The figures that are out of bounds, as text; a bench that found nothing is one."""
        if not self.found:
            return ['nothing was measured']
        return [
            f'{figure.what}: {figure.judged:.2f}{figure.unit}, at most {figure.at_most:g}'
            for figure in self.found
            if not figure.holds
        ]


def _render_time(seconds: float) -> str:
    if seconds >= 1:
        return f'{seconds:.2f} s'
    if seconds >= 0.001:
        return f'{seconds * 1e3:.{1 if seconds >= 0.01 else 2}f} ms'
    return f'{seconds * 1e6:.0f} µs'


HEADER = ('', 'measured', 'floor', 'ratio', 'at most')


def render_table(figures: Iterable[Figure]) -> Iterator[str]:
    """For a terminal."""
    rows = [HEADER, *(figure.cells() for figure in figures)]
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    for what, *cells in rows:
        rest = (cell.rjust(width) for cell, width in zip(cells, others, strict=True))
        yield '  '.join((what.ljust(first), *rest)).rstrip()


def render_page(figures: Iterable[Figure], machine: str) -> str:
    """For the manual (reStructuredText)."""
    lines = ['.. Written by tools/bench; figures.rst says how.', '']
    lines += [f'Measured on {machine}.', '', '.. list-table::', '   :header-rows: 1', '']
    for what, *cells in (HEADER, *(figure.cells() for figure in figures)):
        lines += [f'   * - {what}'.rstrip(), *(f'     - {cell}'.rstrip() for cell in cells)]
    return '\n'.join((*lines, ''))


def describe_machine() -> str:
    """What the figures were measured on."""
    kvm = 'with' if kvmprobe.is_kvm_usable(checkout.CACHE) else 'without'
    tools = (f'{name} {version}' for name, command in _TOOLS.items() if (version := _ask(command)))
    return (
        f'{os.cpu_count()} processors, {kvm} KVM, Linux {platform.release()}, Python '
        f'{platform.python_version()}, {", ".join(tools)}'
    )


def _ask(command: str) -> str | None:
    """The version of a program; None: it is not here."""
    try:
        done = subprocess.run([command, '--version'], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r'\d+(\.\d+)+', done.stdout)
    return found[0] if found else None
