"""What becomes known of somebody between two visits: another role, locked out, gone; and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.store.changes import changed
from aiplat.services.store.database import Database
from aiplat.services.store.keys import Role
from aiplat.services.store.people import is_older
from aiplat.services.store.tables import keys, people


async def told(  # noqa: PLR0913 - what the sign-in tells of somebody, and when it holds
    database: Database, named: str, role: Role | None, at: int, actor: str, *, if_newest: bool = False
) -> None:
    """Note the role that the sign-in gives somebody since `at` (Unix seconds); None: locked out for now.

    Who never signed in is noted when that happens. With `if_newest`, what was told later stays.

    Raises:
        Unreachable: the database does not answer.
    """
    async with database.begin(writes=True) as connection:
        await _note(connection, named, role, at, actor, if_newest=if_newest)


async def gone(database: Database, named: str, at: int, actor: str) -> int:
    """Note that the sign-in knows somebody no more: sessions end, keys are revoked. Return how many keys.

    Raises:
        Unreachable: the database does not answer.
    """
    async with database.begin(writes=True) as connection:
        await _note(connection, named, None, at, actor)
        living = keys.c.owner == named, keys.c.revoked_at.is_(None)
        left = list((await connection.execute(select(keys.c.id).where(*living))).scalars())
        await connection.execute(update(keys).where(*living).values(revoked_at=datetime.now(UTC)))
        for key in left:
            await changed(connection, actor, "key.revoked", key, {"owner": named})
    return len(left)


async def follow(
    database: Database, issuer: str, roles: Mapping[str, Role | None], at: int, actor: str
) -> None:
    """Bring everybody of an issuer to what it said at `at`: `roles` by subject; who is not in it is gone.

    What was told later stays, also by who was quicker while this one was on its way.

    Raises:
        Unreachable: the database does not answer.
    """
    known = select(people.c.id, people.c.subject, people.c.role)
    known = known.where(people.c.issuer == issuer, people.c.told_at <= at)
    async with database.begin() as connection:
        rows = list(await connection.execute(known))
        living = select(keys.c.owner).where(keys.c.revoked_at.is_(None))
        owners = set((await connection.execute(living)).scalars())
    for person in rows:
        if person.subject in roles:
            if person.role != (roles[person.subject] or ""):
                await told(database, person.id, roles[person.subject], at, actor, if_newest=True)
        elif person.role or person.id in owners:
            await gone(database, person.id, at, actor)


async def _note(  # noqa: PLR0913 - as `told`
    connection: AsyncConnection,
    named: str,
    role: Role | None,
    at: int,
    actor: str,
    *,
    if_newest: bool = False,
) -> None:
    query = select(people.c.role, people.c.told_at).where(people.c.id == named).with_for_update()
    before = (await connection.execute(query)).one_or_none()
    if before is None or (if_newest and is_older(before.role or None, before.told_at, role, at)):
        return
    # Never earlier, also of the same role: a token of the time before must not bring another one back.
    values = {"role": role or "", "told_at": max(at, before.told_at)}
    await connection.execute(update(people).where(people.c.id == named).values(values))
    if before.role != (role or ""):
        await changed(connection, actor, "person.role", named, {"role": role})
