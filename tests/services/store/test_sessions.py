"""Sessions that somebody ended, at both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from aiplat.services.store.database import Database
from aiplat.services.store.sessions import end_session, has_ended
from aiplat.services.store.tables import ended_sessions

pytestmark = pytest.mark.anyio


async def test_an_ended_session_is_known_and_no_other(database: Database) -> None:
    """Ending it again changes nothing."""
    later = datetime.now(UTC) + timedelta(hours=1)
    for _ in range(2):
        await end_session(database, "one", later)
    assert await has_ended(database, "one")
    assert not await has_ended(database, "another")


async def test_what_would_be_over_by_itself_is_forgotten(database: Database) -> None:
    """The table holds a working day's at most."""
    await end_session(database, "old", datetime.now(UTC) - timedelta(seconds=1))
    await end_session(database, "new", datetime.now(UTC) + timedelta(hours=1))
    async with database.begin() as connection:
        assert (await connection.execute(select(func.count()).select_from(ended_sessions))).scalar_one() == 1
