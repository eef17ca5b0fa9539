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
from lab.compute import CONFIG
from lab.identity import ADMIN, Login
from lab.sandbox import CommandError, Sandbox

#: What the wrappers are made for; {venv} and {config} are filled in.
WRAPPED = {
    'nova': '{venv}/bin/nova',
    'openstack': '{venv}/bin/openstack',
    'nova-manage': '{venv}/bin/nova-manage --config-file {config}',
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


def write_openrc(sandbox: Sandbox, directory: Path, login: Login = ADMIN) -> Path:
    """Write ``openrc`` and the wrappers below a directory of the machine; returns openrc."""
    commands = directory / 'bin'
    commands.mkdir(parents=True, exist_ok=True)
    for name, target in WRAPPED.items():
        write_wrapper(sandbox, commands / name, target)
    openrc = directory / 'openrc'
    openrc.write_text(render_openrc(sandbox, commands, login))
    return openrc


def write_wrapper(sandbox: Sandbox, path: Path, target: str) -> None:
    command = target.format(venv=shlex.quote(str(checkout.VENV)), config=CONFIG)
    tool = shlex.quote(str(checkout.ROOT / 'tools' / 'sandbox'))
    path.write_text(f'#!/bin/sh\nexec {tool} run {sandbox.name} -- {command} "$@"\n')
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
