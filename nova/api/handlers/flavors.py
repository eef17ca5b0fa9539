"""Flavors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova import exception
from nova.api.call import Answer, Call
from nova.api.schemas import types
from nova.api.views import flavors, links
from nova.db import records

_Render = Callable[[records.Flavor, links.Links], dict[str, Any]]


def index(call: Call) -> Answer:
    """``GET /flavors``"""
    return _list(call, 'flavors', flavors.render_summary)


def detail(call: Call) -> Answer:
    """``GET /flavors/detail``"""
    return _list(call, 'flavors/detail', flavors.render_detail)


def _list(call: Call, path: str, render: _Render) -> Answer:
    fit = choose_flavors(
        call.compute.flavor_list(call.context), call.query, admin=bool(call.context.is_admin)
    )
    page = after_marker(fit, call.query.get('marker'))[: call.limit]
    body: dict[str, Any] = {'flavors': [render(flavor, call.urls) for flavor in page]}
    if page and page[-1] is not fit[-1]:
        body['flavors_links'] = call.next_page(path, page[-1].flavorid)
    return Answer(body)


def choose_flavors(
    found: Sequence[records.Flavor], query: Mapping[str, str], *, admin: bool
) -> list[records.Flavor]:
    """The flavors that the query asks for. Only an administrator is asked which of public and
    private ones it wants (``None``: both; nothing said: public ones); others see what they
    may."""
    public: bool | None = None
    if admin:
        wanted = query.get('is_public', 'True').lower()
        public = None if wanted == 'none' else types.is_true(wanted)
    return [
        flavor
        for flavor in found
        if (public is None or flavor.is_public is public)
        and flavor.memory_mb >= int(query.get('minRam', 0))
        and flavor.root_gb >= int(query.get('minDisk', 0))
    ]


def after_marker(found: Sequence[records.Flavor], marker: str | None) -> list[records.Flavor]:
    """:raises InvalidInput: no flavor has the id ``marker``."""
    if marker is None:
        return list(found)
    for position, flavor in enumerate(found):
        if flavor.flavorid == marker:
            return list(found[position + 1 :])
    raise exception.InvalidInput(
        field='query parameter marker', reason=f'flavor {marker} could not be found'
    )


def show(call: Call, flavor_id: str) -> Answer:
    """``GET /flavors/{flavor_id}``"""
    flavor = call.compute.flavor_get(call.context, flavor_id)
    return Answer({'flavor': flavors.render_detail(flavor, call.urls)})


def create(call: Call) -> Answer:
    """``POST /flavors``"""
    body = call.body['flavor']
    flavorid = body.get('id')
    flavor = call.compute.flavor_create(
        call.context,
        # 'auto' is how the nova client asks for an id.
        flavorid=None if flavorid in (None, 'auto') else str(flavorid),
        name=body['name'],
        memory_mb=types.integer(body['ram'], 'ram', minimum=1),
        vcpus=types.integer(body['vcpus'], 'vcpus', minimum=1),
        root_gb=types.integer(body['disk'], 'disk', minimum=0),
        ephemeral_gb=types.integer(
            body.get('OS-FLV-EXT-DATA:ephemeral', 0), 'OS-FLV-EXT-DATA:ephemeral', minimum=0
        ),
        swap_mb=types.integer(body.get('swap') or 0, 'swap', minimum=0),
        is_public=types.is_true(body.get('os-flavor-access:is_public', True)),
    )
    return Answer({'flavor': flavors.render_detail(flavor, call.urls)})


def delete(call: Call, flavor_id: str) -> Answer:
    """``DELETE /flavors/{flavor_id}``"""
    call.compute.flavor_delete(call.context, flavor_id)
    return Answer()


def index_extra_specs(call: Call, flavor_id: str) -> Answer:
    """``GET /flavors/{flavor_id}/os-extra_specs``"""
    flavor = call.compute.flavor_get(call.context, flavor_id)
    return Answer({'extra_specs': dict(flavor.extra_specs)})


def show_extra_spec(call: Call, flavor_id: str, key: str) -> Answer:
    """``GET /flavors/{flavor_id}/os-extra_specs/{key}``"""
    flavor = call.compute.flavor_get(call.context, flavor_id)
    if key not in flavor.extra_specs:
        raise exception.NotFound(f'Flavor {flavor_id} has no extra specification {key}.')
    return Answer({key: flavor.extra_specs[key]})
