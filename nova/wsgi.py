"""``nova.wsgi:application``, for WSGI servers such as uwsgi and gunicorn.

The configuration is ``/etc/nova/nova.conf``, or the files that the environment variable
``NOVA_CONFIG_FILES`` names, with ``:`` between them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nova import service, wiring

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

ENVIRONMENT = 'NOVA_CONFIG_FILES'


def _build() -> WSGIApplication:
    files = [name for name in os.environ.get(ENVIRONMENT, '').split(':') if name]
    # The server's own command line is none of ours, so it is not what is parsed.
    arguments = [f'--config-file={name}' for name in files]
    conf = wiring.configure(arguments, 'nova-api-wsgi')
    application: WSGIApplication = service.build_api_application(conf)
    return application


application = _build()
