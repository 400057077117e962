"""The tables, as the newest migration leaves them; what is done with them is in the other modules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class Moment(TypeDecorator[datetime]):
    """A time with a zone, kept as UTC also where the database knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a time without a zone: it would mean another moment on another machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        moment: datetime = value
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


Number = BigInteger().with_variant(Integer(), "sqlite")

NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
}
metadata = MetaData(naming_convention=NAMES)

# One row; whoever keeps keys, teams and budgets in memory reads them again when the number has changed.
settings = Table(
    "settings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)

teams = Table(
    "teams",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("description", String(500), nullable=False),
    Column("models", JSON, nullable=False),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("created_at", Moment, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("hash", String(71), nullable=False, unique=True),
    # After a rotation with a grace the old secret is good until then.
    Column("old_hash", String(71), unique=True),
    Column("old_until", Moment),
    Column("name", String(100), nullable=False),
    Column("team", ForeignKey("teams.name"), index=True),
    Column("role", String(10), nullable=False),
    Column("models", JSON, nullable=False),
    Column("on_outage", String(10), nullable=False),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String(63), nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("rotated_at", Moment),
    # Who of `people` it is of; nobody's where it is of a team or a program.
    Column("owner", String(63), index=True),
)

# `told_at` is when the issuer last said who this is (Unix seconds); an empty role lets nobody in.
people = Table(
    "people",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("issuer", String(500), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("name", String(100), nullable=False),
    Column("role", String(10), nullable=False),
    Column("team", ForeignKey("teams.name")),
    Column("told_at", BigInteger, nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
)

# Who is in a team before the first sign-in: `id` is the one in `people` then, or is made of the name alone.
awaited_people = Table(
    "awaited_people",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("issuer", String(500), nullable=False),
    Column("name", String(100), nullable=False),
    Column("team", ForeignKey("teams.name"), nullable=False),
    Column("by", String(63), nullable=False),
)

# `subject` is a key's id or a team's name. Amounts are whole: tokens, requests, billionths of money.
budgets = Table(
    "budgets",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("scope", String(10), nullable=False),
    Column("subject", String(63), nullable=False),
    Column("unit", String(10), nullable=False),
    Column("period", String(10), nullable=False),
    Column("amount", BigInteger, nullable=False),
    # Replicas keep account of what is used from then on; what was used before is read from usage.
    Column("since", Moment, nullable=False),
    UniqueConstraint("scope", "subject", "unit", "period"),
)

# `base` is what was used in a day or month before anybody leased from the budget in it.
budget_windows = Table(
    "budget_windows",
    metadata,
    Column("budget", ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
    Column("starts_on", Date, primary_key=True),
    Column("base", BigInteger, nullable=False),
)

# What each replica of the gateway may use of a window (`granted`) and has used of it.
budget_leases = Table(
    "budget_leases",
    metadata,
    Column("budget", ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
    Column("starts_on", Date, primary_key=True),
    Column("replica", String(63), primary_key=True),
    Column("granted", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

# Sessions that somebody ended before their time; `id` is a digest of what only the session's browser has.
ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("until", Moment, nullable=False, index=True),
)

# No reference to keys and teams: what was used stays when they are gone.
usage = Table(
    "usage",
    metadata,
    Column("request_id", String(32), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("day", Date, nullable=False),
    Column("key", String(63), nullable=False),
    Column("team", String(63), nullable=False),
    Column("model", String(200), nullable=False),
    Column("provider", String(63), nullable=False),
    Column("endpoint", String(63), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("first_byte_seconds", Float),
    Column("replica", String(63), nullable=False),
    Column("client_request_id", String(64)),
    Index("ix_usage_day_team_key_model", "day", "team", "key", "model"),
    Index("ix_usage_key_day", "key", "day"),
    Index("ix_usage_at", "at"),
    Index(
        "ix_usage_client_request_id",
        "client_request_id",
        postgresql_where=text("client_request_id IS NOT NULL"),
        sqlite_where=text("client_request_id IS NOT NULL"),
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("event_id", String(32), nullable=False, unique=True),
    Column("at", Moment, nullable=False, index=True),
    Column("actor", String(63), nullable=False),
    Column("action", String(63), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("origin", String(20), nullable=False),
    Column("detail", JSON, nullable=False),
)
