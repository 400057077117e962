"""Two changes at the same moment, each of which would be right alone: the site keeps an admin."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg

from aiplat.shipped import shipped_root
from tests.patience import PATIENCE, until
from tests.services.postgresql import PostgresServer
from tests.services.signin.canaille import configured, environment, serving, told_by

CLIENT = {
    "id": "portal",
    "secret": "a secret",
    "name": "portal",
    "uri": "https://portal.ward.test",
    "redirectUris": ["https://portal.ward.test/signed-in"],
    "authMethod": "client_secret_basic",
    "scopes": ["openid"],
    "managesPeople": True,
}
LOCK = 0x51671  # what changes of people wait for, as `aiplat/services/signin/alone.py` has it
AUTH = ("portal", "a secret")


def command(folder: Path, *words: str) -> str:
    """Run what `aiplat users` runs in the pod; return its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "aiplat.services.signin", *words],
        env=environment() | {"AIPLAT_SIGNIN_FOLDER": str(folder)},
        cwd=shipped_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 2}, done.stderr
    return done.stdout


def waiting(connection: psycopg.Connection[tuple[int]]) -> int:
    """Return how many wait for a lock that somebody else holds."""
    asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    row = connection.execute(asked).fetchone()
    return row[0] if row else 0


def test_a_command_and_a_page_at_once_leave_an_admin(postgresql: PostgresServer, tmp_path: Path) -> None:
    """Both wait for their turn in the database; whoever is second is refused."""
    folder = configured(tmp_path, [CLIENT])
    database = postgresql.new_database()
    (folder / "database/url").write_text(database)
    with serving(folder) as url, psycopg.connect(database, autocommit=True) as other:
        for name in ("ada", "ben"):
            made = httpx.post(f"{url}/people", json={"name": name, "groups": ["admin"]}, auth=AUTH)
            assert made.status_code == 201
        with ThreadPoolExecutor(2) as pool, psycopg.connect(database) as holding:
            holding.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            by_command = pool.submit(command, folder, "remove", "--", "ada")
            by_page = pool.submit(httpx.delete, f"{url}/people/ben", auth=AUTH, timeout=PATIENCE)
            until(lambda: waiting(other) == 2)
            holding.rollback()
            told = [by_command.result(), by_page.result().text]
        left = httpx.get(f"{url}/people", auth=AUTH).json()["people"]
    assert ["last admin" in one for one in sorted(told, key=lambda one: "last admin" in one)] == [False, True]
    assert len(left) == 1


def test_two_at_once_in_sqlite_leave_an_admin(tmp_path: Path) -> None:
    """There nothing is locked beforehand: what is left is counted when the change is written."""
    folder = configured(tmp_path, [CLIENT])
    # A write waits for the one before, five seconds at most by default: a busy disk may take longer.
    with (folder / "database/url").open("a") as url:
        url.write(f"?timeout={PATIENCE}")
    assert len(told_by("tests.services.signin.at_once", folder)) == 1
