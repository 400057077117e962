"""People who sign in by name: who they are, their role as the issuer last told, and the team they are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, cast

from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.store.awaited import arrived
from aiplat.services.store.changes import changed
from aiplat.services.store.database import Database
from aiplat.services.store.faults import bad
from aiplat.services.store.keys import ROLES, Role
from aiplat.services.store.named import row_if_there, row_of, see_team
from aiplat.services.store.tables import keys, people

_SEEN_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True)
class KnownPerson:
    """Somebody who signed in; `role` None: no longer in a group that may. The id may be shown to anyone."""

    id: str
    issuer: str
    subject: str
    name: str
    role: Role | None
    team: str
    told_at: int
    first_seen: datetime
    last_seen: datetime


_FIELDS = tuple(f.name for f in fields(KnownPerson))


def person_id(issuer: str, subject: str) -> str:
    """Return what somebody is called here: the same at every sign-in, in every process."""
    return f"person-{sha256(f'{issuer} {subject}'.encode()).hexdigest()[:24]}"


def playground_key(named: str) -> str:
    """Return the id of the key that the portal's playground asks with for a person."""
    return f"playground-{named.removeprefix('person-')}"


def _person_of(row: Row[Any]) -> KnownPerson:
    values = {name: row._mapping[name] for name in _FIELDS}
    role = cast("Role | None", values["role"] or None)
    return KnownPerson(**{**values, "role": role, "team": values["team"] or ""})


async def seen(  # noqa: PLR0913 - what the issuer tells of somebody
    database: Database,
    *,
    issuer: str,
    subject: str,
    name: str,
    role: Role | None,
    told_at: int,
    user: str = "",
) -> KnownPerson:
    """Return who signed in, noted with what the issuer tells; what it told later stays.

    So an older token gives nobody back a role that a newer one took away. Who comes for the first time comes
    into the team that waits for them, by the id, or by the name `user` that teams name people by.

    Raises:
        Unreachable: the database does not answer.
    """
    named, now = person_id(issuer, subject), datetime.now(UTC)
    told = {"name": name, "role": role or "", "told_at": told_at}
    found = await _found(database, named)
    if found is None:
        values = {"id": named, "issuer": issuer, "subject": subject, "first_seen": now, "last_seen": now}
        try:
            async with database.begin(writes=True) as connection:
                await connection.execute(insert(people).values({**values, **told}))
                await changed(connection, named, "person.seen", named, {"name": name, "role": role})
                if kept := await arrived(connection, named, issuer, user):
                    mine = update(people).where(people.c.id == named)
                    await connection.execute(mine.values(team=kept.team))
                    await changed(connection, kept.by, "person.team", named, {"team": kept.team})
        except IntegrityError:
            pass  # Another replica was first.
        return await get_person(database, named)
    if is_older(found.role, found.told_at, role, told_at) or (
        not _differs(found, told) and now - found.last_seen < _SEEN_AGAIN
    ):
        return found
    return await _note(database, found, told, now)


async def _note(
    database: Database, found: KnownPerson, told: Mapping[str, Any], now: datetime
) -> KnownPerson:
    async with database.begin(writes=True) as connection:
        # Of the same second as well, unless the role was changed meanwhile.
        same = and_(people.c.told_at == told["told_at"], people.c.role == (found.role or ""))
        newest = people.c.id == found.id, or_(people.c.told_at < told["told_at"], same)
        await connection.execute(update(people).where(*newest).values({**told, "last_seen": now}))
        if (found.role or "") != told["role"]:
            await changed(connection, found.id, "person.role", found.id, {"role": told["role"] or None})
        return await _person(connection, found.id)


def is_older(known: Role | None, since: int, role: Role | None, told_at: int) -> bool:
    """Whether what is told is older than what is known; of one second the lesser role is the newer."""
    return told_at < since or (told_at == since and _is_more(role, known))


def _is_more(role: Role | None, than: Role | None) -> bool:
    return role is not None and (than is None or ROLES.index(role) < ROLES.index(than))


async def would_rise(database: Database, named: str, role: Role | None, told_at: int) -> bool:
    """Whether `seen` would give somebody more than is known of them; who was never seen has nothing.

    Raises:
        Unreachable: the database does not answer.
    """
    found = await _found(database, named)
    if found is None:
        return role is not None
    return _is_more(role, found.role) and not is_older(found.role, found.told_at, role, told_at)


def _differs(found: KnownPerson, told: Mapping[str, Any]) -> bool:
    return (found.name, found.role or "") != (told["name"], told["role"])


async def _found(database: Database, named: str) -> KnownPerson | None:
    async with database.begin() as connection:
        row = await row_if_there(connection, "person", named)
    return _person_of(row) if row is not None else None


async def get_person(database: Database, named: str) -> KnownPerson:
    """Return a person by id.

    Raises:
        NotThere: nobody of this id ever signed in.
    """
    async with database.begin() as connection:
        return await _person(connection, named)


async def _person(connection: AsyncConnection, named: str) -> KnownPerson:
    return _person_of(await row_of(connection, "person", named))


async def list_people(database: Database) -> list[KnownPerson]:
    """Return everybody who ever signed in, by name."""
    async with database.begin() as connection:
        found = await connection.execute(select(people).order_by(func.lower(people.c.name), people.c.id))
        return [_person_of(row) for row in found]


async def put_into_team(database: Database, named: str, team: str, actor: str) -> KnownPerson:
    """Put a person into a team, empty: into none; the person's keys go along.

    Raises:
        NotThere: nobody of this id ever signed in.
        BadInput: the team is not there, or keys without a team would be left, which no budget binds.
    """
    async with database.begin(writes=True) as connection:
        person = await _person(connection, named)
        await see_team(connection, team)
        living = keys.c.owner == named, keys.c.revoked_at.is_(None)
        shown = *living, keys.c.id != playground_key(named)
        count = (await connection.execute(select(func.count()).select_from(keys).where(*shown))).scalar_one()
        if count and not team:
            raise bad(f"person {named}", f"has {count} keys that are not revoked", "revoke them first")
        await connection.execute(update(keys).where(*living).values(team=team or None))
        await connection.execute(update(people).where(people.c.id == named).values(team=team or None))
        await changed(connection, actor, "person.team", named, {"team": team})
    return replace(person, team=team)
