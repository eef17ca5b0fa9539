"""What is at which path, and that the documents of an instance agree."""

from __future__ import annotations

import base64
from collections.abc import Callable
import json

from nova.metadata import documents
from nova.tests.unit.metadata import samples
from nova.tests.unit.virt import instances

INFO = samples.make_mixed()
INSTANCE = instances.make_instance(
    metadata={'role': 'web', 'nom': 'é'},
    user_data=base64.b64encode(b'#!/bin/sh\n\0').decode(),
)


def test_meta_data(golden: Callable[[str, str], None]) -> None:
    data = documents.build_meta_data(INSTANCE, INFO, 'novalocal')

    golden('metadata/meta-data.json', json.dumps(data, indent=1, sort_keys=True) + '\n')


def test_paths(golden: Callable[[str, str], None]) -> None:
    found = documents.build_all(INSTANCE, INFO, 'novalocal')

    golden('metadata/paths.txt', ''.join(f'{path}\n' for path in sorted(found)))


def test_every_version_says_the_same() -> None:
    found = documents.build_openstack(INSTANCE, INFO, 'novalocal')

    for version in documents.OPENSTACK_VERSIONS:
        for name in ('meta_data.json', 'network_data.json', 'user_data'):
            assert found[f'openstack/{version}/{name}'] == found[f'openstack/latest/{name}']


def test_user_data_as_sent() -> None:
    found = documents.build_all(INSTANCE, INFO, 'novalocal')

    assert found['openstack/latest/user_data'] == b'#!/bin/sh\n\0'
    assert found['latest/user-data'] == b'#!/bin/sh\n\0'


def test_no_user_data() -> None:
    found = documents.build_all(instances.make_instance(), INFO, 'novalocal')

    assert not [path for path in found if 'user' in path]


def test_folders_list_what_is_in_them() -> None:
    found = documents.build_all(INSTANCE, INFO, 'novalocal')

    assert documents.find(found, '') == b'openstack/\n2009-04-04/\nlatest/'
    assert (
        documents.find(found, 'openstack/latest') == b'meta_data.json\nnetwork_data.json\nuser_data'
    )
    macs = documents.find(found, 'latest/meta-data/network/interfaces/macs')
    assert macs == '\n'.join(f'{vif.mac}/' for vif in INFO).encode()
    assert documents.find(found, 'openstack/lat') is None
    assert documents.find(found, 'openstack/latest/..') is None


def test_of_no_nics() -> None:
    found = documents.build_all(INSTANCE, type(INFO)(()), 'novalocal')

    assert json.loads(found['openstack/latest/network_data.json'])['links'] == []
    assert 'latest/meta-data/mac' not in found
