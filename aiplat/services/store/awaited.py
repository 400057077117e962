"""People who are in a team before they sign in for the first time: kept by the id or the name of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.store.changes import changed
from aiplat.services.store.database import Database
from aiplat.services.store.faults import bad
from aiplat.services.store.named import row_if_there, see_team
from aiplat.services.store.tables import awaited_people


@dataclass(frozen=True)
class Awaited:
    """Somebody who is to be in a team; `by` is who said so, as the audit trail names them."""

    id: str
    issuer: str
    name: str
    team: str
    by: str


def awaited_id(issuer: str, name: str) -> str:
    """Return what somebody is called of whom only the name is known that the issuer will tell."""
    return f"awaited-{sha256(f'{issuer} {name}'.encode()).hexdigest()[:24]}"


async def await_in_team(database: Database, person: Awaited) -> None:
    """Have somebody come into a team at the first sign-in, instead of another; an empty one: into none.

    Raises:
        BadInput: the team is not there, or they signed in meanwhile.
        Unreachable: the database does not answer.
    """
    detail = {"team": person.team, "name": person.name, "awaited": True}
    async with database.begin(writes=True) as connection:
        # First: the row that it changes is what a first sign-in of the same moment waits for.
        await changed(connection, person.by, "person.team", person.id, detail)
        if await row_if_there(connection, "person", person.id):
            raise bad(f"person {person.id}", "has just signed in", "try it again")
        await connection.execute(delete(awaited_people).where(awaited_people.c.id == person.id))
        await see_team(connection, person.team)
        if person.team:
            await connection.execute(insert(awaited_people).values(vars(person)))


async def list_awaited(database: Database) -> list[Awaited]:
    """Return everybody who is awaited, by name.

    Raises:
        Unreachable: the database does not answer.
    """
    query = select(awaited_people).order_by(awaited_people.c.name, awaited_people.c.id)
    async with database.begin() as connection:
        return [Awaited(**row) for row in (await connection.execute(query)).mappings()]


async def arrived(connection: AsyncConnection, named: str, issuer: str, user: str) -> Awaited | None:
    """Return what was kept for somebody who is here now, and keep it no longer; by id counts before by name.

    Without a name told there is none to be kept by: who may choose what they are shown as chooses no team.
    """
    mine = awaited_people.c.id.in_([named, *([awaited_id(issuer, user)] if user else [])])
    rows = (await connection.execute(select(awaited_people).where(mine))).mappings()
    found = sorted((Awaited(**row) for row in rows), key=lambda one: one.id != named)
    await connection.execute(delete(awaited_people).where(mine))
    return found[0] if found else None


async def await_no_more(database: Database, named: str) -> None:
    """Forget whoever is not to come any more.

    Raises:
        Unreachable: the database does not answer.
    """
    async with database.begin(writes=True) as connection:
        await connection.execute(delete(awaited_people).where(awaited_people.c.id == named))
