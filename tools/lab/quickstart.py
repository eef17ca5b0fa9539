"""From nothing to an instance with two network cards, judged by the guest itself.

``tools/quickstart`` installs what is needed and then runs this.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import sys
import time
from typing import Any

from lab import checkout, clients, compute, guest_image, guest_report, identity, images, libvirtd
from lab.progress import render_table, say, stage
from lab.rest import Api
from lab.sandbox import Sandbox, SandboxError

NAME = 'quickstart'
SERVER = 'demo'
IMAGE = 'tiny'
FLAVOR = 'm1.tiny'
NETWORKS = (('net-a', '10.10.0.0/24'), ('net-b', '10.20.0.0/24'))
REPORT_TIMEOUT_S = 120.0
LOGS = (compute.log_path('nova-all'), libvirtd.LOG, identity.LOG, images.LOG)


class CheckError(Exception):
    """The guest, or the cloud, is not as asked for; the text says what."""


@dataclass(frozen=True)
class Attachment:
    """A network card as the API describes it."""

    network: str
    mac: str
    address: str


# --- making the cloud -----------------------------------------------------------------


def make_cloud(sandbox: Sandbox) -> None:
    """Everything up to an instance that could be booted."""
    with stage('guest image'):
        image = guest_image.build()
    with stage('sandbox host'):
        sandbox.up()
    start_services(sandbox)
    with stage('two networks'):
        for label, cidr in NETWORKS:
            compute.create_network(sandbox, label, cidr)
    with stage('image upload'):
        upload_image(sandbox, image)


def start_services(sandbox: Sandbox) -> None:
    # The two slowest to start do so beside the others.
    with stage('databases of keystone, glance'):
        keystone = identity.launch(sandbox)
        glance = images.launch(sandbox)
    with stage('libvirtd'):
        libvirtd.start(sandbox)
    with stage('keystone'):
        keystone.wait_answer(identity.URL)
    with stage('glance'):
        glance.wait_answer(f'{images.URL}/healthcheck')
    with stage('nova'):
        compute.start(sandbox)


def upload_image(sandbox: Sandbox, image: Path) -> None:
    options = ['--disk-format', 'qcow2', '--container-format', 'bare', '--file', str(image)]
    clients.run(sandbox, 'openstack', 'image', 'create', *options, '--public', IMAGE)


def network_ids(sandbox: Sandbox) -> dict[str, str]:
    """Label -> id, in the order in which the cards are asked for."""
    found = {row['label']: row['uuid'] for row in compute.manage_json(sandbox, 'network', 'list')}
    return {label: found[label] for label, _ in NETWORKS}


# --- the instance ---------------------------------------------------------------------


def boot_command(networks: Sequence[str]) -> list[str]:
    nics = [word for network in networks for word in ('--nic', f'net-id={network}')]
    return ['nova', 'boot', '--flavor', FLAVOR, '--image', IMAGE, *nics, SERVER, '--poll']


def boot(sandbox: Sandbox) -> None:
    command = boot_command(list(network_ids(sandbox).values()))
    say(f'\n  $ {" ".join(command)}')
    with stage('nova boot'):
        clients.run(sandbox, *command)


def wait_report(sandbox: Sandbox) -> guest_report.Report:
    """The guest's own words, by way of ``nova console-log``."""
    deadline = time.monotonic() + REPORT_TIMEOUT_S
    while time.monotonic() < deadline:
        # the client takes as much of the processor as the guest, which is still booting
        time.sleep(1)
        done = clients.run(sandbox, 'nova', 'console-log', SERVER, check=False)
        reports = guest_report.parse_reports(done.stdout)
        if reports:
            return reports[-1]
    raise CheckError(f'no report from the guest in {REPORT_TIMEOUT_S:.0f} s:\n{done.stdout}')


def list_attachments(sandbox: Sandbox) -> list[Attachment]:
    """The instance's cards as the API lists them, in its order."""
    api = Api(sandbox)
    server = api.get(f'/servers?name={SERVER}')['servers'][0]['id']
    labels = {network: label for label, network in network_ids(sandbox).items()}
    found: list[dict[str, Any]] = api.get(f'/servers/{server}/os-interface')['interfaceAttachments']
    return [
        Attachment(labels[item['net_id']], item['mac_addr'], item['fixed_ips'][0]['ip_address'])
        for item in found
    ]


# --- judging --------------------------------------------------------------------------


def find_faults(attachments: Sequence[Attachment], report: guest_report.Report) -> list[str]:
    """What differs between the API's cards and what the guest found, in words."""
    faults = []
    wanted = [label for label, _ in NETWORKS]
    if [card.network for card in attachments] != wanted:
        faults.append(f'the API has not the networks asked for, in order: {attachments}')
    if len(report.nics) != len(attachments):
        faults.append(f'the guest has {len(report.nics)} cards, the API {len(attachments)}')
    for nic, card in zip(report.nics, attachments, strict=False):
        faults += [f'NIC {nic.index}: {fault}' for fault in find_nic_faults(nic, card)]
    routes = report.default_routes()
    if len(routes) != 1 or ' dev eth0' not in routes[0]:
        faults.append(f'not exactly one default route, on NIC 0: {routes}')
    return faults


