"""One at a time, over all replicas and commands: what must not be done twice at once in the database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from canaille.backends import Backend
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

_LOCK = 0x51671
"""PostgreSQL's advisory lock that is held meanwhile."""
_PATIENCE = 300.0
_PAUSE = 2.0
_IS_ALONE: ContextVar[bool] = ContextVar("is alone", default=False)


@contextmanager
def alone(patience: float = _PATIENCE) -> Iterator[None]:
    """Hold off all others; wait for the database first, which may start at the same time. Nested, it holds.

    SQLite, which one process alone has, is not locked: there a write waits for the one before.

    Raises:
        OperationalError: the database did not answer within `patience` seconds.
    """
    if _IS_ALONE.get():
        yield
        return
    engine: Engine = Backend.instance.engine
    with _answering(engine, patience) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        token = _IS_ALONE.set(True)
        try:
            yield
        finally:
            _IS_ALONE.reset(token)


def _answering(engine: Engine, patience: float) -> Connection:
    until = time.monotonic() + patience
    while True:
        try:
            return engine.connect()
        except OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
