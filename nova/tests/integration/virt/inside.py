"""The driver at work in a sandbox: calls, described by a line of JSON each on stdin, their outcomes
on stdout.

It runs as the service's user, ``python -m nova.tests.integration.virt.inside``, with such an object

    call      ``init``, which makes the driver anew, ``spawn``, ``destroy``, ``state``, ``console``,
              ``names``, ``attach``, ``detach``, ``update``, ``power_on`` or ``power_off``
    number    of the instance (1)
    nics      how many there are (2); NIC i is on bridge ``br10i``
    static    which of them are on networks without DHCP (none)
    image     the image file
    root_gb   of the flavor (1)
    display_name
    nic       that is attached, detached or updated, with ``slot`` and addresses ``further``
    timeout_s

and prints ``OUTCOME {"result": ...}`` or ``OUTCOME {"error": class, "text": ...}``. Only Glance and
the making of bridges are stood in for; libvirt is the sandbox's own.

What the database knows in a cloud is in a file: the guests that are there. All of their NICs are in
a group that admits everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
import dataclasses
import datetime
import json
from pathlib import Path
import sys
from typing import Any
import uuid

from oslo_config import cfg

from nova import context as nova_context
from nova import exception, primitive
from nova.conf import firewall as firewall_options
from nova.conf import libvirt as libvirt_options
from nova.db import records
from nova.image import glance
from nova.network import model
from nova.network.firewall import rules
from nova.privileged.files import read_tail
from nova.virt.libvirt import connection, imagecache

#: What an outcome starts with, between whatever else the process prints.
OUTCOME = 'OUTCOME '
STATE = Path('/var/lib/nova')
GUESTS = STATE / 'guests.json'
OPEN = rules.SecurityGroup(
    id='open',
    rules=tuple(
        rules.SecurityGroupRule(id=f'{way}-{family}', direction=way, ethertype=family)
        for way in rules.Direction
        for family in rules.EtherType
    ),
)
_NAMESPACE = uuid.UUID('5f1f7c5e-6f37-4b1e-9d0c-52f1a8f2f5c1')


class LocalImages(glance.ImageClient):
    """Gives a file for every image."""

    def __init__(self, path: Path) -> None:
        self._file = path

    def show(self, context: nova_context.RequestContext, image_id: str) -> glance.Image:
        return glance.parse_image(
            {'id': image_id, 'status': 'active', 'disk_format': 'qcow2', 'name': 'guest'}
        )

    def download(self, context: nova_context.RequestContext, image_id: str) -> Iterator[bytes]:
        with self._file.open('rb') as file:
            yield from iter(lambda: file.read(glance.CHUNK_BYTES), b'')


def build_network_info(number: int, nics: int, static: Collection[int] = ()) -> model.NetworkInfo:
    """NIC i of instance ``number``: 10.i.0.(9 + number) of network 10.i.0.0/24 on ``br10i``, whose
    gateway and DHCP server are .1 and .2.

    :param static: the NICs whose networks have no DHCP server.
    """
    return model.NetworkInfo(
        tuple(_build_vif(number, index, index not in static) for index in range(nics))
    )


def _build_vif(number: int, index: int, has_dhcp: bool) -> model.VIF:
    subnet = model.Subnet(
        cidr=f'10.{index}.0.0/24',
        gateway=f'10.{index}.0.1',
        dhcp_server=f'10.{index}.0.2' if has_dhcp else None,
    )
    return model.VIF(
        id=str(uuid.uuid5(_NAMESPACE, f'{number}-{index}')),
        index=index,
        mac=f'fa:16:3e:{number:02x}:00:{index:02x}',
        addresses=(f'10.{index}.0.{9 + number}',),
        security_groups=('open',),
        network=model.Network(
            id=str(uuid.uuid5(_NAMESPACE, f'network-{index}')),
            label=f'net{index}',
            kind=model.NetworkKind.FLAT_DHCP,
            bridge=f'br{100 + index}',
            subnets=(subnet,),
        ),
    )


def build_vif(request: dict[str, Any]) -> model.VIF:
    vif = _build_vif(request.get('number', 1), request['nic'], True)
    addresses = (*vif.addresses, *request.get('further', ()))
    return dataclasses.replace(vif, slot=request.get('slot'), addresses=addresses)


def build_instance(request: dict[str, Any]) -> records.Instance:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    number = request.get('number', 1)
    return records.Instance(
        id=number,
        uuid=str(uuid.uuid5(_NAMESPACE, f'instance-{number}')),
        project_id='project',
        user_id='user',
        display_name=request.get('display_name', 'guest'),
        hostname='guest',
        image_ref=str(uuid.uuid5(_NAMESPACE, 'image')),
        flavor=records.Flavor(
            id=1,
            flavorid='1',
            name='tiny',
            memory_mb=request.get('memory_mb', 128),
            vcpus=1,
            root_gb=request.get('root_gb', 1),
        ),
        vm_state=records.VmState.BUILDING,
        task_state=None,
        power_state=records.PowerState.NOSTATE,
        host='sandbox',
        key_name=None,
        user_data=request.get('user_data'),
        config_drive=request.get('config_drive', False),
        locked=False,
        availability_zone=None,
        metadata={},
        requested_networks=(),
        reservation_id='r-1',
        launch_index=0,
        created_at=now,
        updated_at=now,
        launched_at=None,
    )


def build_driver(image: str) -> connection.LibvirtConnection:
    conf = cfg.ConfigOpts()
    libvirt_options.register_opts(conf)
    firewall_options.register_opts(conf)
    conf.set_default('driver', 'nwfilter', group='firewall')
    conf([])
    images = imagecache.ImageCache(
        STATE / 'cache' / 'images', LocalImages(Path(image)), max_image_gb=10
    )
    return connection.LibvirtConnection(
        conf.libvirt,
        STATE,
        images,
        lambda _network_info: None,
        keep_bridges=lambda _wanted: None,
        dhcp_domain='novalocal',
        read_file=read_tail,
        make_firewall=connection.choose_firewall(conf.firewall),
    )


def load_guests() -> dict[str, model.NetworkInfo]:
    if not GUESTS.exists():
        return {}
    stored = json.loads(GUESTS.read_text())
    return {name: primitive.from_primitive(info) for name, info in stored.items()}


def follow(request: dict[str, Any], name: str, network_info: model.NetworkInfo) -> None:
    """Remember what a call that succeeded has made of the guests."""
    guests = load_guests()
    changed = build_vif(request) if 'nic' in request else None
    others = [vif for vif in guests.get(name, ()) if changed is None or vif.id != changed.id]
    match request['call']:
        case 'spawn':
            guests[name] = network_info
        case 'destroy':
            guests.pop(name, None)
        case 'attach' | 'update':
            guests[name] = model.NetworkInfo((*others, build_vif(request)))
        case 'detach':
            guests[name] = model.NetworkInfo(tuple(others))
    stored = {name: primitive.to_primitive(info) for name, info in guests.items()}
    GUESTS.write_text(json.dumps(stored))


def call(driver: connection.LibvirtConnection, request: dict[str, Any]) -> Any:
    driver.apply_security_groups(load_guests(), rules.Ruleset(groups=(OPEN,)))
    instance = build_instance(request)
    result = call_driver(driver, instance, request)
    network_info = build_network_info(
        instance.id, request.get('nics', 2), request.get('static', ())
    )
    if result is not False:
        follow(request, instance.name, network_info)
    return result


def call_driver(
    driver: connection.LibvirtConnection, instance: records.Instance, request: dict[str, Any]
) -> Any:
    network_info = build_network_info(
        instance.id, request.get('nics', 2), request.get('static', ())
    )
    match request['call']:
        case 'init':
            driver.init_host('sandbox')
            return driver.host_resources().memory_mb
        case 'spawn':
            return driver.spawn(instance, network_info)
        case 'destroy':
            return driver.destroy(instance, network_info)
        case 'state':
            return driver.power_state(instance).name
        case 'console':
            return driver.console_output(instance, request['max_bytes']).decode(errors='replace')
        case 'names':
            return driver.list_instance_names()
        case 'attach':
            return driver.attach_interface(instance, build_vif(request))
        case 'detach':
            return driver.detach_interface(instance, build_vif(request), request['timeout_s'])
        case 'update':
            return driver.update_interface(instance, build_vif(request))
        case 'power_on':
            return driver.power_on(instance, network_info)
        case 'power_off':
            return driver.power_off(instance, request['timeout_s'])
        case other:
            raise ValueError(other)


def main() -> None:
    driver = None
    for line in sys.stdin:
        request = json.loads(line)
        if driver is None or request['call'] == 'init':
            driver = build_driver(request['image'])
        try:
            outcome = {'result': call(driver, request)}
        except exception.NovaException as exc:
            outcome = {'error': type(exc).__name__, 'text': str(exc)}
        print(OUTCOME + json.dumps(outcome), flush=True)


if __name__ == '__main__':
    main()
