"""The Compute API as a WSGI application, put together in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_log import log
from oslo_middleware import healthcheck, http_proxy_to_wsgi, request_id, sizelimit

from nova.api import auth, dispatch, ports
from nova.api import policy as api_policy

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

LOG = log.getLogger(__name__)


def build_application(
    compute_api: ports.ComputeApi,
    network_api: ports.NetworkApi,
    group_api: ports.SecurityGroupApi,
    conf: cfg.ConfigOpts,
    *,
    policy: api_policy.Policy | None = None,
) -> WSGIApplication:
    """The whole API: version documents, authentication, operations.

    :param conf: parsed options. Of ours only the group ``api`` is read; the libraries read
        their own (``keystone_authtoken``, ``oslo_middleware``, ``oslo_policy``,
        ``healthcheck``).
    :param policy: the rules in force; None makes them from ``conf``.
    """
    dispatcher = dispatch.Dispatcher(
        compute_api,
        network_api,
        group_api,
        policy or api_policy.Policy(conf),
        max_limit=conf.api.max_limit,
    )
    # What comes later in this list is nearer to the client and sees the request earlier. The order
    # is from the innermost out:
    #   1. the operations, which believe the identity headers in the environment; so nothing may
    #      stand between them and
    #   2. authentication, which alone sets these headers and drops those that a client sent;
    #   3. beside it what is asked without a token: the version documents, by clients that are
    #      about to get one, and the health check, by load balancers;
    #   4. the size limit, outside of authentication so that nobody unknown can send a large body,
    #      and outside of everything that reads one;
    #   5. the request id, outside of all that can refuse a request, so that refusals have one too
    #      and the operator can find them in the log;
    #   6. the proxy's headers, first of all, for they correct the scheme and host from which
    #      everything else makes URLs. Off unless enable_proxy_headers_parsing is set, since a
    #      client that is not behind a proxy could write them itself.
    application: WSGIApplication = dispatch.build_api(dispatcher)
    application = _authenticate(application, conf.api.auth_strategy, conf)
    documents = dispatch.build_version_documents()
    public: dict[str, WSGIApplication] = dict.fromkeys(auth.VERSION_PATHS, documents)
    public[auth.HEALTH_PATH] = healthcheck.Healthcheck(None, conf)
    application = auth.PublicPaths(public, application)
    application = sizelimit.RequestBodySizeLimiter(application, conf)
    application = _give_request_id(application, conf)
    return http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)


def _give_request_id(application: WSGIApplication, conf: cfg.ConfigOpts) -> WSGIApplication:
    middleware = request_id.RequestId(application, conf)
    # Clients look for it under the name of the service, too.
    middleware.compat_headers = ['x-compute-request-id']
    return middleware


def _authenticate(
    application: WSGIApplication, strategy: str, conf: cfg.ConfigOpts
) -> WSGIApplication:
    if strategy == 'noauth':
        LOG.warning('auth_strategy is noauth: whoever reaches the API is who they say they are')
        return auth.BelievedHeaders(application)
    guarded: WSGIApplication = auth_token.AuthProtocol(application, {'oslo_config_config': conf})
    return guarded
