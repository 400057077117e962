"""`python3 -m aiplat.services.people`: bring keys and sessions to what the site's own sign-in says, once.

For `aiplat users`, in the portal's pod, so that a change holds by the time that the command ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from aiplat.errors import AiplatError
from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.settings import Client, read_sign_in
from aiplat.services.people.desk import desk_of
from aiplat.services.store.database import Database


async def _catch_up(sign_in: Path, client: Path) -> None:
    password = os.environ.get("AIPLAT_DATABASE_PASSWORD_FILE")
    database = Database.open(
        os.environ["AIPLAT_DATABASE_URL"], password_file=Path(password) if password else None
    )
    try:
        known = read_sign_in(sign_in)
        entry = Entry.of(known, Client.of_folder(client)) if known else None
        await desk_of(entry, database).catch_up()
    finally:
        await database.close()


def main() -> int:
    """Catch up; returns 0, or the code of what is wrong."""
    parser = argparse.ArgumentParser(prog="aiplat.services.people", description=__doc__)
    parser.add_argument("--sign-in", type=Path, required=True, metavar="FILE")
    parser.add_argument("--sign-in-client", type=Path, required=True, metavar="FOLDER")
    asked = parser.parse_args()
    try:
        asyncio.run(_catch_up(asked.sign_in, asked.sign_in_client))
    except AiplatError as error:
        sys.stdout.writelines(f"{finding}\n" for finding in error.findings)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
