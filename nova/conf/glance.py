"""Options for reaching Glance. The keystoneauth session options (``auth_url``, ``username``,
``cafile`` and so on) are read from the same group."""

from __future__ import annotations

from typing import Any

from keystoneauth1 import loading
from oslo_config import cfg

OPTS = [
    cfg.StrOpt(
        'region_name',
        help="""
The region of the Glance endpoint in the service catalog; unset takes the only one.
""",
    ),
    cfg.StrOpt(
        'endpoint_override',
        help="""
The URL of Glance, when it is not to be looked up in the service catalog.
""",
    ),
    cfg.IntOpt(
        'num_retries',
        default=3,
        min=0,
        help="""
How often a failed download is tried again.
""",
    ),
    cfg.IntOpt(
        'max_image_gb',
        default=1024,
        min=1,
        help="""
The largest image, in GiB of its virtual size, that is fetched at all.
""",
    ),
]

GROUP = 'glance'


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)
    loading.register_auth_conf_options(conf, GROUP)
    loading.register_session_conf_options(conf, GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    auth = loading.get_auth_common_conf_options() + loading.get_session_conf_options()
    return [(GROUP, OPTS + auth)]
