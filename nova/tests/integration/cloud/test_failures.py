"""What cannot be done is refused with the field's name, or ends in ERROR with the reason; nothing
of it stays."""

from __future__ import annotations

from typing import Any

import pytest

from lab import compute, libvirtd, uml
from lab.inventory import diff
from lab.sandbox import wait_until
from nova.tests.integration.cloud import clouds

UNKNOWN = '11111111-2222-4333-8444-555555555555'


@pytest.mark.parametrize(
    ('nic', 'fields', 'status', 'text'),
    [
        ({'uuid': UNKNOWN}, {}, (400, 404), f'Network {UNKNOWN}'),
        ({}, {'imageRef': UNKNOWN}, (400, 404), f'Image {UNKNOWN}'),
        ({}, {'flavorRef': 'm1.none'}, (400, 404), 'Flavor m1.none'),
        ({'uuid': 'no-uuid'}, {}, (400,), 'uuid'),
        ({'fixed_ip': '10.99.0.1'}, {}, (400,), '10.99.0.1'),
        ({'fixed_ip': '10.10.0.1'}, {}, (400,), '10.10.0.1'),
        ({'fixed_ip': 'ten'}, {}, (400,), 'fixed_ip'),
        ({'colour': 'red'}, {}, (400,), 'colour'),
        ({}, {'name': ''}, (400,), 'name'),
        ({}, {'min_count': 2, 'max_count': 1}, (400,), 'min_count'),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else '',
)
def test_wrong_requests_are_refused_by_name(
    cloud: clouds.Cloud,
    nic: dict[str, str],
    fields: dict[str, Any],
    status: tuple[int, ...],
    text: str,
) -> None:
    known = {'uuid': cloud.networks['net-a']['uuid']}
    answer = cloud.request([{'uuid': cloud.networks['net-b']['uuid']}, known | nic], **fields)
    assert answer.status in status, answer.text
    assert text in clouds.message(answer)
    assert cloud.api.get('/servers?all_tenants=1')['servers'] == []


def test_a_user_sees_neither_another_projects_servers_nor_its_networks(
    cloud: clouds.Cloud,
) -> None:
    with cloud.booted(['net-a']) as server:
        assert cloud.user.call('GET', f'/servers/{server.uuid}').status == 404
        assert cloud.user.call('DELETE', f'/servers/{server.uuid}').status == 404
        assert cloud.user.get('/servers')['servers'] == []
        body: dict[str, Any] = {'os-getConsoleOutput': {}}
        assert cloud.user.call('POST', f'/servers/{server.uuid}/action', body).status == 404


def test_no_address_left_holds_nothing(cloud: clouds.Cloud) -> None:
    with cloud.booted(['narrow']), cloud.unchanged():
        late = cloud.create(['net-a', 'narrow', 'net-b'])
        shown = late.wait_status('ERROR')
        assert shown['fault']['message'] == 'No fixed IP address is left on network narrow.'
        assert late.interfaces() == []
        late.delete()


def test_a_domain_that_libvirt_refuses(cloud: clouds.Cloud) -> None:
    """The name that the next instance's domain will have is taken by another domain."""
    with cloud.booted(['net-a']) as server:
        last = int(server.domain.removeprefix('instance-'), 16)
    name = f'instance-{last + 1:08x}'
    xml = f"""<domain type='qemu'><name>{name}</name><memory>1024</memory>
        <os><type arch='x86_64'>hvm</type></os></domain>"""
    cloud.sandbox.write_file('/tmp/in-the-way.xml', xml)
    libvirtd.virsh(cloud.sandbox, 'define', '/tmp/in-the-way.xml')
    try:
        with cloud.unchanged():
            refused = cloud.create(['net-a', 'net-b'])
            shown = refused.wait_status('ERROR')
            assert name in shown['fault']['message']
            assert cloud.sandbox.output('find', '/var/lib/nova/instances', '-mindepth', '1') == ''
            refused.delete()
    finally:
        libvirtd.virsh(cloud.sandbox, 'undefine', name)


@pytest.mark.parametrize(
    ('create', 'declared', 'reason'),
    [
        # what Glance refuses by itself, such as a backing file, is in the tests of nova.image
        ('qemu-img create -q -f vmdk {path} 16M', 'raw', 'its record says raw'),
        ('qemu-img create -q -f qcow2 {path} 5G', 'qcow2', 'larger than the 1 GiB of the flavor'),
    ],
    ids=['not-what-it-says', 'too-large'],
)
def test_images_that_may_not_be_booted(
    cloud: clouds.Cloud, create: str, declared: str, reason: str
) -> None:
    path = '/tmp/bad.img'
    cloud.sandbox.run(create.format(path=path).split())
    image = cloud.upload(f'bad-{declared}', path, declared)
    with cloud.unchanged():
        server = cloud.create(['net-a', 'net-b'], imageRef=image)
        message = server.wait_status('ERROR')['fault']['message']
        assert image in message
        assert reason in message
        server.delete()


#: A host keeps the networks that it serves apart, whether or not they have NICs.
SERVED = r'nft: set .*"name":"(bridges|allowed|guarded)"'


def test_a_vlan_network_needs_a_kernel_with_vlans(cloud: clouds.Cloud) -> None:
    """Where there are none, the fault names the driver, and nothing of either network is left on
    the host. What a kernel with VLANs makes of it is in the folder ``vlan``."""
    place = ('--kind', 'vlan', '--physical-network', 'trunk', '--vlan', '7')
    before = cloud.inventory()
    network = compute.create_network(cloud.sandbox, 'tagged', '10.77.0.0/24', *place)
    wanted = [{'uuid': cloud.networks['net-a']['uuid']}, {'uuid': network['uuid']}]
    server = clouds.Server(cloud, cloud.request(wanted).json()['server']['id'])
    if uml.has_8021q():
        server.wait_status('ACTIVE')
    else:
        fault = server.wait_status('ERROR')['fault']
        assert fault['message'] == 'The compute host failed: NetworkSetupFailed.'
        assert 'this kernel has no VLANs (IEEE 802.1Q; the module is 8021q)' in fault['details']
        assert server.interfaces() == []
    server.delete()
    cloud.delete_network(network)

    def left() -> list[str]:
        return diff(before, cloud.inventory(), allow=(*clouds.WARM, SERVED))

    assert wait_until(lambda: left() == [], 10, 0.5), left()
