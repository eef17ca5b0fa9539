"""The drive as another reader finds it: pycdlib opens what was written."""

from __future__ import annotations

import dataclasses
import io
import pathlib

import pycdlib
import pytest

from nova.metadata import documents
from nova.network import model
from nova.tests.unit.metadata import samples
from nova.tests.unit.virt import instances
from nova.virt import configdrive


def read(image: bytes, path: str, names: str) -> bytes:
    """:param names: which of the image's names ``path`` has: ``rr_path`` or ``joliet_path``."""
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    try:
        content = io.BytesIO()
        iso.get_file_from_iso_fp(content, **{names: path})
        return content.getvalue()
    finally:
        iso.close()


@pytest.mark.parametrize('names', ['rr_path', 'joliet_path'])
def test_every_document_is_on_it(names: str) -> None:
    content = documents.build_openstack(
        instances.make_instance(user_data='AAAA'), samples.make_mixed(), 'novalocal'
    )

    image = configdrive.build_image(content)

    assert content
    for path, text in content.items():
        assert read(image, f'/{path}', names) == text


def test_its_label() -> None:
    image = configdrive.build_image({'openstack/latest/user_data': b''})

    # ECMA-119, 8.4.8: the volume identifier of the primary descriptor in sector 16
    assert image[16 * 2048 + 40 : 16 * 2048 + 72] == b'config-2'.ljust(32)


def test_it_replaces_what_was_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / 'disk.config'
    (tmp_path / 'disk.config.part').write_text('cut short')
    path.write_text('old')

    configdrive.write_image(path, {'a': b'new'})

    assert read(path.read_bytes(), '/a', 'rr_path') == b'new'
    assert [p.name for p in tmp_path.iterdir()] == ['disk.config']
    assert path.stat().st_mode & 0o777 == 0o600


def test_who_gets_one() -> None:
    plain, asked = instances.make_instance(), instances.make_instance(config_drive=True)
    by_dhcp, none = instances.make_network_info(2), model.NetworkInfo()

    assert configdrive.is_wanted(asked, none)
    assert not configdrive.is_wanted(plain, none)
    assert not configdrive.is_wanted(plain, by_dhcp)
    assert configdrive.is_wanted(plain, samples.make_mixed())


def test_whom_announcements_tell_an_address_needs_none() -> None:
    plain, announced = instances.make_instance(), samples.make_announced()

    assert not configdrive.is_wanted(plain, announced)
    # nobody announces the range of one that has IPv6 only
    (subnet,) = announced[1].network.subnets
    silent = dataclasses.replace(subnet, ipv6_mode=None, ra_server=None)
    vif = instances.make_vif(0, subnets=(silent,), addresses=announced[1].addresses)
    assert configdrive.is_wanted(plain, model.NetworkInfo((vif,)))
