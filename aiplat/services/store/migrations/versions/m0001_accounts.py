"""Teams, keys, budgets with their leases, usage, audit, and the number that says they have changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    settings = op.create_table(
        "settings",
        sa.Column("id", sa.Integer, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_settings"),
    )
    op.bulk_insert(settings, [{"id": 1, "version": 1}])
    _accounts()
    _budgets()
    _usage()
    _audit()


def _accounts() -> None:
    op.create_table(
        "teams",
        sa.Column("name", sa.String(63)),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("tokens_per_minute", sa.Integer),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_teams"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(63)),
        sa.Column("hash", sa.String(71), nullable=False),
        sa.Column("old_hash", sa.String(71)),
        sa.Column("old_until", _MOMENT),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("team", sa.String(63)),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("on_outage", sa.String(10), nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("tokens_per_minute", sa.Integer),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("created_by", sa.String(63), nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
        sa.Column("rotated_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("hash", name="uq_keys_hash"),
        sa.UniqueConstraint("old_hash", name="uq_keys_old_hash"),
        sa.ForeignKeyConstraint(["team"], ["teams.name"], name="fk_keys_team"),
    )
    op.create_index("ix_keys_team", "keys", ["team"])


def _budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", _NUMBER, autoincrement=True),
        sa.Column("scope", sa.String(10), nullable=False),
        sa.Column("subject", sa.String(63), nullable=False),
        sa.Column("unit", sa.String(10), nullable=False),
        sa.Column("period", sa.String(10), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        sa.UniqueConstraint("scope", "subject", "unit", "period", name="uq_budgets_scope"),
    )
    op.create_table(
        "budget_windows",
        sa.Column("budget", _NUMBER, nullable=False),
        sa.Column("starts_on", sa.Date, nullable=False),
        sa.Column("base", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("budget", "starts_on", name="pk_budget_windows"),
        sa.ForeignKeyConstraint(
            ["budget"], ["budgets.id"], name="fk_budget_windows_budget", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "budget_leases",
        sa.Column("budget", _NUMBER, nullable=False),
        sa.Column("starts_on", sa.Date, nullable=False),
        sa.Column("replica", sa.String(63), nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("budget", "starts_on", "replica", name="pk_budget_leases"),
        sa.ForeignKeyConstraint(
            ["budget"], ["budgets.id"], name="fk_budget_leases_budget", ondelete="CASCADE"
        ),
    )


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("request_id", sa.String(32)),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("team", sa.String(63), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("provider", sa.String(63), nullable=False),
        sa.Column("endpoint", sa.String(63), nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("cost_nano", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("first_byte_seconds", sa.Float),
        sa.Column("replica", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_usage"),
    )
    op.create_index("ix_usage_day_team_key_model", "usage", ["day", "team", "key", "model"])
    op.create_index("ix_usage_key_day", "usage", ["key", "day"])
    op.create_index("ix_usage_at", "usage", ["at"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _NUMBER, autoincrement=True),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("actor", sa.String(63), nullable=False),
        sa.Column("action", sa.String(63), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sa.UniqueConstraint("event_id", name="uq_audit_event_id"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
