"""What the database gives out: frozen values, never live rows.

Times are aware datetimes in UTC. ``id`` is the database's own integer; ``uuid`` is what the world
sees. Sizes carry their unit in their name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import datetime
import enum
import hashlib

from nova import primitive
from nova.network import model


class VmState(enum.StrEnum):
    """What is true of the instance."""

    BUILDING = 'building'
    ACTIVE = 'active'
    STOPPED = 'stopped'
    ERROR = 'error'


class TaskState(enum.StrEnum):
    """What is being done to the instance; None when nothing is."""

    SCHEDULING = 'scheduling'
    NETWORKING = 'networking'
    SPAWNING = 'spawning'
    DELETING = 'deleting'
    POWERING_OFF = 'powering-off'
    POWERING_ON = 'powering-on'
    REBOOTING = 'rebooting'
    REBOOTING_HARD = 'rebooting_hard'


class PowerState(enum.IntEnum):
    """The guest's state as the API numbers it."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running (or once running) service process; alive while ``last_seen_at`` is recent."""

    id: int
    host: str
    binary: str
    disabled: bool
    disabled_reason: str | None
    created_at: datetime.datetime
    last_seen_at: datetime.datetime


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComputeNode:
    """A host that can run guests: what it has and what is claimed of it."""

    id: int
    uuid: str
    host: str
    hypervisor_type: str
    hypervisor_version: int
    vcpus: int
    memory_mb: int
    disk_gb: int
    vcpus_used: int
    memory_mb_used: int
    disk_gb_used: int
    instances: int


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """A size of guest. ``flavorid`` is its public id."""

    id: int
    flavorid: str
    name: str
    memory_mb: int
    vcpus: int
    root_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    is_public: bool = True
    disabled: bool = False
    extra_specs: Mapping[str, str] = dataclasses.field(default_factory=dict)


@primitive.versioned('1.1')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestedNetwork:
    """One NIC of a create request, in the user's order. ``security_groups`` are uuids; none means
    the project's group ``default``."""

    network_uuid: str
    fixed_ip: str | None = None
    tag: str | None = None
    security_groups: tuple[str, ...] = ()


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an instance is in ERROR; ``details`` are for operators only."""

    code: int
    message: str
    details: str
    created_at: datetime.datetime


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance. The flavor is the copy taken when it was created.

    ``name`` (``instance-%08x`` of the id) is its domain's name on the host.
    """

    id: int
    uuid: str
    project_id: str
    user_id: str
    display_name: str
    hostname: str
    image_ref: str
    flavor: Flavor
    vm_state: VmState
    task_state: TaskState | None
    power_state: PowerState
    host: str | None
    key_name: str | None
    user_data: str | None
    config_drive: bool
    locked: bool
    availability_zone: str | None
    metadata: Mapping[str, str]
    requested_networks: tuple[RequestedNetwork, ...]
    reservation_id: str
    launch_index: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    launched_at: datetime.datetime | None
    fault: Fault | None = None

    @property
    def name(self) -> str:
        """Of the domain, its disks' folder and its filters: ``instance-0000002a`` for id 42."""
        return f'instance-{self.id:08x}'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """What is known of an instance before it is stored."""

    uuid: str
    project_id: str
    user_id: str
    display_name: str
    hostname: str
    image_ref: str
    flavor: Flavor
    requested_networks: Sequence[RequestedNetwork]
    reservation_id: str
    launch_index: int = 0
    key_name: str | None = None
    user_data: str | None = None
    config_drive: bool = False
    availability_zone: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


@primitive.versioned('1.1')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewNetwork:
    """What is decided about a network before it is stored. The v4 range is ``cidr``, of which
    ``dhcp_start`` to ``dhcp_end`` may be given to NICs; ``dns`` is in order of preference, of
    both families. ``cidr`` or ``cidr_v6`` may be None, but not both. ``ipv6_mode`` is None where
    nobody announces the v6 range."""

    uuid: str
    label: str
    kind: model.NetworkKind
    project_id: str | None
    cidr: str | None
    gateway: str | None
    dhcp_server: str | None
    dhcp_start: str | None
    dhcp_end: str | None
    dns: tuple[str, ...]
    bridge: str
    physical_network: str | None
    vlan: int | None
    mtu: int | None
    multi_host: bool
    cidr_v6: str | None = None
    gateway_v6: str | None = None
    ipv6_mode: model.Ipv6Mode | None = None
    routes: tuple[model.Route, ...] = ()


@primitive.versioned('1.2')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Network(NewNetwork):
    """A network as it is stored; ``host`` serves its gateway and DHCP, None until one is
    needed.

    With ``multi_host`` each host serves its own guests: ``hosts`` has the IPv4 address of each that
    does (None: there is no IPv4 range), and :func:`nova.network.info.on_host` what it is there.
    """

    id: int
    host: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime
    hosts: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


