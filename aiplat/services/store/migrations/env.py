"""How Alembic runs here: on the connection that store.migrate hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from aiplat.services.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
context.run_migrations()
