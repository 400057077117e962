"""Teams: made, changed, listed, removed; which keys they have is in keys, what they may spend in budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from aiplat.errors import Finding
from aiplat.services.store.changes import changed
from aiplat.services.store.database import Database
from aiplat.services.store.faults import AlreadyThere, bad
from aiplat.services.store.limits import limit_findings, refuse, slug_findings
from aiplat.services.store.named import row_of
from aiplat.services.store.tables import awaited_people, budgets, keys, people, teams


@dataclass(frozen=True)
class NewTeam:
    """What a team may do. `models` empty means all; a name may end in `*`. Rates are per gateway process."""

    name: str
    description: str = ""
    models: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, kw_only=True)
class Team(NewTeam):
    """A team that is there."""

    created_at: datetime


_CHANGEABLE = frozenset(field.name for field in fields(NewTeam)) - {"name"}


def _findings(team: NewTeam) -> Iterator[Finding]:
    yield from slug_findings("name", team.name)
    if len(team.description) > 500:
        yield Finding("description", "is longer than 500 characters", "shorten it")
    yield from limit_findings(asdict(team))


def team_of(row: Row[Any]) -> Team:
    """Return the team that a row of the table holds."""
    values = dict(row._mapping)
    return Team(**{**values, "models": tuple(values["models"])})


async def create_team(database: Database, team: NewTeam, actor: str) -> Team:
    """Make a team.

    Raises:
        BadInput: a value cannot be worked with.
        AlreadyThere: a team has this name.
    """
    refuse(_findings(team))
    values = {**asdict(team), "models": list(team.models), "created_at": datetime.now(UTC)}
    try:
        async with database.begin(writes=True) as connection:
            await connection.execute(insert(teams).values(values))
            await changed(connection, actor, "team.created", team.name, asdict(team))
    except IntegrityError:
        raise AlreadyThere(Finding(f"team {team.name}", "is there already", "choose another name")) from None
    return Team(**{**values, "models": team.models})


async def get_team(database: Database, name: str) -> Team:
    """Return a team.

    Raises:
        NotThere: no team has this name.
    """
    async with database.begin() as connection:
        return team_of(await row_of(connection, "team", name))


async def list_teams(database: Database) -> list[Team]:
    """Return every team by name."""
    async with database.begin() as connection:
        return [team_of(row) for row in await connection.execute(select(teams).order_by(teams.c.name))]


async def change_team(database: Database, name: str, actor: str, **changes: Any) -> Team:
    """Change description, models or rates of a team.

    Raises:
        NotThere: no team has this name.
        BadInput: a value cannot be worked with, or may not be changed.
    """
    refuse(Finding(key, "cannot be changed") for key in sorted(changes.keys() - _CHANGEABLE))
    if "models" in changes:
        changes["models"] = tuple(changes["models"])
    async with database.begin(writes=True) as connection:
        team = replace(team_of(await row_of(connection, "team", name)), **changes)
        refuse(_findings(team))
        if changes:
            values = {**changes, "models": list(team.models)}
            await connection.execute(update(teams).where(teams.c.name == name).values(values))
            await changed(connection, actor, "team.changed", name, changes)
    return team


async def delete_team(database: Database, name: str, actor: str) -> None:
    """Remove a team with its budgets; its revoked keys and its people stay, without a team.

    Raises:
        NotThere: no team has this name.
        BadInput: keys that are not revoked belong to it.
    """
    async with database.begin(writes=True) as connection:
        await row_of(connection, "team", name)
        living = keys.c.team == name, keys.c.revoked_at.is_(None)
        count = (await connection.execute(select(func.count()).select_from(keys).where(*living))).scalar_one()
        if count:
            raise bad(f"team {name}", f"has {count} keys that are not revoked", "revoke them first")
        for table in (keys, people):
            await connection.execute(update(table).where(table.c.team == name).values(team=None))
        await connection.execute(delete(awaited_people).where(awaited_people.c.team == name))
        of_team = budgets.c.scope == "team", budgets.c.subject == name
        await connection.execute(delete(budgets).where(*of_team))
        await connection.execute(delete(teams).where(teams.c.name == name))
        await changed(connection, actor, "team.deleted", name, {})
