"""Keystone in a sandbox: the real one, on SQLite, on the loopback address.

    projects  admin, service, demo
    users     admin (admin in admin) · nova, glance (admin in service) · demo (member in demo)

The password of all of them is PASSWORD: nothing outside the sandbox can reach them.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path

from lab import checkout, keystone_server, keystone_setup, template
from lab.daemon import Daemon
from lab.sandbox import Sandbox

PASSWORD = 'secret'
REGION = 'RegionOne'
LISTEN = '127.0.0.1:5000'
URL = f'http://{LISTEN}/v3'
COMPUTE_URL = 'http://127.0.0.1:8774/v2.1'
IMAGE_URL = 'http://127.0.0.1:9292'
CONFIG = '/etc/keystone/keystone.conf'
STATE = '/var/lib/keystone'
LOG = '/var/log/keystone/keystone.log'
SERVICES = (('compute', 'nova', COMPUTE_URL), ('image', 'glance', IMAGE_URL))
USERS = (
    ('nova', PASSWORD, 'service', ['admin', 'service']),
    ('glance', PASSWORD, 'service', ['admin', 'service']),
    ('demo', PASSWORD, 'demo', ['member', 'reader']),
)

#: The cache makes token validation a hundred times faster; few hash rounds make logins fast.
KEYSTONE_CONF = f"""\
[DEFAULT]
use_stderr = true
default_log_levels = keystone=WARNING,py.warnings=ERROR
[database]
connection = sqlite:///{STATE}/keystone.db
sqlite_synchronous = false
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = {STATE}/fernet
[fernet_receipts]
key_repository = {STATE}/fernet
[credential]
key_repository = {STATE}/credential
[identity]
password_hash_rounds = 4
max_password_length = 72
[cache]
enabled = true
backend = dogpile.cache.memory
"""


@dataclass(frozen=True)
class Login:
    """Who somebody is to Keystone."""

    user: str
    project: str

    def environment(self) -> dict[str, str]:
        """The variables that the command line clients read."""
        return {
            'OS_AUTH_URL': URL,
            'OS_USERNAME': self.user,
            'OS_PASSWORD': PASSWORD,
            'OS_PROJECT_NAME': self.project,
            'OS_USER_DOMAIN_ID': 'default',
            'OS_PROJECT_DOMAIN_ID': 'default',
            'OS_IDENTITY_API_VERSION': '3',
            'OS_REGION_NAME': REGION,
        }


ADMIN = Login('admin', 'admin')
DEMO = Login('demo', 'demo')


def auth_options(user: str) -> str:
    """The lines by which a service logs in, for its configuration file."""
    return (
        f'auth_url = {URL}\nauth_type = password\nusername = {user}\npassword = {PASSWORD}\n'
        'project_name = service\nuser_domain_id = default\nproject_domain_id = default\n'
    )


def start(sandbox: Sandbox) -> Daemon:
    """Start it and wait until it serves.  Raises SandboxError."""
    daemon = launch(sandbox)
    daemon.wait_answer(URL)
    return daemon


def launch(sandbox: Sandbox) -> Daemon:
    """Start it and return at once; it serves some seconds later."""
    sandbox.write_file(CONFIG, KEYSTONE_CONF)
    template.provide(sandbox, 'keystone', STATE, template_inputs(), lambda: fill(sandbox))
    python = checkout.venv_command('python')
    env = {'OS_KEYSTONE_CONFIG_FILES': CONFIG, 'PYTHONWARNINGS': 'ignore'}
    command = [python, keystone_server.__file__, LISTEN]
    return Daemon.start(sandbox, 'keystone', command, log=LOG, env=env)


def wanted_content() -> str:
    return json.dumps(
        {
            'admin_password': PASSWORD,
            'url': URL,
            'region': REGION,
            'services': SERVICES,
            'users': USERS,
        }
    )


def template_inputs() -> list[str]:
    setup = Path(keystone_setup.__file__).read_text()
    versions = template.pinned_versions('keystone', 'oslo.db', 'sqlalchemy')
    return [KEYSTONE_CONF, wanted_content(), setup, *versions]


def fill(sandbox: Sandbox) -> None:
    command = [checkout.venv_command('python'), keystone_setup.__file__, CONFIG, wanted_content()]
    sandbox.run(command)
