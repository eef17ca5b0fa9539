"""``nova-compute``: one service in a process of its own."""

import sys

from nova import service


def main() -> None:
    service.run(['compute'], sys.argv[1:])
