"""The list of extensions."""

from __future__ import annotations

from nova import exception
from nova.api.call import Answer, Call
from nova.api.views import extensions


def index(call: Call) -> Answer:
    """``GET /extensions``"""
    views = [extensions.render_extension(alias) for alias in extensions.EXTENSIONS]
    return Answer({'extensions': views})


def show(call: Call, alias: str) -> Answer:
    """``GET /extensions/{alias}``"""
    if alias not in extensions.EXTENSIONS:
        raise exception.NotFound(f'Extension {alias} could not be found.')
    return Answer({'extension': extensions.render_extension(alias)})
