"""Sessions that somebody ended: until they would have ended by themselves, copies of them open nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from aiplat.services.store.database import Database
from aiplat.services.store.tables import ended_sessions


async def end_session(database: Database, session: str, until: datetime) -> None:
    """Note that a session ended; what is noted of sessions that are over by themselves is forgotten.

    Raises:
        Unreachable: the database does not answer; the session is still good.
    """
    insert = postgresql.insert if database.is_postgresql else sqlite.insert
    noted = insert(ended_sessions).values(id=session, until=until)
    async with database.begin(writes=True) as connection:
        await connection.execute(delete(ended_sessions).where(ended_sessions.c.until < datetime.now(UTC)))
        await connection.execute(noted.on_conflict_do_nothing(index_elements=["id"]))


async def has_ended(database: Database, session: str) -> bool:
    """Whether somebody ended a session.

    Raises:
        Unreachable: the database does not answer.
    """
    async with database.begin() as connection:
        found = await connection.execute(select(ended_sessions.c.id).where(ended_sessions.c.id == session))
        return found.one_or_none() is not None