def find_nic_faults(nic: guest_report.Nic, card: Attachment) -> list[str]:
    faults = []
    if nic.mac != card.mac:
        faults.append(f'MAC {nic.mac} in the guest, {card.mac} in the API')
    if not nic.lease or nic.address is None:
        faults.append('no DHCP lease')
    elif nic.address.partition('/')[0] != card.address:
        faults.append(f'address {nic.address} in the guest, {card.address} in the API')
    if not nic.gateway_answers:
        faults.append('the gateway does not answer')
    return faults


def render_cards(attachments: Sequence[Attachment], report: guest_report.Report) -> str:
    head = ('NIC', 'NETWORK', 'MAC', 'ADDRESS', 'LEASE', 'GATEWAY ANSWERS', 'DEFAULT ROUTE')
    rows = []
    for nic, card in zip(report.nics, attachments, strict=False):
        default = any(f' dev {nic.name} ' in f'{route} ' for route in report.default_routes())
        addresses = ' '.join(a for a in nic.addresses if not a.startswith('fe80:')) or '-'
        words = (nic.mac, addresses, yes(nic.lease), yes(nic.gateway_answers))
        rows.append((str(nic.index), card.network, *words, yes(default)))
    return render_table(head, rows)


def yes(value: bool | None) -> str:
    return 'yes' if value else 'no'


def judge(sandbox: Sandbox) -> None:
    """Raises CheckError unless the guest has exactly the cards asked for."""
    with stage("the guest's report"):
        report = wait_report(sandbox)
    attachments = list_attachments(sandbox)
    say(f'\nWhat the guest itself found {report.uptime_s:.1f} s after its kernel started:\n')
    say(render_cards(attachments, report))
    faults = find_faults(attachments, report)
    if faults:
        raise CheckError('\n'.join(faults))


# --- the command ----------------------------------------------------------------------


def explain(openrc: Path, sandbox: Sandbox, took_s: float) -> None:
    tool = relative(checkout.ROOT / 'tools')
    say(f"""
The cloud runs in the sandbox "{sandbox.name}" (made in {took_s:.0f} s). Go on:

  source {relative(openrc)}   # or openrc-demo, for a user who is no administrator
  nova list                          # or: openstack server list
  nova console-log {SERVER}
  nova-manage network list
  {tool}/sandbox run {sandbox.name} -- bash            # a shell on the compute host
  {tool}/sandbox run {sandbox.name} -- virsh list --all
  {tool}/sandbox run {sandbox.name} -- tail -f {compute.log_path('nova-all')}

  {tool}/quickstart --down           # take it all away
""")


def relative(path: Path) -> str:
    """As short as it can be typed from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def show_failure(sandbox: Sandbox, error: Exception) -> None:
    say(f'\n{error}\n')
    if not sandbox.is_up():
        return
    for path in (*LOGS, *find_consoles(sandbox)):
        if path in str(error):
            continue  # the error shows it
        say(f'--- the end of {path}\n{sandbox.tail(path, 25)}')


def find_consoles(sandbox: Sandbox) -> list[str]:
    found = sandbox.run(['find', compute.STATE, '-name', 'console*.log'], check=False)
    return found.stdout.split()


def run(sandbox: Sandbox) -> bool:
    """All of it; whether the guest is as asked for."""
    try:
        make_cloud(sandbox)
        boot(sandbox)
        judge(sandbox)
    except (SandboxError, CheckError, guest_image.ImageError) as exc:
        show_failure(sandbox, exc)
        return False
    return True


def check() -> bool:
    """In a sandbox of its own, beside any other; nothing of it remains."""
    sandbox = Sandbox(f'check-{os.getpid()}')
    try:
        good = run(sandbox)
    finally:
        with stage('taking it down'):
            sandbox.down()
    say('\nCHECK PASSED' if good else '\nCHECK FAILED')
    return good


def quickstart(started: float) -> bool:
    sandbox = Sandbox(NAME)
    if sandbox.is_up():
        say('The quickstart is already up; take it away with: tools/quickstart --down')
        return False
    directory = checkout.RUN / NAME
    openrc = clients.write_openrc(sandbox, directory)
    if not run(sandbox):
        say('The sandbox is still up, to look into: tools/sandbox run quickstart -- bash')
        return False
    explain(openrc, sandbox, time.monotonic() - started)
    return True


def down() -> None:
    Sandbox(NAME).down()
    shutil.rmtree(checkout.RUN / NAME, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='tools/quickstart',
        description='Boot an instance with two network cards, on a cloud made from nothing.',
    )
    parser.add_argument('--check', action='store_true', help='verify, then take it all down')
    parser.add_argument('--down', action='store_true', help='take it all down')
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.down:
        down()
        return 0
    good = check() if arguments.check else quickstart(started)
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
