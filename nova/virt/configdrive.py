"""The configuration drive: a small ISO 9660 image from which a guest learns what it is told about
itself, without any network.

It is written file by file, in memory; nothing is mounted on the host, so that no file system
driver of the host's kernel ever reads what a user sent (CVE-2012-3361).
"""

from __future__ import annotations

from collections.abc import Mapping
import io
import os
from pathlib import Path

import pycdlib

from nova.db import records
from nova.network import model

#: What guests look for (https://docs.openstack.org/nova/latest/user/metadata.html).
LABEL = 'config-2'


def is_wanted(instance: records.Instance, network_info: model.NetworkInfo) -> bool:
    """Whether the guest gets a drive: it was asked for, or a NIC is on a network where nobody hands
    out addresses."""
    return instance.config_drive or any(_is_silent(vif) for vif in network_info)


def _is_silent(vif: model.VIF) -> bool:
    """Whether nobody tells the NIC an address of its own."""
    told = (
        subnet.version
        for subnet in vif.network.subnets
        if subnet.dhcp_server is not None or subnet.ipv6_mode is not None
    )
    return bool(vif.addresses) and not any(vif.addresses_of(version) for version in told)


def build_image(documents: Mapping[str, bytes]) -> bytes:
    """An ISO 9660 image with these files. Their names are kept as they are by Rock Ridge (Linux)
    and by Joliet (Windows).

    :param documents: path -> content.
    """
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=4, vol_ident=LABEL, joliet=3, rock_ridge='1.09')
    try:
        for folder in _folders(documents):
            name = folder.rpartition('/')[2]
            iso.add_directory(
                f'/{_plain(folder)}', rr_name=name, joliet_path=f'/{folder}', file_mode=0o40555
            )
        for path, content in sorted(documents.items()):
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                f'/{_plain(path)}',
                rr_name=path.rpartition('/')[2],
                joliet_path=f'/{path}',
                file_mode=0o100444,
            )
        image = io.BytesIO()
        iso.write_fp(image)
        return image.getvalue()
    finally:
        iso.close()


def write_image(path: Path, documents: Mapping[str, bytes]) -> None:
    """Make the file ``path`` an image of ``documents``; nobody but its owner may read it."""
    part = path.with_name(f'{path.name}.part')
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, 'wb') as file:
        file.write(build_image(documents))
    part.replace(path)


def _folders(documents: Mapping[str, bytes]) -> list[str]:
    """Every folder of ``documents``, each before what is in it."""
    found = {str(parent) for path in documents for parent in Path(path).parents}
    return sorted(found - {'.'})


def _plain(path: str) -> str:
    """The path with what the old names may not have replaced; no two of ours become one."""
    return path.upper().replace('-', '_')
