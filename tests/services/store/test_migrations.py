"""Tables are made by migrations, once, by whoever comes first."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from aiplat.errors import BadInput
from aiplat.services.store.changes import settings_version
from aiplat.services.store.database import Database
from aiplat.services.store.faults import Unreachable
from aiplat.services.store.migrate import upgrade
from aiplat.services.store.tables import metadata
from aiplat.services.store.upgraded import ensure_upgraded, newest
from tests.ports import free_port

pytestmark = pytest.mark.anyio

_UPGRADE = (
    "import asyncio, sys\n"
    "from aiplat.services.store.database import Database\n"
    "from aiplat.services.store.migrate import upgrade\n"
    "asyncio.run(upgrade(Database.open(sys.argv[1])))"
)


async def test_the_migrations_make_just_the_tables_that_the_code_knows(database: Database) -> None:
    """Alembic's own comparison finds no difference."""

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []


async def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    """Each of four returns with the tables there, and none made them twice."""
    command = (sys.executable, "-c", _UPGRADE, database_url)
    started = [await asyncio.create_subprocess_exec(*command) for _ in range(4)]
    assert [await process.wait() for process in started] == [0, 0, 0, 0]
    database = Database.open(database_url)
    assert await settings_version(database) == 1
    await database.close()


async def test_a_service_has_another_process_migrate(database_url: str) -> None:
    """Made where they are missing, left where they are there, refused where they are newer."""
    database = Database.open(database_url)
    await ensure_upgraded(database, database_url)
    await ensure_upgraded(database, database_url)
    assert await settings_version(database) == 1
    async with database.begin(writes=True) as connection:
        revision = await connection.execute(text("SELECT version_num FROM alembic_version"))
        assert revision.scalar_one() == newest()
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BadInput, match="which this program does not know"):
        await ensure_upgraded(database, database_url)
    await database.close()
    nowhere = f"postgresql://me:hush@127.0.0.1:{free_port()}/x"
    with pytest.raises(Unreachable) as failed:
        await ensure_upgraded(Database.open(nowhere), nowhere)
    assert "hush" not in str(failed.value)


async def test_tables_of_a_newer_version_are_left_alone(database: Database) -> None:
    """A program that does not know them says so instead of guessing."""
    async with database.begin(writes=True) as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BadInput, match="version 9999, which this program does not know"):
        await upgrade(database)


async def test_a_database_that_is_not_there_is_a_sentence() -> None:
    """Quickly, naming the address and not the password."""
    database = Database.open(f"postgresql://me:hush@127.0.0.1:{free_port()}/x")
    with pytest.raises(Unreachable, match="cannot be used now") as failed:
        await settings_version(database)
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "no url: hush"])
async def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(BadInput, match=r"database\.url: ") as refused:
        Database.open(url)
    assert "hush" not in str(refused.value)
