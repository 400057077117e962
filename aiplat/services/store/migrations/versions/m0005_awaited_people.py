"""Who is put into a team before they sign in for the first time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table; a portal of the version before works without it."""
    op.create_table(
        "awaited_people",
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("team", sa.String(63), nullable=False),
        sa.Column("by", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_awaited_people"),
        sa.ForeignKeyConstraint(["team"], ["teams.name"], name="fk_awaited_people_team"),
    )
