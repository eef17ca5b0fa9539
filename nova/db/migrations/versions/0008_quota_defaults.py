"""Limits of all projects that differ from the configured ones."""

from alembic import op
import sqlalchemy as sa

from nova.db import models

revision = '0008'
down_revision = '0007'


def upgrade() -> None:
    op.create_table(
        'quota_defaults',
        sa.Column('resource', sa.String(length=64), nullable=False),
        sa.Column('hard_limit', sa.Integer(), nullable=False),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_quota_defaults')),
        sa.UniqueConstraint('resource', name=op.f('uq_quota_defaults_resource')),
    )
