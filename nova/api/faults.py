"""Errors as the Compute API writes them: ``{"itemNotFound": {"code": 404, "message": ...}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova import exception

_NAMES: Mapping[int, str] = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    406: 'notAcceptable',
    409: 'conflictingRequest',
    413: 'overLimit',
    415: 'badMediaType',
    429: 'overLimit',
    501: 'notImplemented',
    503: 'serviceUnavailable',
}

HIDDEN = 'The service failed. Its operator can find the reason in the log by the request id.'


def build_fault(code: int, message: str) -> dict[str, Any]:
    """The body of an answer with status ``code``."""
    return {_NAMES.get(code, 'computeFault'): {'code': code, 'message': message}}


def build_message(error: exception.NovaException) -> str:
    """The text of ``error`` that a caller may read: that of a class which is not ``safe`` may hold
    names of hosts and files, and goes to the log only."""
    return error.message if error.safe else HIDDEN
