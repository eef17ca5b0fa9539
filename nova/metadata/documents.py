"""All documents of an instance, by the path at which a guest finds them; pure.

Below ``openstack/`` they are OpenStack's
(https://docs.openstack.org/nova/latest/user/metadata.html), below the other folders those of EC2
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html) as far as
they mean something here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
import json
from typing import Any

from nova.db import records
from nova.metadata import network_data
from nova.network import model

#: Each with the same content: a reader of an older version passes over what it does not know.
OPENSTACK_VERSIONS = (
    '2015-10-15',
    '2016-06-30',
    '2016-10-06',
    '2017-02-22',
    '2018-08-27',
    'latest',
)
EC2_VERSIONS = ('2009-04-04', 'latest')


def build_meta_data(
    instance: records.Instance, network_info: model.NetworkInfo, domain: str
) -> dict[str, Any]:
    """``meta_data.json``, as JSON values. ``devices`` has every NIC, with its place on the PCI bus
    and its tags.

    :param domain: the DNS domain that guests are told they are in.
    """
    return {
        'uuid': instance.uuid,
        'name': instance.display_name,
        'hostname': f'{instance.hostname}.{domain}',
        'project_id': instance.project_id,
        'availability_zone': instance.availability_zone or 'nova',
        'launch_index': instance.launch_index,
        'meta': dict(instance.metadata),
        'devices': [
            {
                'type': 'nic',
                'bus': 'pci',
                'address': vif.pci_address,
                'mac': vif.mac,
                'tags': [] if vif.tag is None else [vif.tag],
            }
            for vif in network_info
        ],
    }


def build_openstack(
    instance: records.Instance, network_info: model.NetworkInfo, domain: str
) -> dict[str, bytes]:
    """What is below ``openstack/``: path -> content. This is what a configuration drive has."""
    files = {
        'meta_data.json': _json(build_meta_data(instance, network_info, domain)),
        'network_data.json': _json(network_data.build_network_data(network_info)),
    }
    user_data = decode_user_data(instance)
    if user_data is not None:
        files['user_data'] = user_data
    return {
        f'openstack/{version}/{name}': content
        for version in OPENSTACK_VERSIONS
        for name, content in files.items()
    }


def build_ec2(
    instance: records.Instance, network_info: model.NetworkInfo, domain: str
) -> dict[str, bytes]:
    """What clients of EC2's service ask for: path -> content."""
    files = {f'meta-data/{path}': text for path, text in _ec2_texts(instance, network_info, domain)}
    content = {path: text.encode() for path, text in files.items()}
    user_data = decode_user_data(instance)
    if user_data is not None:
        content['user-data'] = user_data
    return {f'{v}/{path}': data for v in EC2_VERSIONS for path, data in content.items()}


def build_all(
    instance: records.Instance, network_info: model.NetworkInfo, domain: str
) -> dict[str, bytes]:
    """What the metadata service answers with."""
    return build_openstack(instance, network_info, domain) | build_ec2(
        instance, network_info, domain
    )


def find(documents: Mapping[str, bytes], path: str) -> bytes | None:
    """What is at ``path`` (without a slash before or behind): a document; for a folder, the names
    in it, one a line, folders with a slash; None when there is nothing."""
    if path in documents:
        return documents[path]
    start = f'{path}/' if path else ''
    names = dict.fromkeys(
        _name(key.removeprefix(start)) for key in documents if key.startswith(start)
    )
    return '\n'.join(names).encode() if names else None


def decode_user_data(instance: records.Instance) -> bytes | None:
    """What the user sent along; it is stored in base64, as the API took it."""
    if instance.user_data is None:
        return None
    try:
        return base64.b64decode(instance.user_data, validate=True)
    except binascii.Error:  # stored by something that did not check it
        return instance.user_data.encode()


def _name(rest: str) -> str:
    name, slash, _ = rest.partition('/')
    return name + slash


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _ec2_texts(
    instance: records.Instance, network_info: model.NetworkInfo, domain: str
) -> list[tuple[str, str]]:
    hostname = f'{instance.hostname}.{domain}'
    first = next((vif for vif in network_info if vif.default_route), None) or next(
        iter(network_info), None
    )
    texts = [
        ('instance-id', f'i-{instance.id:08x}'),
        ('instance-type', instance.flavor.name),
        ('hostname', hostname),
        ('local-hostname', hostname),
        ('placement/availability-zone', instance.availability_zone or 'nova'),
        ('ami-launch-index', str(instance.launch_index)),
        ('reservation-id', instance.reservation_id),
    ]
    if first is not None:
        texts.append(('mac', first.mac))
        texts += [('local-ipv4', address) for address in first.addresses_of(4)[:1]]
    for vif in network_info:
        folder = f'network/interfaces/macs/{vif.mac}'
        texts += [
            (f'{folder}/device-number', str(vif.index)),
            (f'{folder}/interface-id', vif.id),
            (f'{folder}/mac', vif.mac),
        ]
        for version, name in ((4, 'local-ipv4s'), (6, 'ipv6s')):
            if addresses := vif.addresses_of(version):
                texts.append((f'{folder}/{name}', '\n'.join(addresses)))
    return texts
