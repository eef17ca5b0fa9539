"""Services, hypervisors and availability zones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova import exception
from nova.api.call import Answer, Call
from nova.api.views import hosts
from nova.db import records

_Render = Callable[[records.ComputeNode], dict[str, Any]]


def index_services(call: Call) -> Answer:
    """``GET /os-services``"""
    host, binary = call.query.get('host'), call.query.get('binary')
    views = [
        hosts.render_service(service, up=call.compute.is_up(service), version=call.version)
        for service in call.compute.service_list(call.context)
        if host in (None, service.host) and binary in (None, service.binary)
    ]
    return Answer({'services': views})


def index_zones(call: Call) -> Answer:
    """``GET /os-availability-zone``"""
    return _zones(call, detail=False)


def detail_zones(call: Call) -> Answer:
    """``GET /os-availability-zone/detail``"""
    return _zones(call, detail=True)


def _zones(call: Call, *, detail: bool) -> Answer:
    services = call.compute.service_list(call.context)
    zones = hosts.render_zones(services, call.compute.is_up, detail=detail)
    return Answer({'availabilityZoneInfo': zones})


def index_hypervisors(call: Call) -> Answer:
    """``GET /os-hypervisors``"""
    return _hypervisors(call, 'os-hypervisors', _summary_of(call))


def detail_hypervisors(call: Call) -> Answer:
    """``GET /os-hypervisors/detail``"""
    return _hypervisors(call, 'os-hypervisors/detail', _detail_of(call))


def show_hypervisor(call: Call, hypervisor_id: str) -> Answer:
    """``GET /os-hypervisors/{hypervisor_id}``"""
    for node in call.compute.compute_node_list(call.context):
        if str(node.id) == hypervisor_id:
            return Answer({'hypervisor': _detail_of(call)(node)})
    raise exception.HostNotFound(host=hypervisor_id)


def show_statistics(call: Call) -> Answer:
    """``GET /os-hypervisors/statistics``: of those whose service is not disabled."""
    services = _compute_services(call)
    nodes = [
        node
        for node in call.compute.compute_node_list(call.context)
        if node.host not in services or not services[node.host].disabled
    ]
    return Answer({'hypervisor_statistics': hosts.render_statistics(nodes)})


def _hypervisors(call: Call, path: str, render: _Render) -> Answer:
    nodes = sorted(call.compute.compute_node_list(call.context), key=lambda node: node.id)
    if call.version < (2, 33):
        return Answer({'hypervisors': [render(node) for node in nodes]})
    marker = call.query.get('marker')
    if marker is not None:
        if int(marker) not in {node.id for node in nodes}:
            raise exception.InvalidInput(
                field='query parameter marker', reason=f'hypervisor {marker} could not be found'
            )
        nodes = [node for node in nodes if node.id > int(marker)]
    page = nodes[: call.limit]
    body: dict[str, Any] = {'hypervisors': [render(node) for node in page]}
    if page and len(page) < len(nodes):
        body['hypervisors_links'] = call.next_page(path, str(page[-1].id))
    return Answer(body)


def _compute_services(call: Call) -> dict[str, records.Service]:
    services = call.compute.service_list(call.context)
    return {service.host: service for service in services if service.binary == hosts.COMPUTE}


def _summary_of(call: Call) -> _Render:
    services = _compute_services(call)

    def render(node: records.ComputeNode) -> dict[str, Any]:
        service = services.get(node.host)
        return hosts.render_hypervisor_summary(node, service, up=_is_up(call, service))

    return render


def _detail_of(call: Call) -> _Render:
    services = _compute_services(call)

    def render(node: records.ComputeNode) -> dict[str, Any]:
        service = services.get(node.host)
        up = _is_up(call, service)
        return hosts.render_hypervisor(node, service, up=up, version=call.version)

    return render


def _is_up(call: Call, service: records.Service | None) -> bool:
    return service is not None and call.compute.is_up(service)
