"""Who signs in by name, and whose a key is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table and the column; a gateway of the version before keeps reading keys without it."""
    op.create_table(
        "people",
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("team", sa.String(63)),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.Column("first_seen", _MOMENT, nullable=False),
        sa.Column("last_seen", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.ForeignKeyConstraint(["team"], ["teams.name"], name="fk_people_team"),
    )
    op.add_column("keys", sa.Column("owner", sa.String(63)))
    op.create_index("ix_keys_owner", "keys", ["owner"])
