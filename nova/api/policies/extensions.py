"""Rules of the list of extensions."""

from __future__ import annotations

from nova.api.policies import base

READ = f'{base.PREFIX}:extensions'

RULES = [
    base.rule(
        'extensions',
        base.READER,
        'List the parts of this API, or show one.',
        [('GET', '/extensions'), ('GET', '/extensions/{alias}')],
    ),
]
