"""SQLite as the database: its file's mode, its transactions, and the ends of its connections' threads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

WRITES = "aiplat_writes"
"""The option of a connection that says whether its transaction writes."""
_ROWS_AT_ONCE = 64


class _Connection(aiosqlite.Connection):
    """A connection that tells who waits for it when its thread has ended."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], ending: set[asyncio.Future[object]]
    ) -> None:
        super().__init__(connect, _ROWS_AT_ONCE)
        self._ending = ending
        # A file that hangs keeps no process from ending; there is no public name for it.
        self._thread.daemon = True

    def stop(self) -> asyncio.Future[object] | None:
        """Ask the thread to end; see aiosqlite."""
        stopped = super().stop()
        if stopped is not None:
            self._ending.add(stopped)
            stopped.add_done_callback(self._ending.discard)
        return stopped


def _private(where: URL) -> None:
    # SQLite makes files for everybody to read, and gives those beside one the mode of that one.
    if not where.database or where.database == ":memory:" or where.database.startswith("file:"):
        return
    path = Path(where.database)
    try:
        path.touch(mode=0o600)
        for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            if each.exists():
                each.chmod(0o600)
    except OSError:
        # What is in the way is said by the first use, with a sentence of its own.
        return


def sqlite_engine(where: URL) -> tuple[AsyncEngine, set[asyncio.Future[object]]]:
    """Return the engine of a database file, and what resolves as threads of its connections end.

    Whoever closes the loop waits for those first: the driver does not where a connection fails or is cut off.
    """
    _private(where)
    ending: set[asyncio.Future[object]] = set()
    engine = create_async_engine(where, hide_parameters=True, connect_args={"timeout": 5})

    async def connected(*arguments: Any, **parameters: Any) -> aiosqlite.Connection:
        return await _Connection(partial(sqlite3.connect, *arguments, **parameters), ending)

    @event.listens_for(engine.sync_engine, "do_connect")
    def _connect(dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
        return dialect.connect(*arguments, **parameters, async_creator_fn=connected)

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # The driver's own transactions begin too late to keep two writers apart; ours begin below.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine, ending
