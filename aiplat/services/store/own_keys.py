"""Keys that a person makes: in the person's team, whose budgets bind them, with a member's role at most."""

from __future__ import annotations

from dataclasses import replace

from aiplat.errors import Finding
from aiplat.services.store.database import Database
from aiplat.services.store.faults import bad
from aiplat.services.store.keys import IssuedKey, KeyRecord, NewKey, create_key, keep_key, list_keys
from aiplat.services.store.limits import refuse
from aiplat.services.store.people import KnownPerson, playground_key
from aiplat.services.store.secret import hash_key

MOST_KEYS = 50
"""Keys of one person that are not revoked."""


async def keys_of(database: Database, person: KnownPerson) -> list[KeyRecord]:
    """Return the keys of a person that are not revoked, oldest first."""
    return await list_keys(database, owner=person.id)


async def create_own_key(database: Database, person: KnownPerson, key: NewKey) -> IssuedKey:
    """Make a key of a person's own; what it may is cut down to what people may give themselves.

    Raises:
        BadInput: the person is in no team, whose budgets would bind the key, or has too many; or a value
            cannot be worked with.
    """
    if not person.team:
        raise bad(
            person.id, "belongs to no team, so no budget binds its keys", "ask an admin to put you into one"
        )
    shown = [key for key in await keys_of(database, person) if key.id != playground_key(person.id)]
    if len(shown) >= MOST_KEYS:
        raise bad(person.id, f"has {MOST_KEYS} keys already", "revoke those that you do not use")
    return await create_key(
        database, replace(key, team=person.team, role="member", owner=person.id), person.id
    )


async def playground_secret(database: Database, person: KnownPerson, secret: str) -> str:
    """Return the secret of the key that the playground asks with for a person, once the key is there.

    `secret` is this person's and derived from what is the portal's alone, so nobody keeps it.

    Raises:
        BadInput: no budget would bind the key.
    """
    if not person.team and person.role not in {"admin", "operator"}:
        refuse(
            [Finding("team", "you are in none, so no budget binds you", "ask an admin to put you into one")]
        )
    wanted = NewKey(name="playground", team=person.team, owner=person.id)
    await keep_key(database, playground_key(person.id), hash_key(secret), wanted, person.id)
    return secret
