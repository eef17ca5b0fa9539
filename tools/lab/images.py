"""Glance in a sandbox: the real one, on SQLite, with a file store, on the loopback address."""

from __future__ import annotations

from lab import checkout, identity, template
from lab.daemon import Daemon
from lab.sandbox import Sandbox

URL = identity.IMAGE_URL
CONFIG_DIRECTORY = '/etc/glance'
CONFIG = f'{CONFIG_DIRECTORY}/glance-api.conf'
SERVER_CONFIG = f'{CONFIG_DIRECTORY}/gunicorn.conf.py'
STATE = '/var/lib/glance'
DIRECTORIES = ('images', 'staging', 'tasks', 'locks')
LOG = '/var/log/glance/glance.log'

GLANCE_CONF = f"""\
[DEFAULT]
use_stderr = true
enabled_backends = file1:file
# oslo.config wants these brackets
enabled_import_methods = [glance-direct]
worker_self_reference_url = {URL}
transport_url = fake://
[database]
connection = sqlite:///{STATE}/glance.db
sqlite_synchronous = false
[glance_store]
default_backend = file1
[file1]
filesystem_store_datadir = {STATE}/images
[os_glance_staging_store]
filesystem_store_datadir = {STATE}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {STATE}/tasks
[oslo_concurrency]
lock_path = {STATE}/locks
[paste_deploy]
flavor = keystone
config_file = {checkout.VENV}/etc/glance/glance-api-paste.ini
[keystone_authtoken]
www_authenticate_uri = {identity.URL}
{identity.auth_options('glance')}"""
#: One synchronous worker: SQLite answers several writers with "database is locked".  No
#: timeout: an upload may take its time.
GUNICORN_CONF = f"""\
bind = {URL.removeprefix('http://')!r}
workers = 1
worker_class = 'sync'
timeout = 0
wsgi_app = 'glance.wsgi.api:application'
control_socket_disable = True
"""


def start(sandbox: Sandbox) -> Daemon:
    """Start it and wait until it serves; Keystone must be there.  Raises SandboxError."""
    daemon = launch(sandbox)
    daemon.wait_answer(f'{URL}/healthcheck')
    return daemon


def launch(sandbox: Sandbox) -> Daemon:
    """Start it and return at once; it serves some seconds later."""
    sandbox.write_file(CONFIG, GLANCE_CONF)
    sandbox.write_file(SERVER_CONFIG, GUNICORN_CONF)
    template.provide(sandbox, 'glance', STATE, template_inputs(), lambda: fill(sandbox))
    command = [checkout.venv_command('python'), '-m', 'gunicorn', '-c', SERVER_CONFIG]
    env = {'OS_GLANCE_CONFIG_DIR': CONFIG_DIRECTORY, 'PYTHONWARNINGS': 'ignore'}
    return Daemon.start(sandbox, 'glance', command, log=LOG, env=env)


def template_inputs() -> list[str]:
    return [GLANCE_CONF, *template.pinned_versions('glance', 'oslo.db', 'sqlalchemy')]


def fill(sandbox: Sandbox) -> None:
    """The directories and an empty database."""
    sandbox.run(['mkdir', '-p', *(f'{STATE}/{name}' for name in DIRECTORIES)])
    manage = checkout.venv_command('glance-manage')
    env = {'PYTHONWARNINGS': 'ignore'}
    sandbox.run([manage, '--config-file', CONFIG, 'db_sync'], env=env)
