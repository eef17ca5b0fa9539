"""What every program of ours needs first: options, logging, database, transport, helper, and the
parts that commands share with services. Nothing here needs a service's libraries, so that a command
starts quickly."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
from typing import Any

from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_log import log

from nova import privileged, quota, rpc
import nova.conf
from nova.db import session
from nova.network import api as network_api
from nova.network import floating_ips, kinds
from nova.network import rpcapi as network_rpcapi


def configure(
    arguments: Sequence[str],
    program: str,
    extra: Sequence[cfg.Opt] = (),
    *,
    is_command: bool = False,
) -> Any:
    """Read the command line and the configuration files; set up logging, locks, the database, the
    transport and the privileged helper.

    :param extra: further command line options of the program.
    :param is_command: its output is the answer, so that logs go to stderr, and what the privileged
        helper says when it starts nowhere.
    :returns: the options.
    """
    conf = nova.conf.CONF
    nova.conf.register_library_opts(conf)
    conf.register_cli_opts(extra)
    log.register_options(conf)
    helper = f'oslo.privsep={"ERROR" if is_command else "WARNING"}'
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), helper])
    conf.set_default('use_stderr', is_command)
    conf(list(arguments), project='nova', prog=program)
    log.setup(conf, 'nova')
    lockutils.set_defaults(str(pathlib.Path(conf.run_path) / 'locks'))
    if conf.database.connection is None:
        path = pathlib.Path(conf.state_path) / 'nova.sqlite'
        conf.set_default('connection', f'sqlite:///{path}', group='database')
    session.configure_from(conf)
    rpc.configure(rpc.get_transport(conf), conf.rpc_response_timeout_s)
    privileged.configure(conf)
    return conf


def build_network_api(conf: Any) -> network_api.API:
    """What commands and services ask about networks, as the options say.

    :raises InvalidCidr: ``[network] project_ranges`` has what is no range.
    """
    floating = floating_ips.API(
        quotas=quota.from_conf(conf),
        refresh=network_rpcapi.NetworkAPI().setup_networks_on_host,
    )
    return network_api.API(
        max_nics_per_server=conf.api.max_nics_per_server,
        default_kind=kinds.KINDS[conf.network.network_manager],
        vlan_start=conf.network.vlan_start,
        vlan_physical_network=conf.network.vlan_physical_network,
        project_ranges=conf.network.project_ranges,
        floating=floating,
        quotas=quota.from_conf(conf),
    )
