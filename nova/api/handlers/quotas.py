"""Quotas of projects, and what they have of them."""

from __future__ import annotations

from nova import exception
from nova.api.call import Answer, Call
from nova.api.policies import quotas as rules
from nova.api.schemas import types
from nova.api.views import quotas as views
from nova.network import network_spec

#: The class of all projects, by the Compute API's name.
CLASS = 'default'


def show(call: Call, project_id: str) -> Answer:
    """``GET /os-quota-sets/{project_id}``"""
    _check_project(call, project_id, rules.OTHER_PROJECT)
    return Answer({'quota_set': {'id': project_id, **_shown(call, project_id)}})


def show_defaults(call: Call, project_id: str) -> Answer:
    """``GET /os-quota-sets/{project_id}/defaults``"""
    return Answer({'quota_set': {'id': project_id, **_shown_class(call)}})


def show_detail(call: Call, project_id: str) -> Answer:
    """``GET /os-quota-sets/{project_id}/detail``"""
    _check_project(call, project_id, rules.OTHER_PROJECT)
    usage = call.compute.quotas.usage(project_id)
    found = views.render_usage(_shown(call, project_id), usage)
    return Answer({'quota_set': {'id': project_id, **found}})


def update(call: Call, project_id: str) -> Answer:
    """``PUT /os-quota-sets/{project_id}``"""
    body = dict(call.body['quota_set'])
    force = types.is_true(body.pop('force', False))
    if body.pop('tenant_id', project_id) != project_id:
        raise exception.InvalidInput(field='tenant_id', reason='the path names another project')
    network_spec.parse_project(project_id)
    limits = {resource: int(limit) for resource, limit in body.items()}
    call.compute.quotas.change(project_id, limits, force=force)
    return Answer({'quota_set': _shown(call, project_id)})


def delete(call: Call, project_id: str) -> Answer:
    """``DELETE /os-quota-sets/{project_id}``"""
    call.compute.quotas.reset(project_id)
    return Answer()


def show_class(call: Call, class_name: str) -> Answer:
    """``GET /os-quota-class-sets/{class_name}``"""
    _check_class(class_name)
    return Answer({'quota_class_set': {'id': class_name, **_shown_class(call)}})


def update_class(call: Call, class_name: str) -> Answer:
    """``PUT /os-quota-class-sets/{class_name}``"""
    _check_class(class_name)
    body = call.body['quota_class_set']
    call.compute.quotas.change_defaults({name: int(limit) for name, limit in body.items()})
    return Answer({'quota_class_set': _shown_class(call)})


def _shown_class(call: Call) -> dict[str, int]:
    quotas = call.compute.quotas
    return views.choose_shown(quotas.defaults, quotas.configured)


def _check_class(name: str) -> None:
    """There is no other class of projects than all of them."""
    if name != CLASS:
        raise exception.QuotaClassNotFound(name=name, allowed=CLASS)


def show_limits(call: Call) -> Answer:
    """``GET /limits``"""
    project_id = call.query.get('tenant_id', str(call.context.project_id))
    _check_project(call, project_id, rules.LIMITS_OTHER_PROJECT)
    quotas = call.compute.quotas
    found = views.render_limits(quotas.limits(project_id), quotas.usage(project_id))
    return Answer({'limits': found})


def _shown(call: Call, project_id: str) -> dict[str, int]:
    quotas = call.compute.quotas
    return views.choose_shown(quotas.limits(project_id), quotas.configured)


def _check_project(call: Call, project_id: str, rule: str) -> None:
    if project_id != call.context.project_id and not call.can(rule):
        raise exception.NotAuthorized(f"Policy doesn't allow {rule} to be performed.")