@primitive.versioned('1.2')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vif:
    """A NIC's row with its addresses, in their order. ``uuid`` is the model's ``VIF.id``."""

    id: int
    uuid: str
    instance_uuid: str
    network_uuid: str
    index: int
    mac: str
    default_route: bool
    tag: str | None
    addresses: tuple[str, ...]
    hostname: str
    """The name of the NIC's instance, which the network's DHCP server gives it."""
    host: str | None = None
    """Where the NIC's instance is."""
    security_groups: tuple[str, ...] = ()
    """uuids, in the order in which the groups were made."""
    firewall_revision: str | None = None
    """What its host said last is in force (:func:`SecurityGroups.revision_of`)."""
    slot: int | None = None
    state: model.VifState = model.VifState.ACTIVE


@primitive.versioned('1.1')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WantedNic:
    """A NIC to be allocated: the plan that one transaction carries out or refuses whole.

    ``fixed_ip`` is the IPv4 address that was asked for (None: any), ``fixed_ip_v6`` the IPv6
    address that it gets.
    """

    uuid: str
    index: int
    network_uuid: str
    mac: str
    default_route: bool
    fixed_ip: str | None = None
    tag: str | None = None
    fixed_ip_v6: str | None = None
    security_groups: tuple[str, ...] = ()


class Direction(enum.StrEnum):
    """As the guest sees it."""

    INGRESS = 'ingress'
    EGRESS = 'egress'


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewRule:
    """What a security group lets pass.

    ``ip_version`` is 4, 6 or None for both; ``protocol`` a name or number in canonical form, None
    for all. ``from_port`` and ``to_port`` bound the destination ports or are, of the two ICMPs,
    type and code; None is any. The other side is the range ``cidr``, or the members of the group
    ``remote_group_uuid``, or with neither of them anybody.
    """

    direction: Direction = Direction.INGRESS
    ip_version: int | None = None
    protocol: str | None = None
    from_port: int | None = None
    to_port: int | None = None
    cidr: str | None = None
    remote_group_uuid: str | None = None

    @property
    def key(self) -> str:
        """Equal for rules that say the same, and for no others."""
        says = (
            self.direction,
            self.ip_version,
            self.protocol,
            self.from_port,
            self.to_port,
            self.cidr,
            self.remote_group_uuid,
        )
        return '/'.join('' if part is None else str(part) for part in says)


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupRule(NewRule):
    """A rule as it is stored."""

    uuid: str
    group_uuid: str
    remote_group_name: str | None = None
    remote_group_project_id: str | None = None


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A project's group with its rules, oldest first. Either revision grows with each change."""

    uuid: str
    project_id: str
    name: str
    description: str
    rules: tuple[SecurityGroupRule, ...]
    rules_revision: int
    members_revision: int


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupMember:
    """An address of a NIC in a group, and the network on which it is that."""

    network_uuid: str
    address: str


@primitive.versioned('1.0')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroups:
    """What some NICs' rules are made of: ``groups`` by uuid, theirs and those that the rules of
    theirs name; ``members`` has the addresses of the NICs in each of the latter."""

    groups: Mapping[str, SecurityGroup] = dataclasses.field(default_factory=dict)
    members: Mapping[str, tuple[SecurityGroupMember, ...]] = dataclasses.field(default_factory=dict)

    def revision_of(self, uuids: Iterable[str]) -> str:
        """16 hexadecimal digits that are others after every change which concerns a NIC in these
        groups: of its groups, of their rules, or of the members of a group that a rule names."""
        own = sorted(set(uuids) & set(self.groups))
        named = {rule.remote_group_uuid for uuid in own for rule in self.groups[uuid].rules}
        parts = [f'{uuid}:{self.groups[uuid].rules_revision}' for uuid in own]
        parts += [
            f'{uuid}:{self.groups[uuid].members_revision}'
            for uuid in sorted(uuid for uuid in named if uuid is not None)
            if uuid in self.groups
        ]
        # what is added to a part cannot be taken for a further one: none holds a blank
        return hashlib.sha256(' '.join([*parts, str(len(own))]).encode()).hexdigest()[:16]


@primitive.versioned('1.1')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FloatingIp:
    """An address of the outside that ``project_id`` holds (None: nobody). ``fixed_ip``, of that
    instance and network, is where it leads; None: nowhere. ``host`` serves the network to the
    instance."""

    id: int
    address: str
    pool: str
    project_id: str | None
    fixed_ip: str | None
    instance_uuid: str | None
    network_uuid: str | None
    host: str | None = None
