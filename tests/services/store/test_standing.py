"""What becomes known of somebody between two visits: keys rest or end, and what was told later stays."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from aiplat.services.store.changes import settings_version
from aiplat.services.store.database import Database
from aiplat.services.store.declared import Declared, apply_declared
from aiplat.services.store.keys import IssuedKey, NewKey, find_key, get_key
from aiplat.services.store.own_keys import create_own_key
from aiplat.services.store.people import get_person, put_into_team, seen, would_rise
from aiplat.services.store.secret import hash_key, new_secret
from aiplat.services.store.snapshot import read_snapshot
from aiplat.services.store.standing import follow, gone, told
from aiplat.services.store.tables import keys
from aiplat.services.store.teams import NewTeam, create_team

pytestmark = pytest.mark.anyio
ISSUER, AT = "https://login.ward.test", 1_800_000_000


async def keyed(database: Database, subject: str) -> tuple[str, IssuedKey]:
    """Return the id of somebody who signed in, and a key of theirs."""
    person = await seen(database, issuer=ISSUER, subject=subject, name=subject, role="member", told_at=AT)
    person = await put_into_team(database, person.id, "red", "root")
    return person.id, await create_own_key(database, person, NewKey("mine"))


async def works(database: Database, key: IssuedKey) -> bool:
    """Whether a key is found, and the gateway would know it: both say the same."""
    known = (await get_key(database, key.record.id)).id in {
        one.id for one in (await read_snapshot(database)).keys.values()
    }
    assert known == (await find_key(database, key.secret) is not None)
    return known


async def test_the_keys_of_who_is_locked_out_rest(database: Database) -> None:
    """Others' go on; each change raises the number by which the gateway notices."""
    await create_team(database, NewTeam("red"), "root")
    person, key = await keyed(database, "ann")
    _, other = await keyed(database, "bob")
    before = await settings_version(database)
    await told(database, person, None, AT + 1, "root")
    assert (await works(database, key), await works(database, other)) == (False, True)
    assert await settings_version(database) > before
    await told(database, person, "member", AT + 2, "root")
    assert await works(database, key)


async def test_the_keys_of_who_is_gone_are_revoked_once(database: Database) -> None:
    """And no token of before lets them in; who was never here is nobody's matter."""
    await create_team(database, NewTeam("red"), "root")
    person, key = await keyed(database, "ann")
    assert await gone(database, person, AT + 1, "root") == 1
    assert (await get_key(database, key.record.id)).revoked_at is not None
    assert await gone(database, person, AT + 2, "root") == 0
    assert await gone(database, "person-nobody", AT, "root") == 0
    again = await seen(database, issuer=ISSUER, subject="ann", name="ann", role="admin", told_at=AT)
    assert again.role is None


async def test_everybody_of_an_issuer_is_followed(database: Database) -> None:
    """Who is not told of is gone, another role holds, what was told later stays, another issuer's stay."""
    await create_team(database, NewTeam("red"), "root")
    (ann, of_ann), (bob, of_bob), (cyd, of_cyd) = [await keyed(database, n) for n in ("ann", "bob", "cyd")]
    elsewhere = await seen(
        database, issuer="https://other.test", subject="dov", name="dov", role="admin", told_at=AT
    )
    await told(database, cyd, "operator", AT + 9, "root")
    await follow(database, ISSUER, {"bob": "admin", "cyd": None}, AT + 5, "sign-in")
    roles = [(await get_person(database, one)).role for one in (ann, bob, cyd, elsewhere.id)]
    assert roles == [None, "admin", "operator", "admin"]
    assert [await works(database, one) for one in (of_ann, of_bob, of_cyd)] == [False, True, True]
    version = await settings_version(database)
    await follow(database, ISSUER, {"bob": "admin", "cyd": "operator"}, AT + 10, "sign-in")
    assert await settings_version(database) == version, "nothing changed, and nothing is read again"


async def test_a_key_that_a_file_declares_is_nobodys_and_works(database: Database) -> None:
    """Read again, it does so still; so it does where its row was written with an empty owner before."""
    secret = new_secret()
    declared = Declared([], {"declared": (hash_key(secret), NewKey("of a component"))}, [])
    await apply_declared(database, declared)
    key = IssuedKey(await get_key(database, "declared"), secret)
    assert await works(database, key)
    async with database.begin(writes=True) as connection:
        await connection.execute(update(keys).values(owner=""))
    await apply_declared(database, declared)
    assert await works(database, key)


async def test_what_was_changed_while_everybody_was_asked_stays(database: Database) -> None:
    """A list that was begun before a lock of the same second does not undo it."""
    await create_team(database, NewTeam("red"), "root")
    person, key = await keyed(database, "ann")
    await told(database, person, None, AT + 5, "root")
    await follow(database, ISSUER, {"ann": "member"}, AT + 5, "sign-in")
    assert not await works(database, key)
    await follow(database, ISSUER, {"ann": "member"}, AT + 6, "sign-in")
    assert await works(database, key)


async def test_a_role_that_is_confirmed_outlives_tokens_of_before(database: Database) -> None:
    """Somebody who was more for a moment, of which nobody heard here, stays what they are."""
    person = await seen(database, issuer=ISSUER, subject="ann", name="ann", role="member", told_at=AT)
    version = await settings_version(database)
    await told(database, person.id, "member", AT + 9, "root")
    assert await settings_version(database) == version, "nothing that others hold in memory changed"
    assert not await would_rise(database, person.id, "admin", AT + 5)
    again = await seen(database, issuer=ISSUER, subject="ann", name="ann", role="admin", told_at=AT + 5)
    assert again.role == "member"
