"""Keys: shown once, kept as hashes, rotated, revoked, expired."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from aiplat.errors import BadInput
from aiplat.services.store.audit import list_audit
from aiplat.services.store.changes import settings_version
from aiplat.services.store.database import Database
from aiplat.services.store.faults import AlreadyThere, NotThere
from aiplat.services.store.keys import (
    NewKey,
    adopt_key,
    change_key,
    create_key,
    find_key,
    get_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from aiplat.services.store.secret import hash_key, new_secret
from aiplat.services.store.snapshot import read_snapshot
from aiplat.services.store.teams import NewTeam, create_team
from tests.services.postgresql import PostgresServer

pytestmark = pytest.mark.anyio


async def test_a_key_is_found_by_its_secret_alone(database: Database) -> None:
    """What was asked for comes back, and nothing but the secret finds it."""
    await create_team(database, NewTeam("red"), "root")
    until = datetime.now(UTC) + timedelta(days=1)
    asked = NewKey("notebook", "red", "operator", ("gemma3:*",), "refuse", 60, 9000, until)
    issued = await create_key(database, asked, "root")
    found = await find_key(database, issued.secret)
    assert found == issued.record == await get_key(database, issued.record.id)
    assert (found.name, found.team, found.models, found.expires_at) == (
        "notebook",
        "red",
        ("gemma3:*",),
        until,
    )
    assert await find_key(database, issued.record.id) is None
    assert await find_key(database, hash_key(issued.secret)) is None


async def test_a_rotated_key_has_one_secret_or_two_for_a_while(database: Database) -> None:
    """Without a grace the old secret is refused at once; with one it is good until then."""
    issued = await create_key(database, NewKey("a"), "root")
    second = await rotate_key(database, issued.record.id, "root")
    assert await find_key(database, issued.secret) is None
    third = await rotate_key(database, issued.record.id, "root", timedelta(hours=1))
    assert await find_key(database, second.secret) == await find_key(database, third.secret) is not None
    await rotate_key(database, issued.record.id, "root", timedelta(microseconds=1))
    assert await find_key(database, third.secret) is None
    snapshot = await read_snapshot(database)
    assert hash_key(third.secret) not in snapshot.keys


async def test_a_revoked_key_is_found_no_more(database: Database) -> None:
    """Nor rotated; revoking it again changes nothing."""
    issued = await create_key(database, NewKey("a"), "root")
    revoked = await revoke_key(database, issued.record.id, "root")
    version = await settings_version(database)
    assert await revoke_key(database, issued.record.id, "root") == revoked
    assert await settings_version(database) == version
    assert await find_key(database, issued.secret) is None
    assert await list_keys(database) == []
    assert await list_keys(database, revoked=True) == [revoked]
    with pytest.raises(BadInput, match="is revoked"):
        await rotate_key(database, issued.record.id, "root")


async def test_an_expired_key_is_not_found(database: Database) -> None:
    """Expiry needs nobody to act."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    issued = await create_key(database, NewKey("a", expires_at=past), "root")
    assert await find_key(database, issued.secret) is None


async def test_a_key_made_elsewhere_is_taken_over_once(database: Database) -> None:
    """Bootstrap's first key: a second time it stays as it is, and no other key may have its secret."""
    secret = new_secret()
    admin = NewKey("first", role="admin")
    taken = await adopt_key(database, "site", hash_key(secret), admin, "bootstrap")
    again = await adopt_key(database, "site", hash_key(new_secret()), NewKey("other"), "bootstrap")
    assert again == taken == await find_key(database, secret)
    with pytest.raises(AlreadyThere):
        await adopt_key(database, "twin", hash_key(secret), admin, "bootstrap")


async def test_every_wrong_value_is_named_at_once(database: Database) -> None:
    """One answer with all findings, and nothing was made."""
    wrong = NewKey("\n", "Red!", "boss", ("",), "hope", 0, -1, datetime(2030, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(BadInput) as refused:
        await create_key(database, wrong, "root")
    named = {finding.where for finding in refused.value.findings}
    expected = {"name", "team", "role", "models[0]", "on_outage", "requests_per_minute"}
    assert named == expected | {"tokens_per_minute", "expires_at"}
    assert await list_keys(database) == []


async def test_a_key_of_a_team_that_is_not_there_is_refused(database: Database) -> None:
    """By a sentence, on both databases."""
    with pytest.raises(BadInput, match='team: "red" is not there'):
        await create_key(database, NewKey("a", "red"), "root")


async def test_a_key_is_changed_field_by_field(database: Database) -> None:
    """What is not named stays; id and secret cannot be changed."""
    issued = await create_key(database, NewKey("a", models=("m",)), "root")
    changed = await change_key(database, issued.record.id, "root", models=["x", "y*"], on_outage="refuse")
    assert changed == await find_key(database, issued.secret)
    assert (changed.name, changed.models, changed.on_outage) == ("a", ("x", "y*"), "refuse")
    with pytest.raises(BadInput, match="hash: cannot be changed"):
        await change_key(database, issued.record.id, "root", hash="x")
    with pytest.raises(NotThere):
        await change_key(database, "nobody", "root", name="b")


async def test_every_change_has_a_new_number_and_a_line_in_the_audit(database: Database) -> None:
    """So that copies are renewed and acts are known; no line holds a secret."""
    numbers = [await settings_version(database)]
    issued = await create_key(database, NewKey("a"), "root")
    numbers.append(await settings_version(database))
    rotated = await rotate_key(database, issued.record.id, "api")
    numbers.append(await settings_version(database))
    await revoke_key(database, issued.record.id, "root")
    numbers.append(await settings_version(database))
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    lines = await list_audit(database, subject=issued.record.id)
    assert [(line.action, line.actor) for line in lines] == [
        ("key.revoked", "root"),
        ("key.rotated", "api"),
        ("key.created", "root"),
    ]
    assert issued.secret not in str(lines)
    assert rotated.secret not in str(lines)


async def test_no_secret_is_in_the_database_in_clear(
    database: Database, request: pytest.FixtureRequest
) -> None:
    """A dump of everything has the hash and not the secret."""
    issued = await create_key(database, NewKey("a"), "root")
    rotated = await rotate_key(database, issued.record.id, "root", timedelta(hours=1))
    if database.is_postgresql:
        server: PostgresServer = request.getfixturevalue("postgresql")
        plain = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        dump = server.dump(plain)
    else:
        with sqlite3.connect(str(database.engine.url.database)) as connection:
            dump = "\n".join(connection.iterdump())
    assert hash_key(issued.secret) in dump
    for secret in (issued.secret, rotated.secret):
        assert secret not in dump
        assert secret.removeprefix("sk-aiplat-") not in dump
    assert issued.secret not in repr(issued)
