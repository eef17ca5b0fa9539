"""The database, the only package that knows SQL; it takes and gives nova.db.records."""
