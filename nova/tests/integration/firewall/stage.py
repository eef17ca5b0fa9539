"""Two hosts joined by a wire for each network, and on the first a guest with three NICs."""

from __future__ import annotations

from collections.abc import Sequence
import itertools

from nova.network import reach
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import rules
from nova.tests.integration.firewall import packets
from nova.tests.integration.firewall.conftest import Port, World

NICS = 3
#: Where somebody may suffer from what a NIC sends: beside the guest or on the first host itself,
#: and beyond the wire.
PLACES = ('same host', 'other host')
_marks = itertools.count(1)


class Stage:
    """``nics`` are the guest's, one on each network; ``neighbours`` are on the same bridges,
    ``strangers`` on those of the other host, which filters nothing, so that only the guest's own
    host can have held what does not arrive."""

    def __init__(self, here: World, there: World) -> None:
        self.here, self.there = here, there
        self.nics = [packets.nic(number) for number in range(NICS)]
        self.neighbours = [packets.nic(10 + number, number) for number in range(NICS)]
        self.strangers = [packets.nic(20 + number, number) for number in range(NICS)]
        self.macs: dict[tuple[World, str], str] = {}
        for bridge in self.bridges:
            for world in (here, there):
                self.macs[world, bridge] = world.bridge(bridge)
            here.wire(there, bridge)

    @property
    def bridges(self) -> tuple[str, ...]:
        return tuple(nic.bridge for nic in self.nics)

    def protect(self, driver: firewall_driver.FirewallDriver) -> None:
        """By a firewall on the first host, and as hosts that are gateways protect themselves."""
        driver.prepare('instance-00000001', self.nics, rules.Ruleset())
        driver.prepare('instance-00000002', self.neighbours, rules.Ruleset())
        pairs = tuple((bridge, bridge) for bridge in self.bridges)
        lines = reach.render_table(
            reach.Reach(bridges=self.bridges, allowed=pairs, guarded=self.bridges)
        )
        for world in (self.here, self.there):
            world.run('nft', '-f', '-', stdin='\n'.join(lines))

    def plug(self) -> None:
        self.guest = self.here.namespace()
        self.ports = [self.here.port(nic.device, nic.bridge, self.guest) for nic in self.nics]
        self.beside = [self.here.port(nic.device, nic.bridge) for nic in self.neighbours]
        self.bystanders = [self.here.port(f'by{nic.bridge}', nic.bridge) for nic in self.nics]
        self.beyond = [self.there.port(nic.device, nic.bridge) for nic in self.strangers]
        self.hosts = [self.here.ear(bridge) for bridge in self.bridges]
        self.wires = [self.there.ear(f'up{bridge}') for bridge in self.bridges]

    def watchers(self, number: int) -> dict[str, Sequence[Port]]:
        """Who sees what comes out on the network of NIC ``number``, by place."""
        return {
            'same host': (self.beside[number], self.bystanders[number], self.hosts[number]),
            'other host': (self.beyond[number], self.wires[number]),
        }

    def send(self, number: int, *frames: bytes) -> dict[str, list[bytes]]:
        """What of these frames of NIC ``number`` comes out, by place."""
        self.drain(number)
        self.ports[number].send(*frames)
        return self.collect(number)

    def drain(self, number: int) -> None:
        """What has come out on the network of NIC ``number`` is of no interest."""
        for port in itertools.chain(*self.watchers(number).values()):
            port.drain()

    def collect(self, number: int) -> dict[str, list[bytes]]:
        """What has come out there since, by place."""
        nic = self.nics[number]
        last = packets.mark(nic.first_hop.mac, packets.v4(nic), next(_marks))
        self.ports[number].send(last)
        return {
            place: [frame for port in ports for frame in port.until(last)]
            for place, ports in self.watchers(number).items()
        }

    def settle(self, number: int) -> None:
        """Have the bridges of a network forget whom they saw where."""
        for world in (self.here, self.there):
            world.forget_learned(self.bridges[number])
