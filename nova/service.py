"""Services: how the parts are put together and kept running.

The managers are made here, of what :mod:`nova.wiring` gives, and handed down. With the entry points
in :mod:`nova.cmd` this is the only place that knows of eventlet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any, Protocol

import eventlet
from eventlet import tpool, wsgi
from oslo_log import log
from oslo_service import service as oslo_service

from nova import quota, rpc, wiring
from nova.api import app as api_app
from nova.compute import api as compute_api
from nova.compute import manager as compute_manager
from nova.compute import rpcapi as compute_rpcapi
from nova.db import api as db
from nova.image import glance
from nova.network import manager as network_manager
from nova.network import rpcapi as network_rpcapi
from nova.network import security_groups
from nova.scheduler import manager as scheduler_manager
from nova.scheduler import placing
from nova.scheduler import rpcapi as scheduler_rpcapi
from nova.virt import driver as virt_driver
from nova.virt import fake

LOG = log.getLogger(__name__)

#: HTTP requests answered at the same time.
_API_THREADS = 200


# --- the parts


def build_group_api(conf: Any) -> security_groups.API:
    return security_groups.API(
        quotas=quota.from_conf(conf),
        refresh=compute_rpcapi.ComputeAPI().refresh_security_groups,
    )


def build_compute_api(conf: Any) -> compute_api.API:
    return compute_api.API(
        images=glance.from_conf(conf),
        networks=wiring.build_network_api(conf),
        network_rpc=network_rpcapi.NetworkAPI(),
        compute_rpc=compute_rpcapi.ComputeAPI(),
        scheduler_rpc=scheduler_rpcapi.SchedulerAPI(),
        service_down_time_s=conf.service_down_time_s,
        quotas=quota.from_conf(conf),
    )


def build_api_application(conf: Any) -> Any:
    """The Compute API as a WSGI application."""
    return api_app.build_application(
        build_compute_api(conf), wiring.build_network_api(conf), build_group_api(conf), conf
    )


def build_driver(conf: Any) -> virt_driver.ComputeDriver:
    """The hypervisor that ``[compute] driver`` names."""
    if conf.compute.driver == 'fake':
        return fake.FakeDriver()
    # libvirt's binding is needed on compute hosts only
    from nova.virt.libvirt import connection

    return connection.from_conf(conf, offload=tpool.execute)


def build_compute_manager(conf: Any) -> compute_manager.ComputeManager:
    return compute_manager.ComputeManager(
        host=conf.host,
        driver=build_driver(conf),
        network=network_rpcapi.NetworkAPI(),
        network_reads=wiring.build_network_api(conf),
        groups=build_group_api(conf),
        console_log_max_bytes=conf.compute.console_log_max_bytes,
        reserved_host_memory_mb=conf.compute.reserved_host_memory_mb,
        detach_timeout_s=conf.compute.detach_timeout_s,
        shutdown_timeout_s=conf.compute.shutdown_timeout_s,
        max_nics=conf.api.max_nics_per_server,
    )


def build_scheduler_manager(conf: Any) -> scheduler_manager.SchedulerManager:
    group = conf.scheduler
    return scheduler_manager.SchedulerManager(
        compute=compute_rpcapi.ComputeAPI(),
        ratios=placing.Ratios(
            cpu=group.cpu_allocation_ratio,
            ram=group.ram_allocation_ratio,
            disk=group.disk_allocation_ratio,
        ),
        service_down_time_s=conf.service_down_time_s,
        max_attempts=group.max_attempts,
    )


class Manager(Protocol):
    """A service's manager: its public methods take calls once ``init_host`` has returned."""

    def init_host(self) -> None: ...

    def reconcile(self) -> None:
        """Called from time to time: bring the host and what is said of it in line."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    topic: str
    build: Callable[[Any], Manager]


_KINDS = {
    'network': _Kind(network_rpcapi.TOPIC, network_manager.from_conf),
    'compute': _Kind(compute_rpcapi.TOPIC, build_compute_manager),
    'scheduler': _Kind(scheduler_rpcapi.TOPIC, build_scheduler_manager),
}


# --- running


class RpcService(oslo_service.Service):  # type: ignore[misc]
    """A manager that takes calls and gives signs of life.

    :param name: ``network``, ``compute`` or ``scheduler``.
    """

    def __init__(self, conf: Any, name: str) -> None:
        super().__init__()
        kind = _KINDS[name]
        self._conf = conf
        self._binary = f'nova-{name}'
        self._topic = kind.topic
        self._manager = kind.build(conf)
        self._server: Any = None

    def register(self) -> None:
        """Let the services of this process reach the manager directly."""
        rpc.local.add(self._topic, self._conf.host, self._manager)

    def prepare(self) -> None:
        """Bring the host to the state that the manager wants, before any call is taken."""
        self._manager.init_host()

    def start(self) -> None:
        super().start()
        report = functools.partial(self._attempt, self._report, 'report')
        report()
        self.tg.add_timer(self._conf.report_interval_s, report)
        interval_s = self._conf.reconcile_interval_s
        reconcile = functools.partial(self._attempt, self._manager.reconcile, 'reconcile its host')
        self.tg.add_timer(interval_s, reconcile, initial_delay=interval_s)
        if isinstance(self._manager, network_manager.NetworkService):
            text = 'look for changed networks'
            watch = functools.partial(self._attempt, self._manager.watch, text)
            self.tg.add_timer(self._conf.network.watch_interval_s, watch)
        self._server = rpc.make_server(self._topic, self._conf.host, self._manager)
        if self._server is not None:
            self._server.start()
        LOG.info('%s runs on %s', self._binary, self._conf.host)

    def _report(self) -> None:
        db.service_report(self._conf.host, self._binary)

    def _attempt(self, work: Callable[[], None], text: str) -> None:
        """Do what a timer has to do.

        :param text: what could not be done, if it fails.
        """
        try:
            work()
        except Exception:
            # protects the timer: the next time may find the database back
            LOG.exception('%s could not %s', self._binary, text)

    def stop(self, graceful: bool = False) -> None:
        if self._server is not None:
            self._server.stop()
            self._server.wait()
        super().stop(graceful)


class ApiService(oslo_service.Service):  # type: ignore[misc]
    """The HTTP API, served by eventlet."""

    def __init__(self, conf: Any) -> None:
        super().__init__()
        self._conf = conf
        self._application = build_api_application(conf)
        self._socket: Any = None
        self._thread: Any = None

    def register(self) -> None:
        """Nobody calls the API but clients."""

    def prepare(self) -> None:
        """Take the port, so that a port in use ends the process with a clear error."""
        self._socket = eventlet.listen((self._conf.api.listen, self._conf.api.port), backlog=128)

    def start(self) -> None:
        super().start()
        serve = functools.partial(
            wsgi.server,
            self._socket,
            self._application,
            custom_pool=eventlet.GreenPool(_API_THREADS),
            log=LOG,
            log_output=False,
            debug=False,
        )
        self._thread = eventlet.spawn(serve)
        LOG.info('nova-api listens on %s:%d', self._conf.api.listen, self._conf.api.port)

    def stop(self, graceful: bool = False) -> None:
        if self._thread is not None:
            self._thread.kill()
        super().stop(graceful)


def run(names: Sequence[str], arguments: Sequence[str]) -> None:
    """Run the named services in this process until it is told to stop.

    :param names: of ``network``, ``compute``, ``scheduler`` and ``api``, in the order in which
        they start.
    """
    program = f'nova-{names[0]}' if len(names) == 1 else 'nova-all'
    conf = wiring.configure(arguments, program)
    services = [ApiService(conf) if name == 'api' else RpcService(conf, name) for name in names]
    for service in services:
        service.register()
    for service in services:
        service.prepare()
    launcher = oslo_service.ServiceLauncher(conf)
    for service in services:
        launcher.launch_service(service)
    launcher.wait()
