"""Keys: issued, rotated, revoked, changed, found; a secret is returned once and only its hash is kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.errors import Finding
from aiplat.services.store.changes import changed
from aiplat.services.store.database import Database
from aiplat.services.store.faults import AlreadyThere, bad
from aiplat.services.store.limits import limit_findings, printable, refuse, slug_findings
from aiplat.services.store.named import row_if_there, row_of, see_team
from aiplat.services.store.secret import hash_key, new_secret
from aiplat.services.store.tables import keys, people

Role = Literal["admin", "operator", "member"]
OnOutage = Literal["serve", "refuse"]
ROLES: tuple[Role, ...] = ("admin", "operator", "member")
ON_OUTAGE = ("serve", "refuse")


def reaches(role: Role, least: Role) -> bool:
    """Whether a role may do what asks for at least another one: an admin all, a member the least."""
    return ROLES.index(role) <= ROLES.index(least)


@dataclass(frozen=True)
class NewKey:
    """What a key may do. `models` empty means all its team may use; a name may end in `*`.

    `on_outage` says what the gateway does while the database cannot be asked. Rates are per gateway process.
    `owner` is who of aiplat.services.store.people it is of; empty: nobody's.
    """

    name: str
    team: str = ""
    role: Role = "member"
    models: tuple[str, ...] = ()
    on_outage: OnOutage = "serve"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    expires_at: datetime | None = None
    owner: str = ""


@dataclass(frozen=True, kw_only=True)
class KeyRecord(NewKey):
    """A key that is there; its id may be shown to anyone.

    `old_secret` says that it was found by a secret that was replaced and is good until its grace ends.
    """

    id: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None
    old_secret: bool = field(default=False, compare=False)

    def active(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class IssuedKey:
    """A key together with its secret, which is known here for the last time."""

    record: KeyRecord
    secret: str = field(repr=False)


_CHANGEABLE = frozenset(f.name for f in fields(NewKey))
_RECORD = tuple(f.name for f in fields(KeyRecord) if f.compare)


def _findings(key: NewKey) -> Iterator[Finding]:
    if not printable(key.name, 100):
        yield Finding("name", "must be 1 to 100 printable characters")
    if key.team:
        yield from slug_findings("team", key.team)
    for where, value, known in (("role", key.role, ROLES), ("on_outage", key.on_outage, ON_OUTAGE)):
        if value not in known:
            yield Finding(where, f'"{value}" is not known', f"use {', '.join(known)}")
    if key.expires_at is not None and key.expires_at.tzinfo is None:
        yield Finding("expires_at", "has no zone", "write it with Z or an offset")
    yield from limit_findings(asdict(key))


def key_of(row: Row[Any]) -> KeyRecord:
    """Return the key that a row of the table holds."""
    values = {name: row._mapping[name] for name in _RECORD}
    told = {"models": tuple(values["models"]), "team": values["team"] or "", "owner": values["owner"] or ""}
    return KeyRecord(**{**values, **told})


def absent(key: NewKey) -> dict[str, str | None]:
    """Return team and owner as the table has them: none is NULL, for an empty one is nobody who may enter."""
    return {"team": key.team or None, "owner": key.owner or None}


def _told(key: NewKey) -> dict[str, Any]:
    told = {name: getattr(key, name) for name in sorted(_CHANGEABLE)}
    return {**told, "expires_at": key.expires_at.isoformat() if key.expires_at else None}


async def _insert(database: Database, key: NewKey, named: str, hashed: str, actor: str) -> KeyRecord:
    refuse(_findings(key))
    values = {name: getattr(key, name) for name in _CHANGEABLE} | {"models": list(key.models)}
    values |= {"id": named, "created_at": datetime.now(UTC), "created_by": actor}
    async with database.begin(writes=True) as connection:
        await see_team(connection, key.team)
        await connection.execute(insert(keys).values({**values, **absent(key), "hash": hashed}))
        await changed(connection, actor, "key.created", named, _told(key))
    return KeyRecord(**{**values, "models": key.models})


async def create_key(database: Database, key: NewKey, actor: str) -> IssuedKey:
    """Make a key; the secret in the answer is shown once and kept nowhere.

    Raises:
        BadInput: a value cannot be worked with, or the team is not there.
    """
    secret = new_secret()
    record = await _insert(database, key, f"key-{secrets.token_hex(6)}", hash_key(secret), actor)
    return IssuedKey(record, secret)


async def adopt_key(database: Database, named: str, hashed: str, key: NewKey, actor: str) -> KeyRecord:
    """Make a key whose secret was made elsewhere; where the id is taken, its key stays as it is.

    Raises:
        BadInput: a value cannot be worked with.
        AlreadyThere: another key has this secret.
    """
    refuse(slug_findings("id", named))
    try:
        return await _insert(database, key, named, hashed, actor)
    except IntegrityError:
        async with database.begin() as connection:
            row = await row_if_there(connection, "key", named)
        if row is None:
            raise AlreadyThere(Finding(f"key {named}", "its secret is another key's")) from None
        return key_of(row)


async def keep_key(database: Database, named: str, hashed: str, key: NewKey, actor: str) -> KeyRecord:
    """Make a key whose secret was made elsewhere, or give the one there is this secret, team and owner.

    A key that was revoked stays so.

    Raises:
        BadInput: a value cannot be worked with.
        AlreadyThere: another key has this secret.
    """
    kept = {"name": key.name, "team": key.team, "owner": key.owner, "role": key.role}
    record = await adopt_key(database, named, hashed, key, actor)
    async with database.begin() as connection:
        found = (await connection.execute(select(keys.c.hash).where(keys.c.id == named))).scalar_one()
    if found != hashed:
        async with database.begin(writes=True) as connection:
            values = {"hash": hashed, "old_hash": None, "old_until": None}
            await connection.execute(update(keys).where(keys.c.id == named).values(values))
            await changed(connection, actor, "key.rotated", named, {"grace_seconds": 0.0})
    if any(getattr(record, name) != value for name, value in kept.items()):
        record = await change_key(database, named, actor, **kept)
    return record


async def get_key(database: Database, named: str) -> KeyRecord:
    """Return a key by its id, revoked ones too.

    Raises:
        NotThere: no key has this id.
    """
    async with database.begin() as connection:
        return await _key(connection, named)


async def _key(connection: AsyncConnection, named: str) -> KeyRecord:
    return key_of(await row_of(connection, "key", named, lock=True))


async def list_keys(
    database: Database, team: str | None = None, *, owner: str | None = None, revoked: bool = False
) -> list[KeyRecord]:
    """Return keys, oldest first: all, one team's or one person's, with the revoked ones where asked for."""
    query = select(keys).order_by(keys.c.created_at, keys.c.id)
    query = query if team is None else query.where(keys.c.team == (team or None))
    query = query if owner is None else query.where(keys.c.owner == owner)
    query = query if revoked else query.where(keys.c.revoked_at.is_(None))
    async with database.begin() as connection:
        return [key_of(row) for row in await connection.execute(query)]


async def find_key(database: Database, secret: str) -> KeyRecord | None:
    """Return the active key that `secret` is the secret of, if its owner may enter; else None."""
    hashed, now = hash_key(secret), datetime.now(UTC)
    rotated = and_(keys.c.old_hash == hashed, keys.c.old_until > now)
    query = select(keys).where(or_(keys.c.hash == hashed, rotated), owner_may_enter())
    async with database.begin() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None or not (record := key_of(row)).active(now):
        return None
    return replace(record, old_secret=row._mapping["hash"] != hashed)


def owner_may_enter() -> ColumnElement[bool]:
    """Return the condition that a key is nobody's own, or that the sign-in lets its owner in."""
    allowed = select(people.c.id).where(people.c.role != "")
    return or_(keys.c.owner.is_(None), keys.c.owner.in_(allowed))


