"""Prepared state kept between sandboxes: a directory inside, as an archive in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import hashlib
import os
from pathlib import Path

from lab import checkout
from lab.sandbox import Sandbox


def provide(
    sandbox: Sandbox, name: str, directory: str, inputs: Iterable[str], make: Callable[[], None]
) -> None:
    """Fill a directory inside from the cache; failing that call ``make`` and remember.

    :param inputs: everything the content depends on
    :param make: fills the directory inside
    """
    digest = hashlib.sha256('\0'.join(inputs).encode()).hexdigest()[:16]
    archive = checkout.CACHE / f'{name}-{digest}.tar'
    sandbox.run(['mkdir', '-p', directory])
    if archive.exists():
        sandbox.run(['tar', '-C', directory, '-xpf', str(archive)])
        return
    make()
    exchange = sandbox.share / archive.name
    sandbox.run(['tar', '-C', directory, '-cf', str(exchange), '.'])
    checkout.CACHE.mkdir(parents=True, exist_ok=True)
    move(exchange, archive)
    # Not this one, which another sandbox that was made meanwhile may be reading.
    for old in set(checkout.CACHE.glob(f'{name}-*.tar')) - {archive}:
        old.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Within one file system: nobody sees half an archive."""
    os.replace(source, target)


def pinned_versions(*names: str) -> list[str]:
    """The lines of constraints.txt about some distributions."""
    lines = (checkout.ROOT / 'constraints.txt').read_text().splitlines()
    return [line for line in lines if line.partition('==')[0].lower() in names]
