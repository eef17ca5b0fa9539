"""The tables.

No row is kept after its object is gone: a deleted instance, NIC or network leaves nothing that a
query would have to skip.
"""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

#: Before any address was ever given; sorts before every release.
NEVER = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def utcnow() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class UtcDateTime(sa.types.TypeDecorator[datetime.datetime]):
    """Aware datetimes in, aware datetimes (UTC) out, stored without zone."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        if dialect.name in ('mysql', 'mariadb'):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime.datetime | None, dialect: sa.Dialect) -> Any:
        return None if value is None else value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime.datetime | None:
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
            'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
            'fk': 'fk_%(table_name)s_%(column_0_N_name)s',
            'pk': 'pk_%(table_name)s',
        }
    )
    type_annotation_map = {
        datetime.datetime: UtcDateTime,
        dict[str, Any]: sa.JSON,
        list[Any]: sa.JSON,
    }

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime.datetime] = mapped_column(default=utcnow, onupdate=utcnow)


Uuid = sa.String(36)
Name = sa.String(255)
Address = sa.String(39)


class Service(Base):
    __tablename__ = 'services'
    __table_args__ = (sa.UniqueConstraint('host', 'binary'),)

    host: Mapped[str] = mapped_column(Name)
    binary: Mapped[str] = mapped_column(Name)
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None] = mapped_column(Name)
    last_seen_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)


class ComputeNode(Base):
    __tablename__ = 'compute_nodes'

    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    host: Mapped[str] = mapped_column(Name, unique=True)
    hypervisor_type: Mapped[str] = mapped_column(Name)
    hypervisor_version: Mapped[int]
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    disk_gb: Mapped[int]
    vcpus_used: Mapped[int] = mapped_column(default=0)
    memory_mb_used: Mapped[int] = mapped_column(default=0)
    disk_gb_used: Mapped[int] = mapped_column(default=0)
    instances: Mapped[int] = mapped_column(default=0)


class Flavor(Base):
    __tablename__ = 'flavors'

    flavorid: Mapped[str] = mapped_column(Name, unique=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    memory_mb: Mapped[int]
    vcpus: Mapped[int]
    root_gb: Mapped[int]
    ephemeral_gb: Mapped[int] = mapped_column(default=0)
    swap_mb: Mapped[int] = mapped_column(default=0)
    is_public: Mapped[bool] = mapped_column(default=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    extra_specs: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Instance(Base):
    __tablename__ = 'instances'
    # an id is a domain's name, so that it must not come back while a guest is being cleaned up
    __table_args__ = {'sqlite_autoincrement': True}

    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    project_id: Mapped[str] = mapped_column(Name, index=True)
    user_id: Mapped[str] = mapped_column(Name)
    display_name: Mapped[str] = mapped_column(Name)
    hostname: Mapped[str] = mapped_column(Name)
    image_ref: Mapped[str] = mapped_column(Name)
    flavor: Mapped[dict[str, Any]]
    vm_state: Mapped[str] = mapped_column(sa.String(32))
    task_state: Mapped[str | None] = mapped_column(sa.String(32))
    power_state: Mapped[int]
    host: Mapped[str | None] = mapped_column(Name, index=True)
    key_name: Mapped[str | None] = mapped_column(Name)
    user_data: Mapped[str | None] = mapped_column(sa.Text().with_variant(mysql.MEDIUMTEXT, 'mysql'))
    config_drive: Mapped[bool]
    locked: Mapped[bool] = mapped_column(default=False)
    availability_zone: Mapped[str | None] = mapped_column(Name)
    user_metadata: Mapped[dict[str, Any]]
    requested_networks: Mapped[list[Any]]
    reservation_id: Mapped[str] = mapped_column(Name)
    launch_index: Mapped[int] = mapped_column(default=0)
    # an index that was given is not given again, whatever became of its NIC
    next_nic_index: Mapped[int] = mapped_column(default=0)
    launched_at: Mapped[datetime.datetime | None]
    fault_code: Mapped[int | None]
    fault_message: Mapped[str | None] = mapped_column(sa.Text)
    fault_details: Mapped[str | None] = mapped_column(sa.Text)
    fault_at: Mapped[datetime.datetime | None]


class Network(Base):
    __tablename__ = 'networks'
    # of the untagged ones, which have no VLAN, the guard of the creation sees to it
    __table_args__ = (sa.UniqueConstraint('physical_network', 'vlan'),)

    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    label: Mapped[str] = mapped_column(Name)
    kind: Mapped[str] = mapped_column(sa.String(16))
    project_id: Mapped[str | None] = mapped_column(Name, index=True)
    cidr: Mapped[str | None] = mapped_column(sa.String(43))
    gateway: Mapped[str | None] = mapped_column(Address)
    dhcp_server: Mapped[str | None] = mapped_column(Address)
    dhcp_start: Mapped[str | None] = mapped_column(Address)
    dhcp_end: Mapped[str | None] = mapped_column(Address)
    cidr_v6: Mapped[str | None] = mapped_column(sa.String(43))
    gateway_v6: Mapped[str | None] = mapped_column(Address)
    ipv6_mode: Mapped[str | None] = mapped_column(sa.String(16))
    routes: Mapped[list[Any]]
    dns: Mapped[list[Any]]
    bridge: Mapped[str] = mapped_column(sa.String(15))
    physical_network: Mapped[str | None] = mapped_column(Name)
    vlan: Mapped[int | None]
    mtu: Mapped[int | None]
    multi_host: Mapped[bool] = mapped_column(default=False)
    host: Mapped[str | None] = mapped_column(Name, index=True)
    # the database removes them with their network
    hosts: Mapped[list[NetworkHost]] = orm.relationship(
        order_by='NetworkHost.id', cascade='all, delete-orphan', passive_deletes=True
    )


class NetworkHost(Base):
    """A host that serves its part of a network which every host serves. It has ``address`` there
    (IPv4), whose row among the fixed IPs is reserved meanwhile."""

    __tablename__ = 'network_hosts'
    __table_args__ = (sa.UniqueConstraint('network_id', 'host'),)

    network_id: Mapped[int] = mapped_column(sa.ForeignKey('networks.id', ondelete='CASCADE'))
    host: Mapped[str] = mapped_column(Name)
    address: Mapped[str | None] = mapped_column(Address)


class Vif(Base):
    __tablename__ = 'virtual_interfaces'
    __table_args__ = (
        sa.UniqueConstraint('instance_uuid', 'index'),
        # an index, because SQLite can add one to a table that has rows which others refer to
        sa.Index('ix_virtual_interfaces_slot', 'instance_uuid', 'slot', unique=True),
    )

    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    instance_uuid: Mapped[str] = mapped_column(sa.ForeignKey('instances.uuid'))
    network_id: Mapped[int] = mapped_column(sa.ForeignKey('networks.id'), index=True)
    index: Mapped[int]
    slot: Mapped[int]
    mac: Mapped[str] = mapped_column(sa.String(17), unique=True)
    default_route: Mapped[bool] = mapped_column(default=False)
    tag: Mapped[str | None] = mapped_column(sa.String(60))
    #: of the security group rules that are in force on the NIC's host
    firewall_revision: Mapped[str | None] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16), default='active')


class FixedIp(Base):
    """One address. The IPv4 ones of a network are made with it, and taken while ``vif_id`` is set;
    those of IPv6 are made when they are given, and removed when they are given back."""

    __tablename__ = 'fixed_ips'
    __table_args__ = (
        sa.UniqueConstraint('network_id', 'address'),
        # what the search for a free address reads; small because it holds only the free ones
        sa.Index(
            'ix_fixed_ips_free',
            'network_id',
            'released_at',
            'id',
            sqlite_where=sa.text('vif_id IS NULL AND NOT reserved'),
            postgresql_where=sa.text('vif_id IS NULL AND NOT reserved'),
        ),
    )

    network_id: Mapped[int] = mapped_column(sa.ForeignKey('networks.id'))
    address: Mapped[str] = mapped_column(Address)
    vif_id: Mapped[int | None] = mapped_column(sa.ForeignKey('virtual_interfaces.id'), index=True)
    reserved: Mapped[bool] = mapped_column(default=False)
    # among the addresses of its NIC
    place: Mapped[int] = mapped_column(default=0)
    released_at: Mapped[datetime.datetime] = mapped_column(default=NEVER)


class SecurityGroup(Base):
    """``rules_revision`` counts the changes of its rules, ``members_revision`` those of the NICs
    in it."""

    __tablename__ = 'security_groups'
    __table_args__ = (sa.UniqueConstraint('project_id', 'name'),)

    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    project_id: Mapped[str] = mapped_column(Name)
    name: Mapped[str] = mapped_column(Name)
    description: Mapped[str] = mapped_column(Name)
    rules_revision: Mapped[int] = mapped_column(default=0)
    members_revision: Mapped[int] = mapped_column(default=0)


class SecurityGroupRule(Base):
    """``key`` spells out all that the rule says, for no database finds two NULLs equal."""

    __tablename__ = 'security_group_rules'
    __table_args__ = (sa.UniqueConstraint('group_id', 'key'),)

    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    group_id: Mapped[int] = mapped_column(sa.ForeignKey('security_groups.id', ondelete='CASCADE'))
    direction: Mapped[str] = mapped_column(sa.String(7))
    ip_version: Mapped[int | None]
    protocol: Mapped[str | None] = mapped_column(sa.String(16))
    from_port: Mapped[int | None]
    to_port: Mapped[int | None]
    cidr: Mapped[str | None] = mapped_column(sa.String(43))
    remote_group_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey('security_groups.id', ondelete='CASCADE'), index=True
    )
    key: Mapped[str] = mapped_column(sa.String(160))


class SecurityGroupMember(Base):
    """A NIC in a group. It goes with the NIC; a group with one cannot go."""

    __tablename__ = 'security_group_members'
    __table_args__ = (sa.UniqueConstraint('vif_id', 'group_id'),)

    vif_id: Mapped[int] = mapped_column(sa.ForeignKey('virtual_interfaces.id', ondelete='CASCADE'))
    group_id: Mapped[int] = mapped_column(sa.ForeignKey('security_groups.id'), index=True)


class FloatingIp(Base):
    """An address of the outside. It leads to a fixed IP while the NIC ``vif_id`` has it."""

    __tablename__ = 'floating_ips'
    __table_args__ = (sa.UniqueConstraint('fixed_ip_id', 'vif_id'),)

    address: Mapped[str] = mapped_column(Address, unique=True)
    pool: Mapped[str] = mapped_column(Name, index=True)
    project_id: Mapped[str | None] = mapped_column(Name, index=True)
    fixed_ip_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey('fixed_ips.id', ondelete='SET NULL')
    )
    vif_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey('virtual_interfaces.id', ondelete='SET NULL'), index=True
    )


class Quota(Base):
    """A limit of a project that differs from the configured one."""

    __tablename__ = 'quotas'
    __table_args__ = (sa.UniqueConstraint('project_id', 'resource'),)

    project_id: Mapped[str] = mapped_column(Name)
    resource: Mapped[str] = mapped_column(sa.String(64))
    hard_limit: Mapped[int]


class QuotaDefault(Base):
    """A limit of all projects that differs from the configured one."""

    __tablename__ = 'quota_defaults'

    resource: Mapped[str] = mapped_column(sa.String(64), unique=True)
    hard_limit: Mapped[int]
