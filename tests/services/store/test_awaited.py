"""Who is put into a team before the first sign-in is in it from then on, and nobody else is."""

from __future__ import annotations

import pytest

from aiplat.errors import BadInput
from aiplat.services.store.audit import list_audit
from aiplat.services.store.awaited import Awaited, await_in_team, await_no_more, awaited_id, list_awaited
from aiplat.services.store.database import Database
from aiplat.services.store.people import KnownPerson, person_id, seen
from aiplat.services.store.teams import NewTeam, create_team, delete_team

pytestmark = pytest.mark.anyio
ISSUER = "https://login.ward.test"


@pytest.fixture
async def teams(database: Database) -> Database:
    """A database with the teams red and blue."""
    for name in ("red", "blue"):
        await create_team(database, NewTeam(name), "root")
    return database


async def came(database: Database, subject: str, user: str = "", issuer: str = ISSUER) -> KnownPerson:
    """Have somebody sign in, whom the sign-in calls `user`; pages show everybody as Ann."""
    return await seen(
        database, issuer=issuer, subject=subject, name="Ann", role="member", told_at=1, user=user
    )


def by_name(name: str, team: str) -> Awaited:
    """Return somebody of whom the name is known."""
    return Awaited(awaited_id(ISSUER, name), ISSUER, name, team, "root")


async def test_who_is_known_by_id_comes_into_the_team(teams: Database) -> None:
    """Whatever the name is by then; the trail says who put them there, once they are."""
    ann = person_id(ISSUER, "u-1")
    await await_in_team(teams, Awaited(ann, ISSUER, "ann", "red", "root"))
    assert (await came(teams, "u-2", "ann")).team == ""
    assert (await came(teams, "u-1", "anna")).team == "red"
    assert await list_awaited(teams) == []
    newest, first = await list_audit(teams, subject=ann, action="person.team")
    assert (newest.actor, newest.detail) == ("root", {"team": "red"})
    assert first.detail == {"team": "red", "name": "ann", "awaited": True}


async def test_who_is_known_by_name_comes_into_the_team(teams: Database) -> None:
    """The first of that name at that sign-in: later ones, and those of another sign-in, do not."""
    await await_in_team(teams, by_name("ann", "red"))
    assert (await came(teams, "o-1", "ann", "https://elsewhere.test")).team == ""
    assert (await came(teams, "u-1", "ann")).team == "red"
    assert (await came(teams, "u-2", "ann")).team == ""


async def test_a_name_that_is_only_shown_leads_into_no_team(teams: Database) -> None:
    """Where the sign-in does not tell the claim that teams name people by."""
    await await_in_team(teams, by_name("Ann", "red"))
    assert (await came(teams, "u-1")).team == ""
    assert [one.name for one in await list_awaited(teams)] == ["Ann"]


async def test_the_last_word_counts(teams: Database) -> None:
    """Another team, none, or a team that is gone meanwhile."""
    await await_in_team(teams, by_name("ann", "red"))
    await await_in_team(teams, by_name("ann", "blue"))
    assert (await came(teams, "u-1", "ann")).team == "blue"
    for name in ("ben", "cyd", "dov"):
        await await_in_team(teams, by_name(name, "red"))
    await await_in_team(teams, by_name("ben", ""))
    await await_no_more(teams, awaited_id(ISSUER, "cyd"))
    await delete_team(teams, "red", "root")
    assert [(await came(teams, name, name)).team for name in ("ben", "cyd", "dov")] == [""] * 3


async def test_what_cannot_be_is_refused(teams: Database) -> None:
    """A team that is not there, and waiting for somebody who is here."""
    with pytest.raises(BadInput, match='"nosuch" is not there; make the team first'):
        await await_in_team(teams, by_name("ann", "nosuch"))
    ann = await came(teams, "u-1", "ann")
    with pytest.raises(BadInput, match="has just signed in"):
        await await_in_team(teams, Awaited(ann.id, ISSUER, "ann", "red", "root"))
