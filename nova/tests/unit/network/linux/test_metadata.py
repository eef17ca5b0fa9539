"""The paths of requests."""

from __future__ import annotations

import pytest

from nova.network.linux import metadata


@pytest.mark.parametrize(
    ('target', 'path'),
    [
        ('/', ''),
        ('', ''),
        ('//', ''),
        ('/openstack', 'openstack'),
        ('/openstack/latest/', 'openstack/latest'),
        ('/openstack//latest/meta_data.json?a=b#c', 'openstack/latest/meta_data.json'),
        ('/openstack/%6catest', 'openstack/latest'),
        ('/latest/meta-data/../user-data', 'latest/user-data'),
        ('/../../etc/passwd', 'etc/passwd'),
    ],
)
def test_paths(target: str, path: str) -> None:
    assert metadata.parse_path(target) == path
