"""The command line: ``nova-manage NOUN VERB``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

#: Does what a verb says, given the configuration and the verb's arguments.
Run = Callable[[Any, argparse.Namespace], None]


class Verbs:
    """The verbs of a noun."""

    def __init__(self, noun: argparse.ArgumentParser) -> None:
        self._verbs = noun.add_subparsers(required=True, metavar='VERB')

    def add(self, name: str, run: Run, text: str) -> argparse.ArgumentParser:
        """One more; returns its parser, for its arguments."""
        parser = self._verbs.add_parser(name, help=text, description=text)
        parser.set_defaults(run=run)
        return parser
