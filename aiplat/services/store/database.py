"""One database, PostgreSQL or SQLite: opened, its transactions, its failures; no tables here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from aiplat.errors import Finding
from aiplat.services.bounds import END_SECONDS
from aiplat.services.store.faults import Unreachable, bad
from aiplat.services.store.sqlite import WRITES, sqlite_engine

_DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite+aiosqlite"}
_CONNECT_SECONDS = 3
_CALL_SECONDS = 15.0


class Database:
    """A pool of connections; nothing is connected before the first use."""

    def __init__(
        self, engine: AsyncEngine, ending: AbstractSet[asyncio.Future[object]] = frozenset()
    ) -> None:
        self.engine, self._ending = engine, ending

    @classmethod
    def open(cls, url: str, *, password_file: Path | None = None, pool_size: int = 5) -> Database:
        """Return the database at `url`; a password may stand in a file, read at every new connection.

        Raises:
            BadInput: the URL is none, or of a database that is not supported.
        """
        where = _parsed(url)
        if where.get_backend_name() == "sqlite":
            return cls(*sqlite_engine(where))
        return cls(_postgresql(where, password_file, pool_size))

    @property
    def is_postgresql(self) -> bool:
        """Whether PostgreSQL holds the tables; SQLite otherwise."""
        return self.engine.dialect.name == "postgresql"

    @property
    def where(self) -> str:
        """The database's address, fit for messages: without a password."""
        return self.engine.url.render_as_string(hide_password=True)

    @asynccontextmanager
    async def begin(
        self, *, writes: bool = False, seconds: float = _CALL_SECONDS
    ) -> AsyncIterator[AsyncConnection]:
        """Open a transaction, committed at the end of the block unless it raises.

        Raises:
            Unreachable: the database does not answer, or not within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds), self.engine.connect() as connection:
                await connection.execution_options(**{WRITES: writes})
                async with connection.begin():
                    yield connection
        except (DataError, IntegrityError):
            raise
        except (DBAPIError, PoolTimeout, OSError, TimeoutError) as error:
            # Also a read-only or full server, and tables that are not there yet: all may be mended.
            raise self._unreachable(error) from error

    async def close(self) -> None:
        """Close every connection; one that does not close in time is left to the end of the process."""
        closing = asyncio.ensure_future(self.engine.dispose())
        done, _ = await asyncio.wait({closing}, timeout=END_SECONDS)
        # Connections that were cut off are ended by their threads, which need this loop until then.
        if ending := set(self._ending):
            await asyncio.wait(ending, timeout=END_SECONDS)
        for closed in done:
            closed.result()

    def _unreachable(self, error: Exception) -> Unreachable:
        cause = getattr(error, "orig", None) or error
        said = (str(cause).strip().splitlines() or [type(cause).__name__])[0] or "no answer in time"
        return Unreachable(Finding(self.where, f"the database cannot be used now: {said}"))


def _parsed(url: str) -> URL:
    try:
        where = make_url(url)
    except ArgumentError:
        # Not shown: it may hold a password.
        raise bad("database.url", "is not a database URL", "use postgresql://… or sqlite:///…") from None
    driver = _DRIVERS.get(where.get_backend_name())
    if driver is None:
        known = " and ".join(_DRIVERS)
        raise bad("database.url", f"{where.get_backend_name()} is not supported", f"{known} are")
    return where.set(drivername=driver)


def _postgresql(where: URL, password_file: Path | None, pool_size: int) -> AsyncEngine:
    # What a frozen server or a cut cable leaves behind must end by itself.
    arguments: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "tcp_user_timeout": 5000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "application_name": "aiplat",
        "options": "-c statement_timeout=12000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC",
    }
    engine = create_async_engine(
        where,
        connect_args=arguments,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_CONNECT_SECONDS,
    )
    if password_file is not None:
        path = password_file

        @event.listens_for(engine.sync_engine, "do_connect")
        def _with_password(_d: Any, _r: Any, _a: Any, parameters: dict[str, Any]) -> None:
            parameters["password"] = path.read_text().strip()

    return engine
