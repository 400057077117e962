"""Budgets lent to replicas of the gateway in slices, so that together they grant no more than the limit.

A replica says what it has used of a window and how much it would like to hold; it is granted at most what the
limit leaves after what the others hold. What a replica held that went silent counts, after a while, only by
what it last said it had used. Deciding about requests is the gateway's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.services.bounds import MOST_STORED
from aiplat.services.store.budgets import used_in_window
from aiplat.services.store.database import Database
from aiplat.services.store.sums import halves, summed
from aiplat.services.store.tables import budget_leases, budget_windows, budgets

Window = tuple[int, date]
"""A budget's number and the first day of one of its windows."""

SILENCE = timedelta(seconds=60)
_AT_ONCE = 500
_KEEP = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a replica has used of a window, and how much in all it would like to hold of it."""

    window: Window
    used: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a replica may use of a window in all, and what everybody has used of it beside the replica.

    Less than was wanted means that nothing more is to be had at the moment.
    """

    granted: int
    others_used: int
    limit: int


async def lease(database: Database, replica: str, demands: Sequence[Demand]) -> dict[Window, Grant]:
    """Settle what a replica holds; windows of budgets that are gone are missing from the answer.

    Raises:
        Unreachable: the database does not answer; the replica keeps what it had.
    """
    grants: dict[Window, Grant] = {}
    ordered = sorted(demands, key=lambda demand: demand.window)
    for begin in range(0, len(ordered), _AT_ONCE):
        async with database.begin(writes=True) as connection:
            part = {demand.window: demand for demand in ordered[begin : begin + _AT_ONCE]}
            grants |= await _settle(connection, replica, part)
    return grants


async def _settle(
    connection: AsyncConnection, replica: str, demands: dict[Window, Demand]
) -> dict[Window, Grant]:
    now = datetime.now(UTC)
    limits = await _limits(connection, demands)
    demands = {window: demand for window, demand in demands.items() if window[0] in limits}
    bases = await _bases(connection, demands, limits)
    others = await _others(connection, replica, demands, now)
    grants = {}
    for window, demand in demands.items():
        limit = int(limits[window[0]].amount)
        held, used = others.get(window, (0, 0))
        granted = max(0, min(demand.wanted, limit - bases[window] - held))
        grants[window] = Grant(granted, bases[window] + used, limit)
    await _write(connection, replica, demands, grants, now)
    return grants


async def _limits(connection: AsyncConnection, windows: Iterable[Window]) -> dict[int, Any]:
    # The rows stay locked until the end: two replicas never both get the last of a budget.
    numbers = sorted({number for number, _ in windows})
    query = select(budgets).where(budgets.c.id.in_(numbers)).order_by(budgets.c.id).with_for_update()
    return {row.id: row for row in await connection.execute(query)}


async def _bases(
    connection: AsyncConnection, windows: Iterable[Window], limits: dict[int, Any]
) -> dict[Window, int]:
    table, wanted = budget_windows, set(windows)
    query = select(table).where(table.c.budget.in_(sorted({number for number, _ in wanted})))
    found = {(row.budget, row.starts_on): int(row.base) for row in await connection.execute(query)}
    for number, start in sorted(wanted - found.keys()):
        # Used before the budget was set: from then on the replicas themselves say what they used.
        base = await used_in_window(connection, limits[number], start, limits[number].since)
        base = min(base, MOST_STORED)
        await connection.execute(insert(table).values(budget=number, starts_on=start, base=base))
        found[number, start] = base
    return {window: found[window] for window in wanted}


async def _others(
    connection: AsyncConnection, replica: str, windows: Iterable[Window], now: datetime
) -> dict[Window, tuple[int, int]]:
    table = budget_leases
    alive = (table.c.expires_at > now) & (table.c.granted > table.c.used)
    held = halves(case((alive, table.c.granted), else_=table.c.used), "held")
    query = (
        select(table.c.budget, table.c.starts_on, *held, *halves(table.c.used, "used"))
        .where(table.c.budget.in_(sorted({number for number, _ in windows})), table.c.replica != replica)
        .group_by(table.c.budget, table.c.starts_on)
    )
    rows = (await connection.execute(query)).mappings()
    return {(r["budget"], r["starts_on"]): (summed(r, "held"), summed(r, "used")) for r in rows}


async def _write(
    connection: AsyncConnection,
    replica: str,
    demands: dict[Window, Demand],
    grants: dict[Window, Grant],
    now: datetime,
) -> None:
    if not demands:
        return
    rows = [
        {
            "budget": window[0],
            "starts_on": window[1],
            "replica": replica,
            "granted": grants[window].granted,
            "used": min(demand.used, MOST_STORED),
            "expires_at": now + SILENCE,
        }
        for window, demand in demands.items()
    ]
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(budget_leases).values(rows)
    fresh = {name: statement.excluded[name] for name in ("granted", "used", "expires_at")}
    keys = ["budget", "starts_on", "replica"]
    await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=fresh))


async def forget_old_windows(database: Database, now: datetime) -> None:
    """Remove what was leased of windows that ended long ago.

    Raises:
        Unreachable: the database does not answer.
    """
    before = (now - _KEEP).date()
    async with database.begin(writes=True) as connection:
        for table in (budget_leases, budget_windows):
            await connection.execute(delete(table).where(table.c.starts_on < before))
