"""What real guests are told about themselves: by the metadata service and by the drive."""

from __future__ import annotations

import base64
import json

import pytest

from lab.guest_console import Console
from nova.tests.integration.cloud import clouds

pytestmark = pytest.mark.root

#: In the guest: what is at a path of the metadata service, asked by one card only.
ASK = (
    'ip route replace 169.254.169.254 dev {card}'
    ' && timeout 15 wget -q -O - {headers} http://169.254.169.254/{path}; echo'
)


def ask(console: Console, card: str, path: str, headers: str = '') -> str:
    return console.run(ASK.format(card=card, path=path, headers=headers)).output.strip()


def test_a_guest_asks_on_each_of_its_nics(cloud: clouds.Cloud) -> None:
    user_data = base64.b64encode(b'hello guest').decode()
    labels = ['net-a', 'net-b']
    with (
        cloud.unchanged(),
        cloud.booted(labels, name='one', user_data=user_data) as one,
        cloud.booted(['net-a'], name='two') as two,
    ):
        report = one.report()
        assert len(report.nics) == 2
        with Console(cloud.sandbox, one.domain) as console:
            console.wait_ready()
            for nic in report.nics:
                found = json.loads(ask(console, nic.name, 'openstack/latest/meta_data.json'))
                assert (found['uuid'], found['name']) == (one.uuid, 'one')
                assert [(d['mac'], d['address']) for d in found['devices']] == [
                    (n.mac, n.pci) for n in report.nics
                ]
            assert ask(console, 'eth1', 'openstack/latest/user_data') == 'hello guest'
            local = report.nics[0].address or ''
            assert ask(console, 'eth0', 'latest/meta-data/local-ipv4') == local.partition('/')[0]
        neighbour = two.report().nics[0].address or ''
        with Console(cloud.sandbox, one.domain) as console:
            console.wait_ready()
            # a header names the neighbour; the answer is still one's own
            header = f'--header "X-Forwarded-For: {neighbour.partition("/")[0]}"'
            found = json.loads(
                ask(console, 'eth0', 'openstack/latest/meta_data.json', headers=header)
            )
            assert found['uuid'] == one.uuid
            # the neighbour's address: no frame with it leaves the NIC
            console.run(f'ip addr add {neighbour} dev eth0')
            stolen = (
                'ip route replace 169.254.169.254 dev eth0 src '
                f'{neighbour.partition("/")[0]}; '
                'timeout 15 wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json'
            )
            assert '"uuid"' not in console.run(stolen).output


def test_drive_and_service_say_the_same_of_every_nic(cloud: clouds.Cloud) -> None:
    """Whichever NIC asks; each is known by its MAC address."""
    paths = [f'openstack/latest/{name}.json' for name in ('meta_data', 'network_data')]
    with cloud.unchanged(), cloud.booted(['net-a', 'net-b'], config_drive=True) as server:
        report = server.report()
        assert all(nic.lease for nic in report.nics)
        with cloud.console(server) as console:
            drive = {
                path: json.loads(console.run(f'cat /config/{path}; echo').output) for path in paths
            }
            for nic in report.nics:
                for path, told in drive.items():
                    assert json.loads(ask(console, nic.name, path)) == told
    meta_data, network_data = drive.values()
    assert meta_data['uuid'] == server.uuid
    assert [link['ethernet_mac_address'] for link in network_data['links']] == [
        nic.mac for nic in report.nics
    ]
