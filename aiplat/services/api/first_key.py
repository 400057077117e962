"""The first admin key: made where there is none, into a file that its owner alone can read."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from aiplat.services.store.database import Database
from aiplat.services.store.keys import NewKey, create_key, list_keys, revoke_key

ACTOR = "bootstrap"
_FILE = "api-admin-key"


async def ensure_admin(database: Database, folder: Path, *, another: bool = False) -> Path | None:
    """Make an admin key where no admin is left, or where one is wanted, and return the file that holds it.

    None where nothing was made. The file is 0600 and replaces an older one; keys that were there stay good.
    """
    now = datetime.now(UTC)
    if not another and any(key.role == "admin" and key.active(now) for key in await list_keys(database)):
        return None
    name = "another admin" if another else "first admin"
    issued = await create_key(database, NewKey(name=name, role="admin"), ACTOR)
    path = folder / _FILE
    try:
        _write(path, issued.secret)
    except OSError:
        # Nobody will ever know its secret.
        await revoke_key(database, issued.record.id, ACTOR)
        raise
    return path


def _write(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secret}\n")
