"""Brings a database's tables up to date by Alembic's migrations; safe when several processes try at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from aiplat.services.store.database import Database
from aiplat.services.store.faults import bad

_FOLDER = Path(__file__).parent / "migrations"
# Any number will do as long as nobody else in this database uses it for a lock.
_LOCK = 0x61_69_70_6C_61_74
_SECONDS = 300.0


def _configuration(connection: Connection | None = None) -> Config:
    # The folder may hold a percent sign, which the configuration's format would expand.
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def upgrade(database: Database) -> None:
    """Apply the migrations that are missing; does nothing where none is.

    PostgreSQL's advisory lock, or SQLite's write lock on the file, lets one process at a time do it.

    Raises:
        BadInput: the tables were made by a newer version of the program.
        Unreachable: the database does not answer.
    """
    async with database.begin(writes=True, seconds=_SECONDS) as connection:
        if database.is_postgresql:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_upgrade, database.where)


def _upgrade(connection: Connection, where: str) -> None:
    config = _configuration(connection)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        problem = f"its tables are of version {current}, which this program does not know"
        raise bad(where, problem, "use the version of aiplat that made them, or a newer one")
    command.upgrade(config, "head")
