"""The real command line clients, against a sandbox: run by us, or typed by a person.

The services' addresses are the sandbox's own loopback; so the clients run inside as well.  For a
person there is an ``openrc`` that puts small wrappers before everything else on PATH: ``nova
list`` typed on the machine then runs inside.
"""

from __future__ import annotations

import json
from pathlib import Path
import shlex
import subprocess
from typing import Any

from lab import checkout
from lab.compute import CONFIG, USER
from lab.identity import ADMIN, DEMO, Login
from lab.sandbox import CommandError, Sandbox

#: What the wrappers are made for: the user who runs it inside, and its first arguments.  The
#: database belongs to the services' user, and so do the files that SQLite makes beside it.
WRAPPED = {
    'nova': ('root', ''),
    'openstack': ('root', ''),
    'nova-manage': (USER, f'--config-file {CONFIG}'),
}


def environment(login: Login) -> dict[str, str]:
    """For a client inside: who it is, and no warnings of the interpreter's."""
    return login.environment() | {'PYTHONWARNINGS': 'ignore'}


def run(
    sandbox: Sandbox,
    *command: str,
    login: Login = ADMIN,
    check: bool = True,
    timeout_s: float = 300.0,
) -> subprocess.CompletedProcess[str]:
    """Run ``nova ...`` or ``openstack ...`` inside.  Raises CommandError when it fails."""
    name, *arguments = command
    return sandbox.run(
        [checkout.venv_command(name), *arguments],
        env=environment(login),
        check=check,
        timeout_s=timeout_s,
    )


def run_json(sandbox: Sandbox, *command: str, login: Login = ADMIN) -> Any:
    """The data that an ``openstack`` command prints."""
    text = run(sandbox, *command, '-f', 'json', login=login).stdout
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CommandError(f'{" ".join(command)} printed no JSON: {text}') from exc


def write_openrc(sandbox: Sandbox, directory: Path) -> Path:
    """Write ``openrc``, ``openrc-demo`` and the wrappers below a directory of the machine.

    :returns: the administrator's openrc
    """
    commands = directory / 'bin'
    commands.mkdir(parents=True, exist_ok=True)
    for name, (user, arguments) in WRAPPED.items():
        write_wrapper(sandbox, commands / name, user, arguments)
    for suffix, login in (('', ADMIN), ('-demo', DEMO)):
        (directory / f'openrc{suffix}').write_text(render_openrc(sandbox, commands, login))
    return directory / 'openrc'


def write_wrapper(sandbox: Sandbox, path: Path, user: str, arguments: str) -> None:
    tool = shlex.quote(str(checkout.ROOT / 'tools' / 'sandbox'))
    command = shlex.quote(checkout.venv_command(path.name))
    path.write_text(
        f'#!/bin/sh\nexec {tool} run {sandbox.name} --user {user} -- {command} {arguments} "$@"\n'
    )
    path.chmod(0o755)


def render_openrc(sandbox: Sandbox, commands: Path, login: Login) -> str:
    exports = {**environment(login), 'PATH': f'{commands}:'}
    lines = [
        f'# Source this to reach the cloud in the sandbox {sandbox.name} as {login.user}:',
        '# nova, openstack and nova-manage then run inside it.',
    ]
    for name, value in exports.items():
        rest = '"$PATH"' if name == 'PATH' else ''
        lines.append(f'export {name}={shlex.quote(value)}{rest}')
    return '\n'.join(lines) + '\n'
