"""The hosts of networks that every host serves, each with an address of its own there."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from nova import exception
from nova.db import addresses, models, networks, records, retry, session

_NetworkHost, _FixedIp, _Vif = models.NetworkHost, models.FixedIp, models.Vif


@retry.on_deadlock
def network_host_claim(uuid: str, host: str, quarantine_s: int) -> records.Network:
    """Let ``host`` serve its part of the network, with an IPv4 address of the range, which no NIC
    gets then. A host that does so already keeps its address.

    :param quarantine_s: an address freed less than this many seconds ago is not taken.
    :returns: the network as it is then.
    :raises NetworkNotFound:
    :raises NoMoreFixedIps:
    """
    with session.database().writer() as db:
        network = _lock(db, uuid)
        if host not in {row.host for row in network.hosts}:
            free_since = models.utcnow() - datetime.timedelta(seconds=quarantine_s)
            address = None if network.cidr is None else _take(db, network, free_since)
            network.hosts.append(_NetworkHost(host=host, address=address))
    return networks.network_get(uuid)


@retry.on_deadlock
def network_host_release(uuid: str, host: str) -> bool:
    """Give the host's address back, unless a NIC of an instance on the host is on the network. A
    NIC whose row is committed before its host is claimed is never without one, since claims and
    releases of one network wait for each other.

    :returns: whether the host serves nothing of the network now.
    """
    with session.database().writer() as db:
        try:
            network = _lock(db, uuid)
        except exception.NetworkNotFound:
            return True
        row = next((row for row in network.hosts if row.host == host), None)
        if row is None:
            return True
        mine = models.Instance.host == host
        query = (
            sa.select(sa.func.count())
            .select_from(_Vif)
            .join(models.Instance, models.Instance.uuid == _Vif.instance_uuid)
            .where(_Vif.network_id == network.id, mine)
        )
        if db.scalar(query):
            return False
        _free(db, network, row)
        return True


def release_all(db: orm.Session, host: str) -> None:
    """Give the addresses back of a host that has no instances."""
    query = (
        sa.select(models.Network)
        .where(models.Network.hosts.any(_NetworkHost.host == host))
        .order_by(models.Network.id)
        .with_for_update()
    )
    for network in db.scalars(query):
        _free(db, network, next(row for row in network.hosts if row.host == host))


def _free(db: orm.Session, network: models.Network, row: models.NetworkHost) -> None:
    db.execute(
        sa.update(_FixedIp)
        .where(_FixedIp.network_id == network.id, _FixedIp.address == row.address)
        .values(reserved=False, released_at=models.utcnow())
    )
    network.hosts.remove(row)


def bridges_of_host(host: str) -> frozenset[str]:
    """The bridges of the networks that NICs of the host's instances are on."""
    query = (
        sa.select(models.Network.bridge)
        .join(_Vif, _Vif.network_id == models.Network.id)
        .join(models.Instance, models.Instance.uuid == _Vif.instance_uuid)
        .where(models.Instance.host == host)
        .distinct()
    )
    with session.database().reader() as db:
        return frozenset(db.scalars(query))


def _lock(db: orm.Session, uuid: str) -> models.Network:
    row = db.scalar(sa.select(models.Network).where(models.Network.uuid == uuid).with_for_update())
    if row is None:
        raise exception.NetworkNotFound(network_id=uuid)
    return row


def _take(db: orm.Session, network: models.Network, free_since: datetime.datetime) -> str:
    free = db.scalar(addresses.longest_free(network, free_since))
    row = None if free is None else db.get(_FixedIp, free)
    if row is None:
        raise exception.NoMoreFixedIps(network=network.label)
    row.reserved = True
    return row.address