async def rotate_key(
    database: Database, named: str, actor: str, grace: timedelta = timedelta(0)
) -> IssuedKey:
    """Give a key a new secret; the old one is refused at once, or after `grace`.

    Raises:
        NotThere: no key has this id.
        BadInput: the key is revoked.
    """
    secret, now = new_secret(), datetime.now(UTC)
    async with database.begin(writes=True) as connection:
        record = await _key(connection, named)
        if record.revoked_at is not None:
            raise bad(f"key {named}", "is revoked", "make a new key")
        values: dict[str, Any] = {"hash": hash_key(secret), "rotated_at": now}
        values |= {"old_hash": keys.c.hash if grace else None, "old_until": now + grace if grace else None}
        await connection.execute(update(keys).where(keys.c.id == named).values(values))
        await changed(connection, actor, "key.rotated", named, {"grace_seconds": grace.total_seconds()})
    return IssuedKey(replace(record, rotated_at=now), secret)


async def revoke_key(database: Database, named: str, actor: str) -> KeyRecord:
    """Refuse a key for good; revoking it again changes nothing.

    Raises:
        NotThere: no key has this id.
    """
    async with database.begin(writes=True) as connection:
        record = await _key(connection, named)
        if record.revoked_at is not None:
            return record
        now = datetime.now(UTC)
        await connection.execute(update(keys).where(keys.c.id == named).values(revoked_at=now))
        await changed(connection, actor, "key.revoked", named, {})
    return replace(record, revoked_at=now)


async def change_key(database: Database, named: str, actor: str, **changes: Any) -> KeyRecord:
    """Change what a key may do: any field of NewKey.

    Raises:
        NotThere: no key has this id.
        BadInput: a value cannot be worked with, or may not be changed.
    """
    refuse(Finding(name, "cannot be changed") for name in sorted(changes.keys() - _CHANGEABLE))
    if "models" in changes:
        changes["models"] = tuple(changes["models"])
    async with database.begin(writes=True) as connection:
        record = replace(await _key(connection, named), **changes)
        refuse(_findings(record))
        await see_team(connection, record.team)
        if changes:
            values = {**changes, "models": list(record.models)}
            values |= absent(record)
            await connection.execute(update(keys).where(keys.c.id == named).values(values))
            told = _told(record)
            await changed(connection, actor, "key.changed", named, {name: told[name] for name in changes})
    return record
