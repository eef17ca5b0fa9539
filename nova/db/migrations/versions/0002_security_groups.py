"""Security groups, their rules, and the NICs in them."""

from alembic import op
import sqlalchemy as sa

from nova.db import models

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    op.create_table(
        'security_groups',
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('rules_revision', sa.Integer(), nullable=False),
        sa.Column('members_revision', sa.Integer(), nullable=False),
        *_common(),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_security_groups')),
        sa.UniqueConstraint('project_id', 'name', name=op.f('uq_security_groups_project_id_name')),
        sa.UniqueConstraint('uuid', name=op.f('uq_security_groups_uuid')),
    )
    op.create_table(
        'security_group_rules',
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('group_id', sa.Integer(), nullable=False),
        sa.Column('direction', sa.String(length=7), nullable=False),
        sa.Column('ip_version', sa.Integer(), nullable=True),
        sa.Column('protocol', sa.String(length=16), nullable=True),
        sa.Column('from_port', sa.Integer(), nullable=True),
        sa.Column('to_port', sa.Integer(), nullable=True),
        sa.Column('cidr', sa.String(length=43), nullable=True),
        sa.Column('remote_group_id', sa.Integer(), nullable=True),
        sa.Column('key', sa.String(length=160), nullable=False),
        *_common(),
        sa.ForeignKeyConstraint(
            ['group_id'],
            ['security_groups.id'],
            name=op.f('fk_security_group_rules_group_id'),
            ondelete='CASCADE',
        ),
        sa.ForeignKeyConstraint(
            ['remote_group_id'],
            ['security_groups.id'],
            name=op.f('fk_security_group_rules_remote_group_id'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_security_group_rules')),
        sa.UniqueConstraint('group_id', 'key', name=op.f('uq_security_group_rules_group_id_key')),
        sa.UniqueConstraint('uuid', name=op.f('uq_security_group_rules_uuid')),
    )
    with op.batch_alter_table('security_group_rules', schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f('ix_security_group_rules_remote_group_id'), ['remote_group_id'], unique=False
        )

    op.create_table(
        'security_group_members',
        sa.Column('vif_id', sa.Integer(), nullable=False),
        sa.Column('group_id', sa.Integer(), nullable=False),
        *_common(),
        sa.ForeignKeyConstraint(
            ['group_id'], ['security_groups.id'], name=op.f('fk_security_group_members_group_id')
        ),
        sa.ForeignKeyConstraint(
            ['vif_id'],
            ['virtual_interfaces.id'],
            name=op.f('fk_security_group_members_vif_id'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_security_group_members')),
        sa.UniqueConstraint(
            'vif_id', 'group_id', name=op.f('uq_security_group_members_vif_id_group_id')
        ),
    )
    with op.batch_alter_table('security_group_members', schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f('ix_security_group_members_group_id'), ['group_id'], unique=False
        )

    op.add_column(
        'virtual_interfaces', sa.Column('firewall_revision', sa.String(length=16), nullable=True)
    )


def _common() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('created_at', models.UtcDateTime(), nullable=False),
        sa.Column('updated_at', models.UtcDateTime(), nullable=False),
    )
