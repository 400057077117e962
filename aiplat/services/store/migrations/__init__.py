"""Alembic's migrations of the store, oldest first by number; tables as they are now stand in store.tables."""
