"""`python -m aiplat.services.store`: brings a database's tables up to date; the database is named on stdin.

A process of its own, because what migrations need in memory is of no use afterwards to a service that stays.
Reads one JSON object, `{"url": …, "password_file": …}`: a URL may hold a password, which no command line may.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aiplat.errors import AiplatError
from aiplat.services.store.database import Database
from aiplat.services.store.migrate import upgrade


async def _upgrade(url: str, password_file: str | None) -> None:
    database = Database.open(url, password_file=Path(password_file) if password_file else None)
    try:
        await upgrade(database)
    finally:
        await database.close()


def main() -> int:
    """Upgrade; returns 0, 1 where the database does not answer, 2 where it cannot be worked with."""
    named = json.load(sys.stdin)
    try:
        asyncio.run(_upgrade(named["url"], named.get("password_file")))
    except AiplatError as error:
        sys.stderr.writelines(f"{finding}\n" for finding in error.findings)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
