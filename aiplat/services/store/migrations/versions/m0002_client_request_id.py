"""The id that a client gave its request, beside the gateway's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; a gateway of the version before keeps writing rows without it."""
    op.add_column("usage", sa.Column("client_request_id", sa.String(64)))
    given = sa.text("client_request_id IS NOT NULL")
    op.create_index(
        "ix_usage_client_request_id",
        "usage",
        ["client_request_id"],
        postgresql_where=given,
        sqlite_where=given,
    )
