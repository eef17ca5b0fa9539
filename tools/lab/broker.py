"""RabbitMQ in a sandbox, for services in separate processes; on the loopback address only.

Source: the "Configuration" and "Networking" guides of RabbitMQ 3.10.
"""

from __future__ import annotations

from lab.daemon import Daemon
from lab.sandbox import Sandbox

USER = 'rabbitmq'
SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server'
#: Not Debian's own directory: the machine's broker, if it has one, has its data there.
STATE = '/var/lib/lab-rabbitmq'
LOG = f'{STATE}/log/server.log'
PORT = 5672
#: RabbitMQ lets its user "guest" in from the loopback address.
TRANSPORT_URL = f'rabbit://guest:guest@127.0.0.1:{PORT}/'
ENVIRONMENT = {
    'HOME': STATE,
    'RABBITMQ_NODENAME': 'rabbit@localhost',
    'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
    'RABBITMQ_NODE_PORT': str(PORT),
    'RABBITMQ_MNESIA_BASE': f'{STATE}/mnesia',
    'RABBITMQ_LOG_BASE': f'{STATE}/log',
    'RABBITMQ_PID_FILE': f'{STATE}/pid',
    'RABBITMQ_CONFIG_FILE': f'{STATE}/none',
    'RABBITMQ_ENABLED_PLUGINS_FILE': f'{STATE}/enabled_plugins',
    'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '-kernel inet_dist_use_interface {127,0,0,1}',
    'ERL_EPMD_ADDRESS': '127.0.0.1',
}


def start(sandbox: Sandbox) -> Daemon:
    """Start it and wait until it takes connections.  Raises SandboxError.  About 4 s."""
    sandbox.run(['install', '-d', '-o', USER, '-g', USER, STATE, f'{STATE}/log'])
    daemon = Daemon.start(sandbox, 'rabbitmq', [SERVER], log=LOG, user=USER, env=ENVIRONMENT)
    daemon.wait_answer(f'tcp://127.0.0.1:{PORT}', 90)
    return daemon
