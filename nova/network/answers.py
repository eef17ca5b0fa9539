"""What the metadata service answers."""

from __future__ import annotations

from nova import exception
from nova.db import api as db
from nova.metadata import documents
from nova.network import info, model


class Answers:
    """:param domain: the DNS domain that guests are told they are in."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def find(self, network_uuid: str, address: str, path: str) -> bytes | None:
        """What the guest with this address on this network finds at ``path``; None when there is
        nothing, or no such guest."""
        instance_uuid = _find_instance(network_uuid, address)
        if instance_uuid is None:
            return None
        try:
            instance = db.instance_get(instance_uuid)
        except exception.InstanceNotFound:
            return None
        vifs = db.vifs_of_instances([instance_uuid])[instance_uuid]
        networks = {network.uuid: network for network in db.network_list()}
        network_info = info.build_network_info(vifs, networks)
        return documents.find(documents.build_all(instance, network_info, self._domain), path)


def _find_instance(network_uuid: str, address: str) -> str | None:
    """Whose NIC on the network has this address; every NIC has the link-local one of its MAC."""
    mac = model.mac_of_link_local(address)
    if mac is not None:
        return db.instance_uuid_by_mac(network_uuid, mac)
    return db.instance_uuid_by_address(network_uuid, address)
