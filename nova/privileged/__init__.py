"""All that is done as root.

The services run as an ordinary user. What needs more is a function in one of these modules; it
runs in a helper process that oslo.privsep starts when the first is called and that keeps only the
capabilities listed here. The helper is started by exec and not forked, so that it is a plain
Python without eventlet, in which threads and netlink work as usual.

A function here trusts its caller as little as it can: it takes values, not commands, and confines
paths to folders that the helper reads from the configuration itself. Foreign errors come out as
:class:`OSError`, which crosses the border between the processes; :data:`ERRORS` is what a caller
should be ready for.
"""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any

from oslo_privsep import capabilities, daemon, priv_context

import nova.conf

#: Links, addresses, settings of the network; the port of the metadata service; the announcement of
#: addresses (raw sockets); signals to DHCP servers, which run as another user.
network = priv_context.PrivContext(
    'nova.privileged',
    cfg_section='privileged_network',
    pypath=f'{__name__}.network',
    capabilities=[
        capabilities.CAP_NET_ADMIN,
        capabilities.CAP_NET_BIND_SERVICE,
        capabilities.CAP_NET_RAW,
        capabilities.CAP_KILL,
    ],
)

#: Files that libvirt and QEMU make for themselves in our folders.
guest_files = priv_context.PrivContext(
    'nova.privileged',
    cfg_section='privileged_files',
    pypath=f'{__name__}.guest_files',
    capabilities=[capabilities.CAP_DAC_OVERRIDE, capabilities.CAP_DAC_READ_SEARCH],
)

#: What a function of these modules raises when the system refuses or the helper is gone.
ERRORS: tuple[type[Exception], ...] = (
    OSError,
    daemon.FailedToDropPrivileges,
    daemon.ProtocolError,
)


def configure(conf: Any) -> None:
    """Choose how the helpers are started, once the options are read and before the first call.

    An ordinary user's are started by ``sudo privsep-helper``, or by what ``helper_command`` of
    their group says. Root needs no sudo, and takes the helper that is installed beside the
    running interpreter.
    """
    if os.geteuid() == 0:
        path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.defpath])
        priv_context.init(root_helper=['env', f'PATH={path}'])


def instances_path() -> str:
    """The folder of the instances, as the helper's own configuration has it."""
    return os.path.join(nova.conf.CONF.state_path, 'instances')


def run_path() -> str:
    """The folder of what does not outlive a boot, as the helper's own configuration has it."""
    return str(nova.conf.CONF.run_path)
