"""A database with the tables in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aiplat.services.store.database import Database
from aiplat.services.store.migrate import upgrade


@pytest.fixture
async def database(database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    """A new database, migrated; once SQLite and once PostgreSQL."""
    opened = Database.open(database_url)
    await upgrade(opened)
    yield opened
    await opened.close()
