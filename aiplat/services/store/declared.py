"""Teams, keys and budgets that a file declares, put into the database whole; reading the file is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.store.budgets import Budget
from aiplat.services.store.changes import changed
from aiplat.services.store.database import Database
from aiplat.services.store.faults import bad
from aiplat.services.store.keys import NewKey, absent
from aiplat.services.store.money import whole
from aiplat.services.store.tables import budgets, keys, teams
from aiplat.services.store.teams import NewTeam

_BY_FILE = "file"


@dataclass(frozen=True)
class Declared:
    """What a file declares: teams, keys by id with the hash of each, and the budgets of both."""

    teams: Sequence[NewTeam]
    keys: Mapping[str, tuple[str, NewKey]]
    budgets: Sequence[Budget]


async def apply_declared(database: Database, declared: Declared) -> None:
    """Make the database's teams, keys and budgets those of the file; what others made stays.

    Keys that an earlier file declared and this one does not are revoked.

    Raises:
        BadInput: a key's id or secret is that of a key which no file declared.
        Unreachable: the database does not answer.
    """
    async with database.begin(writes=True) as connection:
        for team in declared.teams:
            values = {**asdict(team), "models": list(team.models)}
            await _put(connection, teams, {"name": values.pop("name")}, values)
        by_file = await _declared_before(connection, declared)
        for named, (hashed, key) in declared.keys.items():
            values = {**asdict(key), **absent(key), "models": list(key.models), "hash": hashed}
            values |= {"old_hash": None, "revoked_at": None, "created_by": _BY_FILE}
            await _put(connection, keys, {"id": named}, values)
        gone = by_file - declared.keys.keys()
        if gone:
            ended = update(keys).where(keys.c.id.in_(gone), keys.c.revoked_at.is_(None))
            await connection.execute(ended.values(revoked_at=datetime.now(UTC)))
        await _budgets(connection, declared)
        counts = {"teams": len(declared.teams), "keys": len(declared.keys)}
        await changed(connection, _BY_FILE, "file.applied", "accounts", counts)


async def _declared_before(connection: AsyncConnection, declared: Declared) -> set[str]:
    hashes = {hashed: named for named, (hashed, _) in declared.keys.items()}
    by_file = set()
    for row in await connection.execute(select(keys.c.id, keys.c.hash, keys.c.created_by)):
        if row.created_by == _BY_FILE:
            by_file.add(row.id)
        elif row.id in declared.keys or row.hash in hashes:
            where = row.id if row.id in declared.keys else hashes[row.hash]
            raise bad(
                f"keys: {where}", "is a key that was not made by a file", "give it another id and secret"
            )
    return by_file


async def _put(
    connection: AsyncConnection, table: Table, named: dict[str, str], values: dict[str, Any]
) -> None:
    same = [table.c[column] == value for column, value in named.items()]
    done = await connection.execute(update(table).where(*same).values(values))
    if not done.rowcount:
        made = {**named, **values, "created_at": datetime.now(UTC)}
        await connection.execute(insert(table).values(made))


async def _budgets(connection: AsyncConnection, declared: Declared) -> None:
    wanted = {(b.scope, b.subject, b.unit, b.period): whole(b.limit, b.unit) for b in declared.budgets}
    subjects = {("team", team.name) for team in declared.teams} | {("key", named) for named in declared.keys}
    for row in list(await connection.execute(select(budgets))):
        if (row.scope, row.subject) in subjects:
            # An amount that changes keeps what was leased; a budget that is gone does not.
            amount = wanted.pop((row.scope, row.subject, row.unit, row.period), None)
            this = budgets.c.id == row.id
            if amount is None:
                await connection.execute(delete(budgets).where(this))
            else:
                await connection.execute(update(budgets).where(this).values(amount=amount))
    for (scope, subject, unit, period), amount in wanted.items():
        values = {"scope": scope, "subject": subject, "unit": unit, "period": period, "amount": amount}
        values["since"] = datetime.now(UTC)
        await connection.execute(insert(budgets).values(values))
