"""The guests of :mod:`matrix`, booted in any cloud and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from typing import cast

import pytest

from nova.tests.integration.cloud import clouds, matrix

#: More at once only make each of them slower.
AHEAD = 3


class Guests:
    """The guests of several cases, each booted a little before it is wanted: a guest takes seconds
    to boot, so that the next ones boot while one is judged."""

    def __init__(self, cloud: clouds.Cloud, cases: Sequence[matrix.Case]) -> None:
        self._cloud = cloud
        self._waiting = list(cases)
        self._booted: dict[matrix.Case, clouds.Server] = {}
        lans = matrix.networks_of(cases)
        for lan in lans:
            for command in matrix.plan_operator(lan):
                cloud.sandbox.output('ip', *command.split())
        self._networks = {lan: _create(cloud, lan) for lan in lans}

    @contextlib.contextmanager
    def booted(self, case: matrix.Case) -> Iterator[clouds.Server]:
        """The guest of ``case``, which may still be booting; it is deleted in the end."""
        while self._waiting and (case not in self._booted or len(self._booted) <= AHEAD):
            self._boot(self._waiting.pop(0))
        server = self._booted.pop(case)
        try:
            server.wait_status('ACTIVE')
            yield server
        finally:
            server.delete()

    def _boot(self, case: matrix.Case) -> None:
        wanted = [{'uuid': self._networks[lan]} for lan in case.lans]
        answer = self._cloud.request(wanted, name=case.id, config_drive=case.drive)
        assert answer.status == 202, answer.text
        self._booted[case] = clouds.Server(self._cloud, answer.json()['server']['id'])

    def remove(self) -> None:
        """Guests that nobody took, and all networks."""
        for server in self._booted.values():
            server.delete()
        for lan, network in self._networks.items():
            assert self._cloud.api.call('DELETE', f'/os-networks/{network}').status == 202
            if lan.bridge is not None:
                self._cloud.sandbox.output('ip', 'link', 'del', lan.bridge)


def _create(cloud: clouds.Cloud, lan: matrix.Lan) -> str:
    answer = cloud.api.call('POST', '/os-networks', {'network': lan.fields()})
    assert answer.status == 200, answer.text
    return str(answer.json()['network']['id'])


def selected_cases(request: pytest.FixtureRequest) -> list[matrix.Case]:
    """Those of the module's tests that this run has chosen."""
    mine = (
        item.callspec
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and hasattr(item, 'callspec')
    )
    return [cast(matrix.Case, spec.params['case']) for spec in mine if 'case' in spec.params]


def leave_first(cloud: clouds.Cloud, server: clouds.Server) -> None:
    """Take all NICs but the first from a guest that obeys."""
    first, *others = (nic['port_id'] for nic in server.interfaces())
    for port in others:
        server.detach(port)
    server.wait_ports(first)


def judge(cloud: clouds.Cloud, case: matrix.Case, server: clouds.Server) -> None:
    """The guest has what :func:`matrix.find_faults` says, and its neighbours answer it."""
    server.report()
    interfaces = server.interfaces()
    with cloud.console(server) as console:
        for report in server.settled_reports(console):
            faults = matrix.find_faults(case, interfaces, report)
            if not faults:
                break
        assert not faults, (faults, report)
        targets = ' '.join(f'{card}={address}' for card, address in matrix.targets(case, report))
        silent = console.run(f'ping_all {targets}', 60).output
    assert silent == '', silent
