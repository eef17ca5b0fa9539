"""The schema's history, for alembic. ``nova-manage db sync`` runs it."""
