"""``nova-manage service``: which services there are."""

from __future__ import annotations

import argparse
import datetime
from typing import Any

from nova import liveness
from nova.db import api as db
from nova.manage import output
from nova.manage.verbs import Verbs


def add_verbs(noun: argparse.ArgumentParser) -> None:
    """Add the verbs of this noun, with their arguments, to the command line."""
    verbs = Verbs(noun)
    verbs.add('list', list_services, 'list the services and whether they are up')
    enable = verbs.add('enable', enable_service, 'let a service have new work again')
    disable = verbs.add('disable', disable_service, 'keep new work from a service')
    for verb in (enable, disable):
        verb.add_argument('host', metavar='HOST')
        verb.add_argument('--binary', default='nova-compute', help='default: nova-compute')
    disable.add_argument('--reason', help='for other operators')
    text = 'remove all that is stored of a host that is lost for good, and free its addresses'
    forget = verbs.add('forget', forget_host, text)
    forget.add_argument('host', metavar='HOST')


def list_services(conf: Any, arguments: argparse.Namespace) -> None:
    """Print all services, and whether they have reported lately."""
    columns = ('binary', 'host', 'status', 'state', 'last_seen_at')
    now = liveness.now()
    rows = [
        {
            'binary': record.binary,
            'host': record.host,
            'status': 'disabled' if record.disabled else 'enabled',
            'state': ('up' if liveness.is_up(record, now, conf.service_down_time_s) else 'down'),
            'last_seen_at': record.last_seen_at.isoformat(timespec='seconds'),
        }
        for record in db.service_list()
    ]
    output.print_rows(arguments, columns, rows)


def enable_service(_conf: Any, arguments: argparse.Namespace) -> None:
    """Let a service have new work again."""
    db.service_set_disabled(arguments.host, arguments.binary, False)


def disable_service(_conf: Any, arguments: argparse.Namespace) -> None:
    """Keep new work from a service."""
    db.service_set_disabled(arguments.host, arguments.binary, True, arguments.reason)


def forget_host(conf: Any, arguments: argparse.Namespace) -> None:
    down_time = datetime.timedelta(seconds=conf.service_down_time_s)
    db.host_forget(arguments.host, liveness.now() - down_time)
