"""What every change of accounts leaves behind: its audit line, and a new number for those who keep copies."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.store.audit import AuditEntry, append_within
from aiplat.services.store.database import Database
from aiplat.services.store.tables import settings


async def changed(
    connection: AsyncConnection, actor: str, action: str, subject: str, detail: dict[str, Any]
) -> None:
    """Write down a change in its own transaction; `detail` must hold no secret."""
    await append_within(connection, AuditEntry(actor, action, subject, detail=detail))
    await connection.execute(update(settings).values(version=settings.c.version + 1))


async def settings_version(database: Database) -> int:
    """Return the number that each change of keys, teams and budgets raises.

    Raises:
        Unreachable: the database does not answer.
    """
    async with database.begin() as connection:
        return int((await connection.execute(select(settings.c.version))).scalar_one())
