"""A cloud whose firewall is nftables, with a real guest and services that are started anew."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from typing import Any

import netaddr
import pytest

from lab import compute, guest_report
from lab.daemon import Daemon
from lab.guest_console import Console
from lab.sandbox import wait_until
from nova.network.firewall import rules
from nova.tests.integration.cloud import clouds, test_spoof
from nova.tests.integration.firewall import attacks, packets

LABELS = ('net-a', 'net-b')


@pytest.fixture(scope='module')
def services() -> dict[str, Daemon]:
    """What runs, which a test may have started anew."""
    return {}


@pytest.fixture(scope='module')
def cloud(services: dict[str, Daemon]) -> Iterator[clouds.Cloud]:
    settings = compute.Settings(extra={'DEFAULT': {'reconcile_interval_s': '2'}})
    with clouds.running('nft', settings, services=()) as sandbox:
        services['nova-all'] = compute.start_service(sandbox, 'nova-all')
        compute.wait_up(sandbox, list(services.values()))
        yield clouds.fill(sandbox, settings, LABELS)


@pytest.fixture(scope='module')
def server(cloud: clouds.Cloud) -> Iterator[clouds.Server]:
    """The guest of all tests. There is nothing of its NICs before it, and nothing after it."""
    assert not has_nics(cloud), tables(cloud)
    with cloud.booted(LABELS) as made:
        made.report()
        yield made
    # a list of all guests that was made before may put it back for a moment
    assert wait_until(lambda: not has_nics(cloud), 10), tables(cloud)


def has_nics(cloud: clouds.Cloud) -> bool:
    return '"tap' in tables(cloud).replace('"tap*"', '')


def tables(cloud: clouds.Cloud) -> str:
    """Our tables, with handles, which are new for whatever is made anew."""
    script = 'nft -a -s list table bridge nova; nft -a -s list table inet nova'
    return cloud.sandbox.output('/bin/sh', '-c', script)


def test_a_real_guest_may_not(cloud: clouds.Cloud, server: clouds.Server) -> None:
    """Two of each family of attacks, sent by the guest's own kernel."""
    nics = server.report().nics
    policies = [build_policy(nic, cloud.networks[LABELS[nic.index]]) for nic in nics]
    with Console(cloud.sandbox, server.domain) as console:
        console.wait_ready()
        for number, nic in enumerate(nics):
            victim = dataclasses.replace(
                policies[number],
                first_hop=dataclasses.replace(
                    policies[number].first_hop,
                    mac='fa:16:3e:00:00:99',
                    ipv4=(str(netaddr.IPAddress(packets.v4(policies[number])) + 1),),
                ),
            )
            found = attacks.build_attacks(policies[number], policies[1 - number], victim)
            frames = {f'{row} {n}': f for row, fs in found.items() for n, f in enumerate(fs[:2])}
            honest = packets.arp(nic.mac, packets.v4(policies[number]), '192.0.2.1')
            with test_spoof.watched(cloud, victim.bridge) as seen:
                for frame in (*frames.values(), honest):
                    answer = console.run(f'inject {nic.name} {frame.hex()}')
                    assert answer.code == 0, answer.output
            assert any(one.startswith(honest) for one in seen)
            leaked = {name for name, f in frames.items() if any(s.startswith(f) for s in seen)}
            assert leaked == set()


def build_policy(nic: guest_report.Nic, network: dict[str, Any]) -> rules.NicPolicy:
    """Who it is, with addresses of IPv6 that it has not, for the frames that are about them."""
    return rules.NicPolicy(
        vif_id=nic.name,
        device=nic.name,
        bridge=network['bridge'],
        network_id=network['uuid'],
        first_hop=rules.FirstHop(
            mac=nic.mac,
            ipv4=(str(nic.address).partition('/')[0],),
            ipv6=(rules.build_link_local(nic.mac), f'2001:db8:{nic.index + 1}::5'),
            dhcp_servers=(network['gateway'],),
            routers=(packets.OUTSIDER_LINK_LOCAL,),
        ),
    )


def test_the_tables_know_its_nics_and_libvirt_does_not(
    cloud: clouds.Cloud, server: clouds.Server
) -> None:
    assert 'filterref' not in cloud.sandbox.output('virsh', 'dumpxml', server.domain)
    shown = tables(cloud)
    for nic in server.interfaces():
        assert f'tap{nic["port_id"].replace("-", "")[:12]}' in shown
        assert nic['mac_addr'] in shown


def explain(cloud: clouds.Cloud, *words: str) -> Any:
    return compute.manage_json(cloud.sandbox, 'firewall', *words)


def test_what_is_in_force_is_explained(cloud: clouds.Cloud, server: clouds.Server) -> None:
    shown = explain(cloud, 'show', server.uuid)
    assert [(nic['network'], nic['groups']) for nic in shown] == [
        (label, ['default']) for label in LABELS
    ]
    assert [(nic['follows'], nic['in_kernel']) for nic in shown] == [(True, True)] * 2
    text = compute.manage(cloud.sandbox, 'firewall', 'show', server.uuid)
    assert 'the kernel holds these rules' in text
    assert 'Dropped on this host, all NICs:' in text

    address = server.interfaces()[1]['fixed_ips'][0]['ip_address']
    packet = ('ingress', 'tcp', '192.0.2.9:4000', f'{address}:22')
    refused = explain(cloud, 'why', server.uuid, '1', *packet)
    assert (refused['allowed'], refused['reason']) == (False, 'group')
    assert refused['drops']['group'] >= 0
    sent = ('egress', 'tcp', f'{address}:4000', '192.0.2.9:22')
    passing = explain(cloud, 'why', server.uuid, '1', *sent)
    assert (passing['allowed'], passing['reason']) == (True, 'group')
    wrong = explain(cloud, 'why', server.uuid, '0', *sent)
    assert (wrong['allowed'], wrong['reason']) == (False, 'ipv4')


def test_drift_is_shown_and_repaired(
    cloud: clouds.Cloud, server: clouds.Server, services: dict[str, Daemon]
) -> None:
    """By a service that is started, and by one that runs."""
    before = strip(tables(cloud))
    services['nova-all'].stop()
    flush(cloud)
    shown = explain(cloud, 'show', server.uuid)
    assert [nic['in_kernel'] for nic in shown] == [False, False]
    services['nova-all'] = compute.restart_service(services['nova-all'])
    assert strip(tables(cloud)) == before
    flush(cloud)
    assert wait_until(lambda: strip(tables(cloud)) == before, 30, 0.5), cloud.log()
    assert [nic['in_kernel'] for nic in explain(cloud, 'show', server.uuid)] == [True, True]


def flush(cloud: clouds.Cloud) -> None:
    """Somebody makes holes into the firewall."""
    cloud.sandbox.run(['nft', 'flush', 'chain', 'bridge', 'nova', 'from_guest'])
    cloud.sandbox.run(['nft', 'flush', 'set', 'bridge', 'nova', 'macs'])


def strip(text: str) -> list[str]:
    return [line.partition(' # handle')[0] for line in text.splitlines()]


def test_a_restart_swaps_nothing(
    cloud: clouds.Cloud, server: clouds.Server, services: dict[str, Daemon]
) -> None:
    before = tables(cloud)
    assert has_nics(cloud)
    services['nova-all'] = compute.restart_service(services['nova-all'])
    assert tables(cloud) == before
