"""Floating IPs."""

from alembic import op
import sqlalchemy as sa

from nova.db import models

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    op.create_table(
        'floating_ips',
        sa.Column('address', sa.String(length=39), nullable=False),
        sa.Column('pool', sa.String(length=255), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=True),
        sa.Column('fixed_ip_id', sa.Integer(), nullable=True),
        sa.Column('vif_id', sa.Integer(), nullable=True),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['fixed_ip_id'],
            ['fixed_ips.id'],
            name=op.f('fk_floating_ips_fixed_ip_id'),
            ondelete='SET NULL',
        ),
        sa.ForeignKeyConstraint(
            ['vif_id'],
            ['virtual_interfaces.id'],
            name=op.f('fk_floating_ips_vif_id'),
            ondelete='SET NULL',
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_floating_ips')),
        sa.UniqueConstraint('address', name=op.f('uq_floating_ips_address')),
        sa.UniqueConstraint(
            'fixed_ip_id', 'vif_id', name=op.f('uq_floating_ips_fixed_ip_id_vif_id')
        ),
    )
    with op.batch_alter_table('floating_ips', schema=None) as batch_op:
        for column in ('pool', 'project_id', 'vif_id'):
            batch_op.create_index(batch_op.f(f'ix_floating_ips_{column}'), [column], unique=False)
