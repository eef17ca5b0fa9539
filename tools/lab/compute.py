"""The services of this project in a sandbox, as an operator would install them.

They run as the user ``nova``, who may become root only to start oslo.privsep's helper; state is
in /var/lib/nova, configuration in /etc/nova, each service's log in /var/log/nova/NAME.log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import time
from typing import Any

from lab import checkout, identity
from lab import wait_reports as wait_reports_script
from lab.daemon import Daemon
from lab.sandbox import CommandError, Sandbox, SandboxError

USER = 'nova'
CONFIG = '/etc/nova/nova.conf'
STATE = '/var/lib/nova'
RUN = '/run/nova'
LOGS = '/var/log/nova'
SUDOERS = '/etc/sudoers.d/nova'
API_URL = 'http://127.0.0.1:8774/'
#: Everything in one process, and one process each; the order in which they start.
EMBEDDED = ('nova-all',)
SEPARATE = ('nova-network', 'nova-compute', 'nova-scheduler', 'nova-api')
#: Services that report in "nova-manage service list", however many processes there are.
REPORTING = ('nova-network', 'nova-compute', 'nova-scheduler')
#: How long reports are waited for before somebody looks whether the services are alive.
LOOK_S = 5.0
SQLITE_URL = f'sqlite:///{STATE}/nova.sqlite'

Options = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Settings:
    """What differs between clouds; everything else has the service's own defaults.

    :ivar transport_url: of the message broker; None when all services are one process
    :ivar extra: options by group, e.g. ``{'DEFAULT': {'my_ip': '10.0.0.1'}}``; they win
    """

    database_url: str = SQLITE_URL
    transport_url: str | None = None
    extra: Options = field(default_factory=dict)


def start(sandbox: Sandbox, settings: Settings | None = None) -> Daemon:
    """Everything in one process, from nothing to serving.  Raises SandboxError."""
    return start_services(sandbox, settings or Settings(), EMBEDDED)[0]


def start_services(
    sandbox: Sandbox, settings: Settings, names: Sequence[str], *, sync: bool = True
) -> list[Daemon]:
    """Prepare the host and the database, start services and wait until they are up.

    :param sync: False on a further host of a cloud, which finds the database ready
    """
    prepare_host(sandbox)
    write_config(sandbox, settings)
    if sync:
        manage(sandbox, 'db', 'sync')
    daemons = [start_service(sandbox, name) for name in names]
    wait_up(sandbox, daemons)
    return daemons


# --- the host -----------------------------------------------------------------------


def prepare_host(sandbox: Sandbox) -> None:
    """The user, its directories, and the one thing it may do as root."""
    script = """
        set -e
        id "$1" >/dev/null 2>&1 || useradd --system --home-dir "$2" --shell /bin/sh "$1"
        usermod --append --groups libvirt "$1"
        install -d -o "$1" -g "$1" -m 755 "$2" "$3" "$4"
    """
    sandbox.run(['/bin/sh', '-c', script, 'sh', USER, STATE, RUN, LOGS])
    helper = checkout.venv_command('privsep-helper')
    rules = (
        f'Defaults:{USER} secure_path="{checkout.VENV}/bin:/usr/sbin:/usr/bin:/sbin:/bin"\n'
        f'Defaults:{USER} !requiretty\n'
        f'{USER} ALL=(root) NOPASSWD: {helper} *\n'
    )
    sandbox.write_file(SUDOERS, rules, mode=0o440)


# --- configuration ------------------------------------------------------------------


def write_config(sandbox: Sandbox, settings: Settings) -> None:
    sandbox.write_file(CONFIG, render_config(settings), mode=0o640, owner=USER)


def render_config(settings: Settings) -> str:
    """The text of nova.conf."""
    login = parse_options(identity.auth_options('nova'))
    groups: dict[str, dict[str, str]] = {
        'DEFAULT': {'my_ip': '127.0.0.1', 'state_path': STATE, 'run_path': RUN},
        'database': {'connection': settings.database_url},
        'api': {'listen': '127.0.0.1', 'port': '8774'},
        'keystone_authtoken': {'www_authenticate_uri': identity.URL, **login},
        'glance': {'region_name': identity.REGION, **login},
        'libvirt': {'connection_uri': 'qemu:///system', 'virt_type': 'auto'},
        # what a test wants to run against, it sets for its project
        'quota': {'instances': '-1', 'cores': '-1', 'ram': '-1'},
    }
    if settings.transport_url is not None:
        groups['DEFAULT']['transport_url'] = settings.transport_url
    for group, options in settings.extra.items():
        groups.setdefault(group, {}).update(options)
    return '\n'.join(render_group(name, options) for name, options in groups.items())


def render_group(name: str, options: Mapping[str, str]) -> str:
    return f'[{name}]\n' + ''.join(f'{key} = {value}\n' for key, value in options.items())


def parse_options(text: str) -> dict[str, str]:
    """``key = value`` lines as a dict."""
    pairs = (line.partition(' = ') for line in text.splitlines())
    return {key: value for key, _, value in pairs}


# --- processes ----------------------------------------------------------------------


def environment() -> dict[str, str]:
    """What the services' and nova-manage's environment adds."""
    path = f'{checkout.VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    return {'PATH': path, 'PYTHONWARNINGS': 'ignore'}


def log_path(name: str) -> str:
    return f'{LOGS}/{name}.log'


def start_service(sandbox: Sandbox, name: str) -> Daemon:
    """Start one service and return at once; ``stop`` and ``kill`` are the daemon's.

    The log goes on in the same file when it is started again.
    """
    command = [checkout.venv_command(name), '--config-file', CONFIG]
    return Daemon.start(sandbox, name, command, log=log_path(name), user=USER, env=environment())


def restart_service(daemon: Daemon) -> Daemon:
    """Stop a service, start it again and wait until it is up.  Raises SandboxError."""
    daemon.stop()
    again = start_service(daemon.sandbox, daemon.name)
    wait_up(daemon.sandbox, [again])
    return again


def wait_up(sandbox: Sandbox, daemons: Sequence[Daemon], timeout_s: float = 90.0) -> None:
    """Wait until the API answers and every service reports.  Raises SandboxError."""
    for daemon in daemons:
        if daemon.name in ('nova-all', 'nova-api'):
            daemon.wait_answer(API_URL, timeout_s)
    wait_reports(sandbox, daemons, timeout_s)


def wait_reports(sandbox: Sandbox, daemons: Sequence[Daemon], timeout_s: float = 90.0) -> None:
    """Wait until every service of these processes has reported since its process was started.

    :param sandbox: any host of the cloud
    :raises SandboxError: one does not, or has ended
    """
    # Reports have whole seconds: one in the second of the start may be the predecessor's.
    wanted = [
        f'{daemon.sandbox.name}/{binary}={daemon.since}'
        for daemon in daemons
        for binary in REPORTING
        if daemon.name in ('nova-all', binary)
    ]
    deadline = time.monotonic() + timeout_s
    command = [checkout.venv_command('python'), '-I', wait_reports_script.__file__, CONFIG]
    while True:
        done = sandbox.run([*command, str(LOOK_S), *wanted], check=False, user=USER)
        if done.returncode == 0:
            return
        ended = [daemon.name for daemon in daemons if not daemon.is_alive()]
        if ended or time.monotonic() > deadline:
            logs = '\n'.join(daemon.tail() for daemon in daemons)
            why = f'{", ".join(ended)} ended' if ended else f'not all report: {services(sandbox)}'
            raise SandboxError(f'{why}\n{done.stderr}\n{logs}')


# --- nova-manage --------------------------------------------------------------------


def manage(sandbox: Sandbox, *arguments: str) -> str:
    """What nova-manage prints; CommandError when it fails."""
    command = [checkout.venv_command('nova-manage'), '--config-file', CONFIG, *arguments]
    return sandbox.run(command, user=USER, env=environment()).stdout


def manage_json(sandbox: Sandbox, *arguments: str) -> Any:
    """What nova-manage prints, as data."""
    text = manage(sandbox, '--json', *arguments)
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CommandError(f'nova-manage {" ".join(arguments)} printed no JSON: {text}') from exc


def services(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The services with binary, host, status (enabled or disabled) and state (up or down)."""
    found: list[dict[str, Any]] = manage_json(sandbox, 'service', 'list')
    return found


def create_network(sandbox: Sandbox, label: str, cidr: str, *options: str) -> dict[str, Any]:
    """A network, by nova-manage; ``options`` are further command line options."""
    created: dict[str, Any] = manage_json(
        sandbox, 'network', 'create', '--label', label, '--range', cidr, *options
    )
    return created
