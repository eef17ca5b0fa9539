"""Calls between services of one process. Real transports are in the integration tests."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nova import context as nova_context
from nova import exception, rpc
from nova.network import model

VIF = model.VIF(
    id='5d2c7c1e-6f57-4a3d-9f1b-0c5f7a9e2b11',
    index=0,
    mac='fa:16:3e:00:00:01',
    network=model.Network(id='n', label='l', kind=model.NetworkKind.FLAT_DHCP, bridge='br'),
    addresses=('10.0.0.2',),
)
INFO = model.NetworkInfo((VIF,))


class Manager:
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.contexts: list[nova_context.RequestContext] = []
        self.called = threading.Event()

    def echo(self, context: nova_context.RequestContext, *, value: Any) -> Any:
        self.contexts.append(context)
        self.called.set()
        return value

    def refuse(self, context: nova_context.RequestContext) -> None:
        raise exception.NoMoreFixedIps(network='narrow')

    def break_(self, context: nova_context.RequestContext) -> None:
        raise KeyError('a defect')


@pytest.fixture
def manager(local_services: rpc.Local) -> Manager:
    made = Manager()
    local_services.add('topic', 'here', made)
    return made


CONTEXT = nova_context.RequestContext(user_id='u', project_id='p', roles=['member'])


def test_values_arrive_as_what_they_were(manager: Manager) -> None:
    assert rpc.Client('topic').call(CONTEXT, 'echo', host='here', value=INFO) == INFO
    (context,) = manager.contexts
    assert context is not CONTEXT
    assert (context.user_id, context.project_id, context.roles) == ('u', 'p', ['member'])
    assert context.request_id == CONTEXT.request_id


def test_any_host_will_do_when_none_is_named(manager: Manager) -> None:
    assert rpc.Client('topic').call(CONTEXT, 'echo', value=1) == 1


def test_what_cannot_cross_hosts_cannot_cross_a_process_either(manager: Manager) -> None:
    with pytest.raises(TypeError, match='object'):
        rpc.Client('topic').call(CONTEXT, 'echo', value=object())


def test_our_errors_arrive_as_what_they_were(manager: Manager) -> None:
    with pytest.raises(exception.NoMoreFixedIps, match='narrow'):
        rpc.Client('topic').call(CONTEXT, 'refuse')


def test_a_defect_arrives_as_a_fault(manager: Manager) -> None:
    with pytest.raises(exception.Fault, match='KeyError'):
        rpc.Client('topic').call(CONTEXT, 'break_')


def test_a_cast_does_not_wait_and_its_error_goes_nowhere(manager: Manager) -> None:
    client = rpc.Client('topic')
    client.cast(CONTEXT, 'break_')
    client.cast(CONTEXT, 'echo', value=1)
    assert manager.called.wait(5)


@pytest.mark.parametrize('host', ['elsewhere', None])
def test_without_a_transport_an_absent_service_is_unavailable(
    local_services: rpc.Local, host: str | None
) -> None:
    with pytest.raises(exception.ServiceUnavailable, match='topic'):
        rpc.Client('topic').call(CONTEXT, 'echo', host=host, value=1)


def test_an_elevated_context_is_the_same_request() -> None:
    elevated = CONTEXT.elevated()
    assert elevated.is_admin
    assert not CONTEXT.is_admin
    assert elevated.request_id == CONTEXT.request_id
    assert set(elevated.roles) == {'member', 'admin'}
