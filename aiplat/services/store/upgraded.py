"""Has a database's tables brought up to date by another process, which is only started where it is needed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from sqlalchemy import inspect, text

from aiplat.errors import EXIT_BAD_INPUT, BadInput, Finding
from aiplat.services.store.database import Database
from aiplat.services.store.faults import Unreachable

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest() -> str:
    """Return the number of the newest migration, which is in its file's name."""
    return max(path.name[1:5] for path in _VERSIONS.glob("m[0-9]*.py"))


async def ensure_upgraded(database: Database, url: str, password_file: Path | None = None) -> None:
    """Return when the tables are of the newest version.

    Raises:
        BadInput: they were made by a newer version of the program.
        Unreachable: the database does not answer.
    """
    if await _version(database) == newest():
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aiplat.services.store"),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    named = {"url": url, "password_file": str(password_file) if password_file else None}
    _, said = await process.communicate(json.dumps(named).encode())
    if process.returncode:
        kind = BadInput if process.returncode == EXIT_BAD_INPUT else Unreachable
        last = said.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise kind(Finding("database", f"its tables cannot be brought up to date: {last[-1]}"))


async def _version(database: Database) -> str | None:
    async with database.begin() as connection:
        if not await connection.run_sync(lambda c: inspect(c).has_table("alembic_version")):
            return None
        found = await connection.execute(text("SELECT version_num FROM alembic_version"))
        return found.scalar_one_or_none()
