"""What the metadata service answers."""

from __future__ import annotations

from nova import exception
from nova.db import api as db
from nova.metadata import documents
from nova.network import info


class Answers:
    """:param domain: the DNS domain that guests are told they are in."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def find(self, network_uuid: str, address: str, path: str) -> bytes | None:
        """What the guest with this address on this network finds at ``path``; None when there is
        nothing, or no such guest."""
        instance_uuid = db.instance_uuid_by_address(network_uuid, address)
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
