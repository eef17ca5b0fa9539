"""``nova-network``: one service in a process of its own."""

import sys

from nova import service


def main() -> None:
    service.run(['network'], sys.argv[1:])
