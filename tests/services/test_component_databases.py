"""The script that makes components' databases, run against a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from aiplat.shipped import shipped
from tests.services.postgresql import PostgresServer

SCRIPT = shipped("charts/data/postgresql/chart/files/databases")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this module's own: roles are the whole server's."""
    running = PostgresServer()
    running.start()
    yield running
    running.remove()


def make(server: PostgresServer, folder: Path, *, roles: str = "", **passwords: str) -> str:
    """Run the script for databases with these passwords, whose owners are in `roles`; return what it said."""
    (folder / "passwords").mkdir(exist_ok=True)
    (folder / "superuser").write_text("not asked for by this server")
    for name, password in passwords.items():
        (folder / "passwords" / name).write_text(password)
    given = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "SUPERUSER_PASSWORD": str(folder / "superuser"),
        "PASSWORDS": str(folder / "passwords"),
    }
    wanted = [f"{name}::{roles}" for name in passwords]
    done = subprocess.run(
        ["sh", SCRIPT, *wanted], env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def ask(
    server: PostgresServer, statement: str, database: str = "postgres", user: str = "postgres"
) -> list[object]:
    """Return the first column of what a statement returns."""
    dsn = f"host=127.0.0.1 port={server.port} user={user} dbname={database}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload,unused-ignore]
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def test_a_component_owns_its_database_and_enters_no_other(server: PostgresServer, tmp_path: Path) -> None:
    """Its role may do everything there, is not a superuser, and cannot connect anywhere else."""
    make(server, tmp_path, thing="one", other="two")
    ask(server, "CREATE TABLE mine (v int)", "thing", "thing")
    assert ask(
        server, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'thing'"
    ) == [False]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        ask(server, "SELECT 1", "other", "thing")


def test_a_second_time_changes_nothing_but_a_new_password(server: PostgresServer, tmp_path: Path) -> None:
    """Tables stay, the password is the Secret's, and nothing that the script says has it."""
    make(server, tmp_path, again="it's one")
    ask(server, "CREATE TABLE kept (v int); INSERT INTO kept VALUES (7)", "again", "again")
    hashed = "SELECT rolpassword FROM pg_authid WHERE rolname = 'again'"
    first = ask(server, hashed)
    said = make(server, tmp_path, again="another; one")
    assert ask(server, "SELECT v FROM kept", "again", "again") == [7]
    assert ask(server, hashed) != first
    assert "another" not in said
    assert "another; one" not in (server.folder / "log").read_text()


def test_what_the_superuser_made_before_becomes_the_roles(server: PostgresServer, tmp_path: Path) -> None:
    """A database from before components had roles is taken over with its tables and their rows."""
    ask(server, "CREATE DATABASE old")
    ask(
        server,
        "CREATE TABLE usage (id bigserial PRIMARY KEY, n int); INSERT INTO usage (n) VALUES (3)",
        "old",
    )
    make(server, tmp_path, old="password")
    assert ask(server, "INSERT INTO usage (n) VALUES (4) RETURNING id", "old", "old") == [2]
    assert ask(
        server, "ALTER TABLE usage ADD COLUMN more int; SELECT n FROM usage ORDER BY n LIMIT 1", "old", "old"
    ) in ([3], [])
    assert ask(server, "SELECT tableowner FROM pg_tables WHERE tablename = 'usage'", "old") == ["old"]


def test_a_component_that_left_loses_its_login_and_keeps_its_data(
    server: PostgresServer, tmp_path: Path
) -> None:
    """Back again, it finds what it had."""
    make(server, tmp_path / "", leaves="one", stays="two")
    ask(server, "CREATE TABLE kept (v int); INSERT INTO kept VALUES (1)", "leaves", "leaves")
    make(server, tmp_path, stays="two")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        ask(server, "SELECT 1", "leaves", "leaves")
    make(server, tmp_path, leaves="three", stays="two")
    assert ask(server, "SELECT v FROM kept", "leaves", "leaves") == [1]


def test_a_role_of_somebody_elses_keeps_its_login(server: PostgresServer, tmp_path: Path) -> None:
    """Only roles that the script made are the script's to lock."""
    ask(server, "CREATE ROLE admins LOGIN")
    make(server, tmp_path, stays="two")
    assert ask(server, "SELECT 1", "postgres", "admins") == [1]


def test_a_role_reads_what_the_server_says_of_itself_while_its_component_needs_it(
    server: PostgresServer, tmp_path: Path
) -> None:
    """Sizes of all databases, and no row of any; no longer when that is not asked for."""
    size = "SELECT pg_database_size('reader_other') > 0"
    make(server, tmp_path, reader_other="one")
    for _ in range(2):
        make(server, tmp_path, roles="pg_monitor", reader="two", reader_other="one")
    assert ask(server, size, "reader", "reader") == [True]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        ask(server, "SELECT 1", "reader_other", "reader")
    make(server, tmp_path, reader="two", reader_other="one")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(server, size, "reader", "reader")
