"""Finds the one row that a name stands for, or says that it is not there; what it holds is its table's."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.store.faults import bad, not_there
from aiplat.services.store.tables import keys, people, teams

Named = Literal["key", "team", "person"]
_NAMES: dict[Named, ColumnElement[str]] = {"key": keys.c.id, "team": teams.c.name, "person": people.c.id}


async def row_if_there(
    connection: AsyncConnection, what: Named, name: str, *, lock: bool = False
) -> Row[Any] | None:
    """Return the row of a key, team or person by its name; None where there is none.

    With `lock` nobody else changes it until the transaction ends.
    """
    column = _NAMES[what]
    query = select(column.table).where(column == name)
    return (await connection.execute(query.with_for_update() if lock else query)).one_or_none()


async def row_of(connection: AsyncConnection, what: Named, name: str, *, lock: bool = False) -> Row[Any]:
    """Return the row of a key, team or person by its name; see `row_if_there`.

    Raises:
        NotThere: there is none of this name.
    """
    row = await row_if_there(connection, what, name, lock=lock)
    if row is None:
        raise not_there(what, name)
    return row


async def see_team(connection: AsyncConnection, name: str) -> None:
    """Refuse a team that something is to belong to and that is not there; an empty name is none.

    Raises:
        BadInput: the team is not there.
    """
    if name and await row_if_there(connection, "team", name) is None:
        raise bad("team", f'"{name}" is not there', "make the team first")
