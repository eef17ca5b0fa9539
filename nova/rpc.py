"""Calls between services.

A manager is a plain class; each of its public methods takes the context first and then keyword
arguments that :mod:`nova.primitive` knows. A :class:`Client` reaches the manager of a topic,
on one host or on any: in this process directly, otherwise through oslo.messaging. Arguments and
results pass through the same serializer either way, so that what works in one process works
between hosts.

Errors of our own tree arrive as what they were. Any other error of the far side is a defect there
and arrives as :class:`nova.exception.Fault` with its text.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any, Protocol

from oslo_config import cfg
from oslo_log import log
import oslo_messaging as messaging

from nova import context as nova_context
from nova import exception, primitive

LOG = log.getLogger(__name__)

#: The version of all interfaces; every manager of one release speaks it.
VERSION = '1.0'


class Manager(Protocol):
    """Anything whose public methods are to be called by RPC."""


class Serializer(messaging.Serializer):  # type: ignore[misc]
    """Values of ours to JSON values and back."""

    def serialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return primitive.to_primitive(entity)

    def deserialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return primitive.from_primitive(entity)

    def serialize_context(self, ctxt: nova_context.RequestContext) -> dict[str, Any]:
        values: dict[str, Any] = ctxt.to_dict()
        return values

    def deserialize_context(self, ctxt: dict[str, Any]) -> nova_context.RequestContext:
        return nova_context.from_primitive(ctxt)


class Local:
    """The managers that live in this process."""

    def __init__(self) -> None:
        self._managers: dict[tuple[str, str], Manager] = {}

    def add(self, topic: str, host: str, manager: Manager) -> None:
        self._managers[(topic, host)] = manager

    def clear(self) -> None:
        self._managers.clear()

    def find(self, topic: str, host: str | None) -> Manager | None:
        """The manager of ``topic`` on ``host``, or on any host when that is None."""
        if host is not None:
            return self._managers.get((topic, host))
        return next((m for (t, _), m in self._managers.items() if t == topic), None)


local = Local()
_transport: messaging.Transport | None = None
_timeout_s: int = 180


def configure(transport: messaging.Transport | None, timeout_s: int) -> None:
    """Set how services of other processes are reached; None when there are none."""
    global _transport, _timeout_s
    _transport, _timeout_s = transport, timeout_s


def get_transport(conf: Any) -> messaging.Transport | None:
    """The transport of ``transport_url``; None when that is not set, that is when every service
    lives in one process."""
    messaging.set_transport_defaults('nova')
    messaging.TransportURL.parse(conf)  # registers the option
    if conf.get_location('transport_url').location is cfg.Locations.opt_default:
        return None
    return messaging.get_rpc_transport(
        conf, allowed_remote_exmods=[exception.__name__, 'oslo_messaging.exceptions']
    )


def _run(manager: Manager, method: str, ctxt: dict[str, Any], kwargs: dict[str, Any]) -> Any:
    """One call from serialized arguments to serialized result."""
    serializer = Serializer()
    context = serializer.deserialize_context(ctxt)
    arguments = {k: serializer.deserialize_entity(context, v) for k, v in kwargs.items()}
    result = getattr(manager, method)(context, **arguments)
    return serializer.serialize_entity(context, result)


class Client:
    """The callers' side of one topic."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._remote: messaging.RPCClient | None = None

    def call(
        self,
        context: nova_context.RequestContext,
        method: str,
        *,
        host: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call ``method`` and wait for its result.

        :param host: the host whose manager is meant; None means any.
        :raises NovaException: what the manager raised.
        :raises ServiceUnavailable: nobody took the call or answered in time.
        """
        manager = local.find(self._topic, host)
        if manager is not None:
            return self._call_here(manager, context, method, kwargs)
        try:
            result = self._prepare(host).call(context, method, **kwargs)
        except messaging.MessagingTimeout as exc:
            raise exception.ServiceUnavailable(topic=self._topic, host=host or 'any') from exc
        except messaging.RemoteError as exc:
            raise exception.Fault(f'{exc.exc_type}: {exc.value}') from exc
        return result

    def _call_here(
        self,
        manager: Manager,
        context: nova_context.RequestContext,
        method: str,
        kwargs: dict[str, Any],
    ) -> Any:
        arguments = {key: primitive.to_primitive(value) for key, value in kwargs.items()}
        try:
            result = _run(manager, method, Serializer().serialize_context(context), arguments)
        except exception.NovaException:
            raise
        except Exception as exc:
            # protects the caller, who can act on our own errors only, as over a real transport
            LOG.exception('%s of %s failed', method, self._topic)
            raise exception.Fault(f'{type(exc).__name__}: {exc}') from exc
        return primitive.from_primitive(result)

    def cast(
        self,
        context: nova_context.RequestContext,
        method: str,
        *,
        host: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Ask for ``method`` and do not wait; its errors are logged where it runs."""
        manager = local.find(self._topic, host)
        if manager is None:
            self._prepare(host).cast(context, method, **kwargs)
            return
        arguments = {key: primitive.to_primitive(value) for key, value in kwargs.items()}
        ctxt = Serializer().serialize_context(context)
        start_thread(lambda: _cast_here(manager, method, ctxt, arguments))

    def _prepare(self, host: str | None) -> Any:
        if _transport is None:
            raise exception.ServiceUnavailable(topic=self._topic, host=host or 'any')
        if self._remote is None:
            target = messaging.Target(topic=self._topic, version=VERSION)
            self._remote = messaging.get_rpc_client(
                _transport, target, serializer=Serializer(), timeout=_timeout_s
            )
        return self._remote.prepare(server=host) if host is not None else self._remote


def _cast_here(
    manager: Manager, method: str, ctxt: dict[str, Any], arguments: dict[str, Any]
) -> None:
    try:
        _run(manager, method, ctxt, arguments)
    except Exception:
        # protects the thread's other work; nobody waits for a cast
        LOG.exception('%s failed', method)


def start_thread(function: Callable[[], None]) -> None:
    """Run ``function`` beside the caller: in a green thread where the services are patched."""
    threading.Thread(target=function, daemon=True).start()


class _Endpoint:
    """What oslo.messaging dispatches to: the manager's public methods and nothing else."""

    target = messaging.Target(version=VERSION)

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        return messaging.expected_exceptions(exception.NovaException)(getattr(self._manager, name))


def make_server(topic: str, host: str, manager: Manager) -> Any:
    """A server that takes calls for ``topic`` from other processes; not started yet.

    :returns: an oslo.messaging server, or None when there is no transport.
    """
    if _transport is None:
        return None
    target = messaging.Target(topic=topic, server=host)
    return messaging.get_rpc_server(
        _transport,
        target,
        [_Endpoint(manager)],
        serializer=Serializer(),
        access_policy=messaging.DefaultRPCAccessPolicy,
    )
