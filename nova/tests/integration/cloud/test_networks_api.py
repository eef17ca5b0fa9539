"""Networks made, changed and removed while the cloud runs, by the API and by ``nova-manage``."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any

import pytest

from lab import clients, compute, guest_report, rest
from lab.guest_console import Console
from lab.identity import DEMO
from lab.sandbox import CommandError, wait_until
from nova.tests.integration.cloud import clouds

pytestmark = pytest.mark.root

RED = {
    'label': 'red',
    'cidr': '10.71.0.0/24',
    'cidr_v6': 'fd00:71::/64',
    'gateway': '10.71.0.254',
    'dns': ['192.0.2.71', '2001:db8::71'],
    'routes': ['198.51.100.0/24,10.71.0.7'],
    'mtu': 1440,
    'dhcp_start': '10.71.0.100',
}


def made(api: rest.Api, path: str = '/os-networks', **fields: Any) -> dict[str, Any]:
    answer = api.call('POST', path, {'network': fields})
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json()['network']
    return found


@contextlib.contextmanager
def network(cloud: clouds.Cloud, **fields: Any) -> Iterator[dict[str, Any]]:
    """A network by the API; afterwards neither it nor anything made for it is there."""
    with cloud.unchanged():
        asked = dict(fields)
        asked['allowed_start'] = asked.pop('dhcp_start')
        found = made(cloud.api, **asked)
        cloud.networks[found['label']] = {'uuid': found['id']}
        yield found
        del cloud.networks[found['label']]
        assert cloud.api.call('DELETE', f'/os-networks/{found["id"]}').status == 202
        assert cloud.api.call('GET', f'/os-networks/{found["id"]}').status == 404


def see(console: Console) -> guest_report.Report:
    (found,) = guest_report.parse_reports(console.run('report', 60).output)
    return found


def test_a_guest_on_a_network_of_the_api_and_what_becomes_of_it(cloud: clouds.Cloud) -> None:
    with network(cloud, **RED) as red:
        assert {field: red[field] for field in RED} == RED
        shown = cloud.user.get(f'/os-networks/{red["id"]}')['network']
        assert (shown['cidr'], shown['cidr_v6']) == (RED['cidr'], RED['cidr_v6'])
        assert 'bridge' not in shown

        for ranges in ({'cidr': '10.71.0.128/25'}, {'cidr_v6': 'fd00:71::/64'}):
            answer = cloud.api.call('POST', '/os-networks', {'network': {'label': 'x', **ranges}})
            assert answer.status == 409
            assert f'network red ({red["id"]})' in clouds.message(answer)

        with cloud.booted(['red']) as server, Console(cloud.sandbox, server.domain) as console:
            nic = server.report().nics[0]
            assert nic.address == '10.71.0.100/24'
            assert (nic.router, nic.mtu, nic.dns) == ('10.71.0.254', 1440, ('192.0.2.71',))
            in_use = cloud.api.call('DELETE', f'/os-networks/{red["id"]}')
            assert (in_use.status, 'in use by 1' in clouds.message(in_use)) == (409, True)

            router = '10.71.0.253'
            change = ('--dns', '192.0.2.72', '--mtu', '1420', '--gateway', router)
            compute.manage(cloud.sandbox, 'network', 'modify', red['id'], *change)
            path = f'/run/nova/networks/{red["id"]}/dnsmasq.conf'
            told = ['grep', '-q', f'option:router,{router}', path]
            # the host is no gateway any more, so that its files are made anew
            done = lambda: cloud.sandbox.run(told, check=False).returncode == 0  # noqa: E731
            assert wait_until(done, 20, 0.2), cloud.log()
            console.wait_ready()

            def is_told() -> bool:
                # the client asks again, as it does by itself after half of its lease
                console.run('kill -USR1 $(cat /run/udhcpc.eth0)')
                return see(console).nics[0].dns == ('192.0.2.72',)

            assert wait_until(is_told, 20, 0.5)
            seen = see(console)
            (nic,) = seen.nics
            assert (nic.mtu, nic.router, nic.server) == (1420, router, red['gateway'])
            (default,) = seen.default_routes()
            assert default.startswith(f'default via {router} dev eth0')
            assert nic.gateway_answers, 'the DHCP server has its address still'


def test_a_guest_on_a_network_without_dhcp(cloud: clouds.Cloud) -> None:
    """It learns its address from the configuration drive, which it gets unasked."""
    fields = {'cidr': '10.75.0.0/24', 'dhcp_start': '10.75.0.50', 'enable_dhcp': False}
    with network(cloud, label='still', **fields) as still:
        assert (still['enable_dhcp'], still['dhcp_server']) == (False, None)
        with cloud.booted(['net-a', 'still']) as server:
            with_dhcp, without = server.report().nics
            assert (with_dhcp.lease, without.lease) == (True, False)
            assert without.address == '10.75.0.50/24'
            (default,) = server.report().default_routes()
            assert ' dev eth0' in default
            alone = f'/run/nova/networks/{still["id"]}/dnsmasq.pid'
            assert cloud.sandbox.run(['test', '-e', alone], check=False).returncode == 1


def test_a_project_makes_its_own_network(cloud: clouds.Cloud) -> None:
    user, path = cloud.user, '/os-tenant-networks'
    refused = user.call('POST', path, {'network': {'label': 'mine', 'cidr': '10.72.0.0/24'}})
    assert (refused.status, '10.128.0.0/9' in clouds.message(refused)) == (403, True)
    assert user.call('POST', '/os-networks', {'network': RED}).status == 403
    user.get('/os-security-groups')  # makes the project's first one

    with cloud.unchanged():
        mine = made(user, path, label='mine', cidr='10.128.72.0/24')
        assert mine == {'id': mine['id'], 'label': 'mine', 'cidr': '10.128.72.0/24'}
        assert user.get(f'{path}/{mine["id"]}')['network'] == mine
        # the real client finds it by its name
        options = ['--flavor', clouds.FLAVOR, '--image', cloud.image, '--network', 'mine']
        created = clients.run_json(
            cloud.sandbox, 'openstack', 'server', 'create', *options, '--wait', 'ours', login=DEMO
        )
        assert '10.128.72.2' in str(created['addresses'])
        assert user.call('DELETE', f'{path}/{mine["id"]}').status == 409
        clouds.Server(cloud, created['id']).delete()
        assert user.call('DELETE', f'{path}/{mine["id"]}').status == 202
        assert user.call('GET', f'{path}/{mine["id"]}').status == 404


def test_several_networks_and_whose_they_are(cloud: clouds.Cloud) -> None:
    carve = {'label': 'row', 'cidr': '10.73.0.0/22', 'num_networks': 3, 'network_size': 256}
    with cloud.unchanged():
        answer = cloud.api.call('POST', '/os-networks', {'network': carve})
        row = answer.json()['networks']
        assert [(n['label'], n['cidr']) for n in row] == [
            ('row_0', '10.73.0.0/24'),
            ('row_1', '10.73.1.0/24'),
            ('row_2', '10.73.2.0/24'),
        ]
        ids = [n['id'] for n in row]
        demo = clients.run_json(cloud.sandbox, 'openstack', 'project', 'show', 'demo')['id']
        compute.manage(cloud.sandbox, 'network', 'add', '--project', demo, ids[0])
        assert cloud.api.call('POST', '/os-networks/add', {'id': ids[1]}).status == 202
        seen = {n['id'] for n in cloud.user.get('/os-networks')['networks']}
        assert seen & set(ids) == {ids[0], ids[2]}
        assert cloud.api.call('POST', '/os-networks/add', {'id': ids[0]}).status == 404

        for label in ('a,b', 'a"b', 'a\nb', 'n\u00e4t'):
            for command in (['create', '--range', '10.74.0.0/24'], ['modify', ids[0]]):
                with pytest.raises(CommandError, match='Invalid label'):
                    compute.manage(cloud.sandbox, 'network', *command, '--label', label)

        path = f'/os-networks/{ids[1]}'
        host = compute.services(cloud.sandbox)[0]['host']
        for body, found in (
            ({'associate_host': host}, (host, True)),
            ({'disassociate_host': None}, (None, True)),
            ({'disassociate_project': None}, (None, False)),
            ({'disassociate': None}, (None, False)),
        ):
            assert cloud.api.call('POST', f'{path}/action', body).status == 202
            shown = cloud.api.get(path)['network']
            assert (shown['host'], shown['project_id'] is not None) == found
        nowhere = cloud.api.call('POST', f'{path}/action', {'associate_host': 'nowhere'})
        assert (nowhere.status, 'associate_host' in clouds.message(nowhere)) == (400, True)
        for uuid in ids:
            assert cloud.api.call('DELETE', f'/os-networks/{uuid}').status == 202
