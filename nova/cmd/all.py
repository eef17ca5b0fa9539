"""``nova-all``: every service of a one-machine cloud in one process."""

import sys

from nova import service


def main() -> None:
    service.run(['network', 'compute', 'scheduler', 'api'], sys.argv[1:])
