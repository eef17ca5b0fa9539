"""What the HTTP API and ``nova-manage`` ask about floating IPs."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from typing import Protocol

import netaddr

from nova import context as nova_context
from nova import exception, quota
from nova.db import api as db
from nova.db import records
from nova.network import info, model, names

#: One command adds no more addresses than this: the mistake would be a prefix length.
RANGE_MAX = 4096


class Refresh(Protocol):
    """Lets a host bring its networks in line with the database."""

    def __call__(
        self, context: nova_context.RequestContext, *, host: str, network_uuids: Sequence[str]
    ) -> None: ...


class API:
    """Floating IPs of projects.

    :param quotas: how many a project may hold.
    """

    def __init__(self, quotas: quota.Quotas, refresh: Refresh) -> None:
        self._quotas = quotas
        self._refresh = refresh

    def list_pools(self, context: nova_context.RequestContext) -> tuple[str, ...]:
        return db.floating_ip_pools()

    def list_floating_ips(
        self, context: nova_context.RequestContext
    ) -> tuple[records.FloatingIp, ...]:
        """Those that the caller's project holds."""
        return db.floating_ip_list(str(context.project_id))

    def of_servers(self, uuids: Sequence[str]) -> dict[str, tuple[records.FloatingIp, ...]]:
        """Those that lead to each server, for whoever may see the server; every uuid asked for is
        a key."""
        return db.floating_ips_of_instances(uuids)

    def get_floating_ip(
        self, context: nova_context.RequestContext, number: str
    ) -> records.FloatingIp:
        """:raises FloatingIpNotFound: there is none, or another project holds it."""
        return db.floating_ip_get(str(context.project_id), number=_parse_number(number))

    def allocate(
        self, context: nova_context.RequestContext, pool: str | None
    ) -> records.FloatingIp:
        """Let the project hold one; of the first pool by name if none is named.

        :raises FloatingIpPoolNotFound:
        :raises NoMoreFloatingIps:
        :raises QuotaExceeded:
        """
        chosen = pool or next(iter(db.floating_ip_pools()), '-')
        project_id = str(context.project_id)
        limit = self._quotas.limit(project_id, 'floating_ips')
        return db.floating_ip_allocate(project_id, chosen, limit=limit)

    def release(self, context: nova_context.RequestContext, number: str) -> None:
        """Give it back.

        :raises FloatingIpNotFound:
        """
        found = self.get_floating_ip(context, number)
        db.floating_ip_release(str(context.project_id), found.id)
        self._refresh_host(context, found)

    def associate(
        self,
        context: nova_context.RequestContext,
        network_info: model.NetworkInfo,
        address: str,
        fixed_address: str | None,
    ) -> None:
        """Let it lead to a fixed IP of these NICs; see :func:`choose_target`. When it raises, it
        leads nowhere.

        :raises FloatingIpNotFound:
        :raises FixedIpInvalid: there is no such fixed IP, or nothing of ours serves its network.
        """
        project_id = str(context.project_id)
        before = db.floating_ip_get(project_id, address=address)
        vif, fixed_ip = choose_target(network_info, fixed_address)
        network, subnet = vif.network, vif.network.subnet(4)
        # Answers would leave by another router, which knows nothing of it.
        if network.host is None or subnet is None or not info.is_gateway(subnet):
            raise exception.FixedIpInvalid(
                address=fixed_ip, network=network.label, reason='the network has no gateway of ours'
            )
        with contextlib.ExitStack() as undo:
            undo.callback(db.floating_ip_disassociate, project_id, address)
            db.floating_ip_associate(project_id, address, vif.id, fixed_ip)
            if (before.host, before.network_uuid) != (network.host, network.id):
                self._refresh_host(context, before)
            self._refresh(context, host=network.host, network_uuids=[network.id])
            undo.pop_all()

    def disassociate(
        self, context: nova_context.RequestContext, instance_uuid: str, address: str
    ) -> None:
        """Let it lead nowhere.

        :raises FloatingIpNotFound: it does not lead to the instance.
        """
        found = db.floating_ip_get(str(context.project_id), address=address)
        if found.instance_uuid != instance_uuid:
            raise exception.FloatingIpNotFound(floating_ip=address)
        db.floating_ip_disassociate(str(context.project_id), address)
        self._refresh_host(context, found)

    def _refresh_host(
        self, context: nova_context.RequestContext, before: records.FloatingIp
    ) -> None:
        """Let the host that the address led to have it no more."""
        if before.host is not None and before.network_uuid is not None:
            self._refresh(context, host=before.host, network_uuids=[before.network_uuid])


def choose_target(
    network_info: model.NetworkInfo, fixed_address: str | None
) -> tuple[model.VIF, str]:
    """The NIC and the fixed IP that a floating IP leads to: the one that was asked for, else the
    first IPv4 address of the NIC with the default route.

    :raises FixedIpInvalid: there is none.
    """
    for vif in network_info:
        for address in vif.addresses_of(4):
            if address == fixed_address or (fixed_address is None and vif.default_route):
                return vif, address
    reason = (
        'the server does not have it'
        if fixed_address is not None
        else 'the interface with the default route has no IPv4 address'
    )
    raise exception.FixedIpInvalid(address=fixed_address or '-', network='-', reason=reason)


def plan_pool(pool: str, text: str) -> tuple[str, tuple[str, ...]]:
    """The pool's name and the addresses of a range (``192.0.2.8/29``) or a single one.

    :raises InvalidName:
    :raises InvalidCidr: it is no IPv4 range, or too large a one.
    """
    try:
        network = netaddr.IPNetwork(text)
    except (netaddr.AddrFormatError, ValueError) as exc:
        raise exception.InvalidCidr(field='range', value=text, reason='it is no range') from exc
    if network.version != 4 or network.size > RANGE_MAX:
        reason = f'it must be of IPv4 and have at most {RANGE_MAX} addresses'
        raise exception.InvalidCidr(field='range', value=text, reason=reason)
    return names.parse_label(pool, 'pool'), tuple(str(address) for address in network)


def _parse_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise exception.FloatingIpNotFound(floating_ip=text)
    return int(text)
