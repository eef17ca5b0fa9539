"""IPv6 ranges, static routes, and one network for each VLAN."""

from alembic import op
import sqlalchemy as sa

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    with op.batch_alter_table('networks', schema=None) as batch_op:
        batch_op.alter_column('cidr', existing_type=sa.String(length=43), nullable=True)
        batch_op.alter_column('dhcp_start', existing_type=sa.String(length=39), nullable=True)
        batch_op.alter_column('dhcp_end', existing_type=sa.String(length=39), nullable=True)
        batch_op.add_column(sa.Column('cidr_v6', sa.String(length=43), nullable=True))
        batch_op.add_column(sa.Column('gateway_v6', sa.String(length=39), nullable=True))
        batch_op.add_column(sa.Column('ipv6_mode', sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column('routes', sa.JSON(), nullable=True))
    networks = sa.table('networks', sa.column('routes', sa.JSON()))
    op.execute(sa.update(networks).values(routes=[]))
    with op.batch_alter_table('networks', schema=None) as batch_op:
        batch_op.alter_column('routes', existing_type=sa.JSON(), nullable=False)
        batch_op.create_unique_constraint(
            batch_op.f('uq_networks_physical_network_vlan'), ['physical_network', 'vlan']
        )
