"""Limits of single projects."""

from alembic import op
import sqlalchemy as sa

from nova.db import models

revision = '0007'
down_revision = '0006'


def upgrade() -> None:
    op.create_table(
        'quotas',
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('resource', sa.String(length=64), nullable=False),
        sa.Column('hard_limit', sa.Integer(), nullable=False),
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_quotas')),
        sa.UniqueConstraint('project_id', 'resource', name=op.f('uq_quotas_project_id_resource')),
    )
