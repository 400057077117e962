"""Who did what to which key, team or budget, and when: appended and listed, never changed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.store.database import Database
from aiplat.services.store.tables import audit


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit trail. `actor` is a key's id, or the part of aiplat that acted by itself.

    A line that is appended again, known by its `event_id`, is there once.
    """

    actor: str
    action: str
    subject: str
    origin: str = "api"
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: datetime | None = None
    id: int | None = None
    event_id: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "event_id": entry.event_id,
        "at": entry.at or datetime.now(UTC),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject[:200],
        "origin": entry.origin,
        "detail": dict(entry.detail),
    }


async def append_within(connection: AsyncConnection, *entries: AuditEntry) -> None:
    """Append lines in a transaction of the caller's, so that they are there exactly if the act is."""
    if entries:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(audit).on_conflict_do_nothing(index_elements=["event_id"])
        await connection.execute(statement, [_row(entry) for entry in entries])


async def append_audit(database: Database, *entries: AuditEntry) -> None:
    """Append lines.

    Raises:
        Unreachable: the database does not answer.
    """
    async with database.begin(writes=True) as connection:
        await append_within(connection, *entries)


async def list_audit(  # noqa: PLR0913 - each is a filter of its own
    database: Database,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[AuditEntry]:
    """Return lines that match every filter, newest first; `before_id` continues after a page."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    equal = ((audit.c.actor, actor), (audit.c.action, action), (audit.c.subject, subject))
    for column, wanted in equal:
        query = query if wanted is None else query.where(column == wanted)
    query = query if since is None else query.where(audit.c.at >= since)
    query = query if until is None else query.where(audit.c.at < until)
    query = query if before_id is None else query.where(audit.c.id < before_id)
    async with database.begin() as connection:
        return [AuditEntry(**row) for row in (await connection.execute(query)).mappings()]
