"""alembic's entry: run the migrations on the engine that :mod:`nova.db.migration` hands over."""

from alembic import context
import sqlalchemy as sa

from nova.db import models

engine: sa.Engine = context.config.attributes['engine']

with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=models.Base.metadata,
        # SQLite cannot alter a table in place
        render_as_batch=connection.dialect.name == 'sqlite',
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
