"""From an HTTP request to a handler of the route table, and back.

Everything that holds for all operations is done here once, in this order: who is it, which
microversion, which operation, may they, is the request of the right form; then the handler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import falcon
from oslo_log import log
import webob.exc

from nova import context as nova_context
from nova import exception
from nova.api import faults, microversion, ports, routes, validation
from nova.api import policy as api_policy
from nova.api.call import Call
from nova.api.views import links, versions

LOG = log.getLogger(__name__)

_Responder = Callable[..., None]


class _Resource:
    """What Falcon routes a path to: a responder ``on_<method>`` for each method of the table."""

    def __init__(self, responders: Mapping[str, _Responder]) -> None:
        for method, responder in responders.items():
            setattr(self, f'on_{method.lower()}', responder)


class Dispatcher:
    """Serves the operations of the route table."""

    def __init__(
        self,
        compute: ports.ComputeApi,
        network: ports.NetworkApi,
        groups: ports.SecurityGroupApi,
        policy: api_policy.Policy,
        *,
        max_limit: int,
    ) -> None:
        self._compute = compute
        self._network = network
        self._groups = groups
        self._policy = policy
        self._max_limit = max_limit

    def responder(
        self, operations: routes.Operation | Mapping[str, routes.Operation]
    ) -> _Responder:
        """The Falcon responder of an operation, or of one of several that the body chooses."""

        def respond(req: falcon.Request, resp: falcon.Response, **fields: str) -> None:
            context = self._read_context(req)
            version = _read_version(req, resp)
            _check_fields(fields)
            operation, body = self._admit(context, operations, req)
            call = self._build_call(context, version, operation, req, body)
            answer = operation.handler(call, **fields)
            resp.status = operation.status
            resp.set_headers(dict(answer.headers))
            if answer.body is not None:
                resp.media = answer.body

        return respond

    def _admit(
        self,
        context: nova_context.RequestContext,
        operations: routes.Operation | Mapping[str, routes.Operation],
        req: falcon.Request,
    ) -> tuple[routes.Operation, dict[str, Any]]:
        """The operation that is asked for, which the caller may use, and the body as it came.

        :raises NotAuthorized: the caller may not.
        """
        if isinstance(operations, routes.Operation):
            self._policy.authorize(context, operations.rule)
            return operations, _read_body(req) if operations.body is not None else {}
        # The body has to be read to know what is asked, and by that whether it is allowed.
        body = _read_body(req)
        operation = choose_action(operations, body)
        self._policy.authorize(context, operation.rule)
        return operation, body

    def _build_call(
        self,
        context: nova_context.RequestContext,
        version: microversion.Version,
        operation: routes.Operation,
        req: falcon.Request,
        body: dict[str, Any],
    ) -> Call:
        """:raises InvalidInput: the query or the body is not of the operation's form."""
        query = _read_query(req)
        if operation.query is not None:
            validation.check_query(operation.query, query)
        if operation.body is not None:
            validation.check_body(operation.body(version), body)
        return Call(
            context=context,
            version=version,
            query=query,
            body=body,
            urls=links.Links(req.prefix.rstrip('/')),
            can=lambda rule: self._policy.can(context, rule),
            compute=self._compute,
            network=self._network,
            groups=self._groups,
            max_limit=self._max_limit,
        )

    def _read_context(self, req: falcon.Request) -> nova_context.RequestContext:
        context = nova_context.RequestContext.from_environ(req.env)
        context.is_admin = self._policy.is_admin(context)
        return context


def choose_action(
    operations: Mapping[str, routes.Operation], body: Mapping[str, Any]
) -> routes.Operation:
    """The action whose name is the only key of ``body``.

    :raises InvalidInput: there is no such action, or not one key.
    """
    name = next(iter(body), '')
    if len(body) != 1 or name not in operations:
        raise exception.InvalidInput(
            field='the request body',
            reason=f'it has to hold one action; supported: {", ".join(sorted(operations))}',
        )
    return operations[name]


def _read_version(req: falcon.Request, resp: falcon.Response) -> microversion.Version:
    resp.append_header('Vary', f'{microversion.HEADER}, {microversion.LEGACY_HEADER}')
    version = microversion.parse_version(
        req.get_header(microversion.HEADER), req.get_header(microversion.LEGACY_HEADER)
    )
    resp.set_header(microversion.HEADER, f'{microversion.SERVICE} {version}')
    resp.set_header(microversion.LEGACY_HEADER, str(version))
    return version


