"""A driver that keeps its guests in memory, for tests and for trying the API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from nova import exception
from nova.db import records
from nova.network import model
from nova.network.firewall import rules
from nova.virt import driver


class FakeDriver(driver.ComputeDriver):
    """Guests are entries of :attr:`guests`.

    Setting :attr:`fail_spawn`, :attr:`fail_destroy` or :attr:`fail_attach` makes every such call
    raise that error until it is None again. Guests do not let go of NICs while :attr:`deaf`.
    """

    def __init__(self, resources: driver.HostResources | None = None) -> None:
        self.resources = resources or driver.HostResources(
            hypervisor_type='fake',
            hypervisor_version=1_000_000,
            vcpus=64,
            memory_mb=262_144,
            disk_gb=10_000,
        )
        self.guests: dict[str, tuple[records.Instance, model.NetworkInfo]] = {}
        self.fail_spawn: Exception | None = None
        self.fail_destroy: Exception | None = None
        self.fail_attach: Exception | None = None
        self.deaf = False
        self.stopped: set[str] = set()
        self.host: str | None = None
        self.ruleset = rules.Ruleset()
        self.bridges: frozenset[str] = frozenset()

    def init_host(self, host: str) -> None:
        self.host = host

    def host_resources(self) -> driver.HostResources:
        return self.resources

    def spawn(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        if self.fail_spawn is not None:
            raise self.fail_spawn
        if instance.uuid in self.guests:
            raise exception.HypervisorError(
                action=f'define domain {instance.name}', reason='it exists already'
            )
        self.guests[instance.uuid] = (instance, network_info)

    def destroy(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        if self.fail_destroy is not None:
            raise self.fail_destroy
        self.guests.pop(instance.uuid, None)
        self.stopped.discard(instance.uuid)

    def attach_interface(self, instance: records.Instance, vif: model.VIF) -> None:
        if self.fail_attach is not None:
            raise self.fail_attach
        self._replace(instance, vif.id, vif)

    def detach_interface(
        self, instance: records.Instance, vif: model.VIF, timeout_s: float
    ) -> bool:
        if self.deaf and instance.uuid not in self.stopped:
            return not any(found.id == vif.id for found in self._vifs(instance))
        self._replace(instance, vif.id)
        return True

    def update_interface(self, instance: records.Instance, vif: model.VIF) -> None:
        self._replace(instance, vif.id, vif)

    def _vifs(self, instance: records.Instance) -> tuple[model.VIF, ...]:
        return self.guests[instance.uuid][1].vifs if instance.uuid in self.guests else ()

    def _replace(self, instance: records.Instance, vif_id: str, *new: model.VIF) -> None:
        if instance.uuid in self.guests:
            kept = (vif for vif in self._vifs(instance) if vif.id != vif_id)
            vifs = sorted((*kept, *new), key=lambda vif: vif.index)
            self.guests[instance.uuid] = (instance, model.NetworkInfo(tuple(vifs)))

    def power_off(self, instance: records.Instance, timeout_s: float) -> None:
        self.stopped.add(instance.uuid)

    def power_on(self, instance: records.Instance, network_info: model.NetworkInfo) -> None:
        self.guests[instance.uuid] = (instance, network_info)
        self.stopped.discard(instance.uuid)

    def power_state(self, instance: records.Instance) -> records.PowerState:
        if instance.uuid in self.stopped:
            return records.PowerState.SHUTDOWN
        if instance.uuid in self.guests:
            return records.PowerState.RUNNING
        return records.PowerState.NOSTATE

    def console_output(self, instance: records.Instance, max_bytes: int) -> bytes:
        if instance.uuid not in self.guests:
            raise exception.ConsoleNotAvailable(instance_id=instance.uuid)
        lines = [f'{vif.device}: {vif.mac}' for vif in self.guests[instance.uuid][1]]
        text = '\n'.join([f'fake console of {instance.name}', *lines, ''])
        return text.encode()[-max_bytes:]

    def apply_security_groups(
        self,
        guests: Mapping[str, model.NetworkInfo],
        ruleset: rules.Ruleset,
        *,
        repair: bool = False,
    ) -> frozenset[str]:
        self.ruleset = ruleset
        for uuid, (instance, _) in list(self.guests.items()):
            if instance.name in guests:
                self.guests[uuid] = (instance, guests[instance.name])
        return frozenset(vif.id for network_info in guests.values() for vif in network_info)

    def keep_bridges(self, wanted: Callable[[], Collection[str]]) -> None:
        self.bridges = frozenset(wanted())

    def list_instance_names(self) -> list[str]:
        return [instance.name for instance, _ in self.guests.values()]
