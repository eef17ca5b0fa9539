"""Services, compute nodes, flavors, instances, networks, NICs and their addresses."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from nova.db import models

revision = '0001'
down_revision = None


def upgrade() -> None:
    op.create_table(
        'compute_nodes',
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('hypervisor_type', sa.String(length=255), nullable=False),
        sa.Column('hypervisor_version', sa.Integer(), nullable=False),
        sa.Column('vcpus', sa.Integer(), nullable=False),
        sa.Column('memory_mb', sa.Integer(), nullable=False),
        sa.Column('disk_gb', sa.Integer(), nullable=False),
        sa.Column('vcpus_used', sa.Integer(), nullable=False),
        sa.Column('memory_mb_used', sa.Integer(), nullable=False),
        sa.Column('disk_gb_used', sa.Integer(), nullable=False),
        sa.Column('instances', sa.Integer(), nullable=False),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_compute_nodes')),
        sa.UniqueConstraint('host', name=op.f('uq_compute_nodes_host')),
        sa.UniqueConstraint('uuid', name=op.f('uq_compute_nodes_uuid')),
    )
    op.create_table(
        'flavors',
        sa.Column('flavorid', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('memory_mb', sa.Integer(), nullable=False),
        sa.Column('vcpus', sa.Integer(), nullable=False),
        sa.Column('root_gb', sa.Integer(), nullable=False),
        sa.Column('ephemeral_gb', sa.Integer(), nullable=False),
        sa.Column('swap_mb', sa.Integer(), nullable=False),
        sa.Column('is_public', sa.Boolean(), nullable=False),
        sa.Column('disabled', sa.Boolean(), nullable=False),
        sa.Column('extra_specs', sa.JSON(), nullable=False),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_flavors')),
        sa.UniqueConstraint('flavorid', name=op.f('uq_flavors_flavorid')),
        sa.UniqueConstraint('name', name=op.f('uq_flavors_name')),
    )
    op.create_table(
        'instances',
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('display_name', sa.String(length=255), nullable=False),
        sa.Column('hostname', sa.String(length=255), nullable=False),
        sa.Column('image_ref', sa.String(length=255), nullable=False),
        sa.Column('flavor', sa.JSON(), nullable=False),
        sa.Column('vm_state', sa.String(length=32), nullable=False),
        sa.Column('task_state', sa.String(length=32), nullable=True),
        sa.Column('power_state', sa.Integer(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('key_name', sa.String(length=255), nullable=True),
        sa.Column('user_data', sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql'), nullable=True),
        sa.Column('config_drive', sa.Boolean(), nullable=False),
        sa.Column('locked', sa.Boolean(), nullable=False),
        sa.Column('availability_zone', sa.String(length=255), nullable=True),
        sa.Column('user_metadata', sa.JSON(), nullable=False),
        sa.Column('requested_networks', sa.JSON(), nullable=False),
        sa.Column('reservation_id', sa.String(length=255), nullable=False),
        sa.Column('launch_index', sa.Integer(), nullable=False),
        sa.Column('launched_at', models.UtcDateTime(), nullable=True),
        sa.Column('fault_code', sa.Integer(), nullable=True),
        sa.Column('fault_message', sa.Text(), nullable=True),
        sa.Column('fault_details', sa.Text(), nullable=True),
        sa.Column('fault_at', models.UtcDateTime(), nullable=True),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_instances')),
        sa.UniqueConstraint('uuid', name=op.f('uq_instances_uuid')),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table('instances', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_instances_host'), ['host'], unique=False)
        batch_op.create_index(batch_op.f('ix_instances_project_id'), ['project_id'], unique=False)

    op.create_table(
        'networks',
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('label', sa.String(length=255), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=True),
        sa.Column('cidr', sa.String(length=43), nullable=False),
        sa.Column('gateway', sa.String(length=39), nullable=True),
        sa.Column('dhcp_server', sa.String(length=39), nullable=True),
        sa.Column('dhcp_start', sa.String(length=39), nullable=False),
        sa.Column('dhcp_end', sa.String(length=39), nullable=False),
        sa.Column('dns', sa.JSON(), nullable=False),
        sa.Column('bridge', sa.String(length=15), nullable=False),
        sa.Column('physical_network', sa.String(length=255), nullable=True),
        sa.Column('vlan', sa.Integer(), nullable=True),
        sa.Column('mtu', sa.Integer(), nullable=True),
        sa.Column('multi_host', sa.Boolean(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_networks')),
        sa.UniqueConstraint('uuid', name=op.f('uq_networks_uuid')),
    )
    with op.batch_alter_table('networks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_networks_host'), ['host'], unique=False)
        batch_op.create_index(batch_op.f('ix_networks_project_id'), ['project_id'], unique=False)

    op.create_table(
        'services',
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('binary', sa.String(length=255), nullable=False),
        sa.Column('disabled', sa.Boolean(), nullable=False),
        sa.Column('disabled_reason', sa.String(length=255), nullable=True),
        sa.Column('last_seen_at', models.UtcDateTime(), nullable=False),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_services')),
        sa.UniqueConstraint('host', 'binary', name=op.f('uq_services_host_binary')),
    )
    op.create_table(
        'virtual_interfaces',
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('network_id', sa.Integer(), nullable=False),
        sa.Column('index', sa.Integer(), nullable=False),
        sa.Column('mac', sa.String(length=17), nullable=False),
        sa.Column('default_route', sa.Boolean(), nullable=False),
        sa.Column('tag', sa.String(length=60), nullable=True),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['instance_uuid'], ['instances.uuid'], name=op.f('fk_virtual_interfaces_instance_uuid')
        ),
        sa.ForeignKeyConstraint(
            ['network_id'], ['networks.id'], name=op.f('fk_virtual_interfaces_network_id')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_virtual_interfaces')),
        sa.UniqueConstraint(
            'instance_uuid', 'index', name=op.f('uq_virtual_interfaces_instance_uuid_index')
        ),
        sa.UniqueConstraint('mac', name=op.f('uq_virtual_interfaces_mac')),
        sa.UniqueConstraint('uuid', name=op.f('uq_virtual_interfaces_uuid')),
    )
    with op.batch_alter_table('virtual_interfaces', schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f('ix_virtual_interfaces_network_id'), ['network_id'], unique=False
        )

    op.create_table(
        'fixed_ips',
        sa.Column('network_id', sa.Integer(), nullable=False),
        sa.Column('address', sa.String(length=39), nullable=False),
        sa.Column('vif_id', sa.Integer(), nullable=True),
        sa.Column('reserved', sa.Boolean(), nullable=False),
        sa.Column('released_at', models.UtcDateTime(), nullable=False),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['network_id'], ['networks.id'], name=op.f('fk_fixed_ips_network_id')
        ),
        sa.ForeignKeyConstraint(
            ['vif_id'], ['virtual_interfaces.id'], name=op.f('fk_fixed_ips_vif_id')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_fixed_ips')),
        sa.UniqueConstraint('network_id', 'address', name=op.f('uq_fixed_ips_network_id_address')),
    )
    with op.batch_alter_table('fixed_ips', schema=None) as batch_op:
        batch_op.create_index(
            'ix_fixed_ips_free',
            ['network_id', 'released_at', 'id'],
            unique=False,
            sqlite_where=sa.text('vif_id IS NULL AND NOT reserved'),
            postgresql_where=sa.text('vif_id IS NULL AND NOT reserved'),
        )
        batch_op.create_index(batch_op.f('ix_fixed_ips_vif_id'), ['vif_id'], unique=False)
