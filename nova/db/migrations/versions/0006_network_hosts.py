"""The hosts of networks that every host serves."""

from alembic import op
import sqlalchemy as sa

from nova.db import models

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    op.create_table(
        'network_hosts',
        sa.Column('network_id', sa.Integer(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('address', sa.String(length=39), nullable=True),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['network_id'],
            ['networks.id'],
            name=op.f('fk_network_hosts_network_id'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_network_hosts')),
        sa.UniqueConstraint('network_id', 'host', name=op.f('uq_network_hosts_network_id_host')),
    )
