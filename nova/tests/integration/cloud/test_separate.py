"""The same boot with every service a process of its own, over RabbitMQ, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import broker, compute, database
from lab.sandbox import Sandbox
from nova.tests.integration.cloud import clouds, test_boot

SETTINGS = compute.Settings(database_url=database.URL, transport_url=broker.TRANSPORT_URL)
LABELS = ('net-b', 'net-a')


def prepare(sandbox: Sandbox) -> None:
    broker.start(sandbox)
    database.start(sandbox)


@pytest.fixture(scope='module')
def separate() -> Iterator[clouds.Cloud]:
    with clouds.running('separate', SETTINGS, compute.SEPARATE, prepare) as sandbox:
        made = clouds.fill(sandbox, SETTINGS, LABELS, compute.SEPARATE)
        with made.booted(LABELS) as server:
            server.console()
        yield made


def test_boot_and_delete(separate: clouds.Cloud) -> None:
    with separate.unchanged(), separate.booted(LABELS) as server:
        test_boot.check(separate, server, LABELS)


def test_an_error_of_another_process_is_what_it_was(separate: clouds.Cloud) -> None:
    """The network service refuses; the compute service says so to the user."""
    taken = {'uuid': separate.networks['net-a']['uuid'], 'fixed_ip': '10.10.0.9'}
    first = separate.request([taken])
    server = clouds.Server(separate, first.json()['server']['id'])
    server.wait_status('ACTIVE')
    second = clouds.Server(separate, separate.request([taken]).json()['server']['id'])
    fault = second.wait_status('ERROR')['fault']
    assert fault['message'] == 'Fixed IP address 10.10.0.9 is already in use on network net-a.'
    second.delete()
    server.delete()
