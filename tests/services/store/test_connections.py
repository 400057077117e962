"""Connections that fail or are cut off end before the loop that they belong to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from aiplat.services.store.database import Database
from aiplat.services.store.faults import Unreachable

TIMES = 100


async def ask(database: Database) -> None:
    """Ask the database something."""
    async with database.begin() as connection:
        await connection.execute(text("select 1"))


async def refused(database: Database) -> None:
    """Ask a database that cannot be opened."""
    with pytest.raises(Unreachable):
        await ask(database)


async def cut_off(database: Database) -> None:
    """Ask, and be gone before there is a connection, as a client that hangs up is."""
    asking = asyncio.create_task(ask(database))
    for _ in range(3):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize(("end", "file"), [(refused, "folder"), (cut_off, "accounts.db")])
def test_a_connection_that_comes_to_nothing_is_ended_with_its_database(
    end: Callable[[Database], Awaitable[None]],
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its thread would answer a loop that is closed, and a command would print that trace when it ends."""
    (tmp_path / "folder").mkdir()
    said: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", said.append)

    async def one() -> None:
        database = Database.open(f"sqlite:///{tmp_path / file}")
        await end(database)
        await database.close()

    threads = threading.active_count()
    for _ in range(TIMES):
        asyncio.run(one())
    for thread in threading.enumerate()[threads:]:
        thread.join()
    assert said == []
