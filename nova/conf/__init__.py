"""The options, one module for each group.

``CONF`` is read by :mod:`nova.wiring`; everything else is handed the group (or the values) that it
needs.
"""

from __future__ import annotations

import importlib
from typing import Any

from oslo_config import cfg

from nova.conf import api, base, compute, firewall, glance, libvirt, network, quota, scheduler

CONF = cfg.CONF

_GROUPS = (api, base, compute, firewall, glance, libvirt, network, quota, scheduler)


def register(conf: cfg.ConfigOpts) -> None:
    """Register every option of ours on ``conf``; doing it twice is no error."""
    for module in _GROUPS:
        module.register_opts(conf)


def list_opts() -> list[tuple[str, list[Any]]]:
    """For oslo-config-generator: ``(group, options)`` of every module."""
    return [entry for module in _GROUPS for entry in module.list_opts()]


def register_library_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options that libraries make only on first use, so that they can be set."""
    importlib.import_module('keystonemiddleware.auth_token')
    importlib.import_module('oslo_db.options').set_defaults(conf)


register(CONF)
