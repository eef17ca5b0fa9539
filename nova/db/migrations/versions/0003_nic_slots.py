"""What attaching and detaching NICs needs: slots, states, next index, order of addresses."""

from alembic import op
import sqlalchemy as sa

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    # Columns are added in place: SQLite would copy the table for anything more, which rows that
    # refer to it do not allow.
    nic, instance = 'virtual_interfaces', 'instances'
    op.add_column(instance, _integer('next_nic_index'))
    op.add_column(nic, _integer('slot'))
    op.add_column(nic, sa.Column('state', sa.String(16), nullable=False, server_default='active'))
    op.add_column('fixed_ips', _integer('place'))
    vifs = sa.table(
        nic, sa.column('slot'), sa.column('index', sa.Integer), sa.column('instance_uuid')
    )
    instances = sa.table(instance, sa.column('uuid'), sa.column('next_nic_index'))
    op.execute(sa.update(vifs).values(slot=vifs.c.index))
    highest = (
        sa.select(sa.func.coalesce(sa.func.max(vifs.c.index) + 1, 0))
        .where(vifs.c.instance_uuid == instances.c.uuid)
        .scalar_subquery()
    )
    op.execute(sa.update(instances).values(next_nic_index=highest))
    op.create_index('ix_virtual_interfaces_slot', nic, ['instance_uuid', 'slot'], unique=True)


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default='0')