def _read_query(req: falcon.Request) -> dict[str, str]:
    """The parameters; of one that is repeated, the last."""
    query = {
        name: value[-1] if isinstance(value, list) else value for name, value in req.params.items()
    }
    validation.check_text(query)
    return query


def _read_body(req: falcon.Request) -> dict[str, Any]:
    try:
        body = req.get_media()
    except RecursionError as exc:
        raise exception.InvalidInput(
            field='the request body', reason='it is nested too deeply'
        ) from exc
    if not isinstance(body, dict):
        raise exception.InvalidInput(field='the request body', reason='it is no JSON object')
    validation.check_text(body)
    return body


def _check_fields(fields: Mapping[str, str]) -> None:
    """No database finds a NUL, and some fail on it."""
    for name, value in fields.items():
        if '\x00' in value:
            raise exception.NotFound(f'{name} {value!r} could not be found.')


def build_api(dispatcher: Dispatcher) -> falcon.App[falcon.Request, falcon.Response]:
    """The operations of the route table, below ``/v2.1``."""
    app = _build_falcon()
    for path, methods in routes.ROUTES.items():
        responders = {name: dispatcher.responder(found) for name, found in methods.items()}
        app.add_route(f'/{links.VERSION_PATH}{path}', _Resource(responders))
    return app


def build_version_documents() -> falcon.App[falcon.Request, falcon.Response]:
    """What may be read without a token."""

    def show_all(req: falcon.Request, resp: falcon.Response) -> None:
        urls = links.Links(req.prefix.rstrip('/'))
        resp.media = {'versions': [versions.render_version(urls)]}

    def show_one(req: falcon.Request, resp: falcon.Response) -> None:
        urls = links.Links(req.prefix.rstrip('/'))
        resp.media = {'version': versions.render_version_detail(urls)}

    app = _build_falcon()
    app.add_route('/', _Resource({'GET': show_all}))
    app.add_route(f'/{links.VERSION_PATH}', _Resource({'GET': show_one}))
    return app


def _build_falcon() -> falcon.App[falcon.Request, falcon.Response]:
    app: falcon.App[falcon.Request, falcon.Response] = falcon.App()
    app.req_options.strip_url_path_trailing_slash = True
    # A comma in a value is a part of it; an empty value is one.
    app.req_options.auto_parse_qs_csv = False
    app.req_options.keep_blank_qs_values = True
    # Forms and multipart bodies are no part of this API.
    json_handler = app.req_options.media_handlers[falcon.MEDIA_JSON]
    app.req_options.media_handlers.data.clear()
    app.req_options.media_handlers[falcon.MEDIA_JSON] = json_handler
    app.set_error_serializer(_serialize_error)
    app.add_error_handler(exception.NovaException, _handle_ours)
    app.add_error_handler(webob.exc.HTTPException, _handle_webob)
    app.add_error_handler(Exception, _handle_unknown)
    return app


def _write_fault(resp: falcon.Response, code: int, message: str) -> None:
    resp.status = code
    resp.media = faults.build_fault(code, message)


def _serialize_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Errors that Falcon itself finds: no such path, no such method, not JSON."""
    if error.status_code in (404, 405):
        text = f'{req.method} {req.path} is not served.'
    else:
        text = error.description or HTTPStatus(error.status_code).phrase
    _write_fault(resp, error.status_code, text)


def _handle_ours(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    assert isinstance(error, exception.NovaException)
    if error.code >= 500:
        LOG.error('%s %s failed', req.method, req.path, exc_info=error)
    _write_fault(resp, error.code, faults.build_message(error))


def _handle_webob(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    """The limit of a body's size is enforced while it is read, by a library that uses WebOb."""
    assert isinstance(error, webob.exc.HTTPException)
    _write_fault(resp, error.wsgi_response.status_int, str(error))


def _handle_unknown(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    """Protects the caller from our text, and the server's thread from our mistakes."""
    LOG.error('%s %s failed', req.method, req.path, exc_info=error)
    _write_fault(resp, 500, faults.HIDDEN)
