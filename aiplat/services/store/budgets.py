"""Budgets of keys and teams: set, listed, removed, and how far they are used; leasing them is in leases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aiplat.errors import Finding
from aiplat.services.store.changes import changed
from aiplat.services.store.database import Database
from aiplat.services.store.faults import bad, not_there
from aiplat.services.store.limits import refuse
from aiplat.services.store.money import shown, whole
from aiplat.services.store.sums import halves, summed
from aiplat.services.store.tables import budgets, keys, teams, usage
from aiplat.services.store.windows import Period, window_end, window_start

Scope = Literal["key", "team"]
Unit = Literal["tokens", "requests", "money"]
_KNOWN = {"scope": ("key", "team"), "unit": ("tokens", "requests", "money"), "period": ("day", "month")}


@dataclass(frozen=True)
class Budget:
    """How much a key (`subject` is its id) or a team (its name) may use in a UTC day or month.

    `limit` counts tokens, requests, or the site's currency.
    """

    scope: Scope
    subject: str
    unit: Unit
    period: Period
    limit: Decimal


@dataclass(frozen=True)
class BudgetState:
    """A budget in its present window: `used` is what the usage that was written down adds up to."""

    budget: Budget
    window_start: date
    window_end: date
    used: Decimal


def _findings(budget: Budget) -> Iterator[Finding]:
    for where, known in _KNOWN.items():
        if getattr(budget, where) not in known:
            yield Finding(where, f'"{getattr(budget, where)}" is not known', f"use {', '.join(known)}")
    try:
        whole(budget.limit, budget.unit)
    except ValueError as error:
        yield Finding("limit", str(error))


def budget_of(row: Row[Any]) -> Budget:
    """Return the budget that a row of the table holds."""
    return Budget(row.scope, row.subject, row.unit, row.period, shown(row.amount, row.unit))


def _is(scope: str, subject: str, unit: str, period: str) -> tuple[ColumnElement[bool], ...]:
    return (
        budgets.c.scope == scope,
        budgets.c.subject == subject,
        budgets.c.unit == unit,
        budgets.c.period == period,
    )


async def set_budget(database: Database, budget: Budget, actor: str) -> Budget:
    """Set a budget, in place of one of the same subject, unit and period.

    Raises:
        BadInput: a value cannot be worked with, or the key or team is not there.
    """
    refuse(_findings(budget))
    named = asdict(budget)
    del named["limit"]
    async with database.begin(writes=True) as connection:
        # Locked first, so that two who set the same budget do so one after the other.
        table, column = (keys, keys.c.id) if budget.scope == "key" else (teams, teams.c.name)
        subject = select(column).select_from(table).where(column == budget.subject).with_for_update()
        if (await connection.execute(subject)).one_or_none() is None:
            raise bad("subject", f'the {budget.scope} "{budget.subject}" is not there', "make it first")
        amount = whole(budget.limit, budget.unit)
        done = await connection.execute(update(budgets).where(*_is(**named)).values(amount=amount))
        if not done.rowcount:
            await connection.execute(insert(budgets).values(**named, amount=amount, since=datetime.now(UTC)))
        told = {**named, "limit": str(budget.limit)}
        await changed(connection, actor, "budget.set", budget.subject, told)
    return budget


async def remove_budget(  # noqa: PLR0913 - four values name a budget
    database: Database, *, scope: Scope, subject: str, unit: Unit, period: Period, actor: str
) -> None:
    """Remove a budget: what it limited is unlimited then.

    Raises:
        NotThere: there is no such budget.
    """
    async with database.begin(writes=True) as connection:
        done = await connection.execute(delete(budgets).where(*_is(scope, subject, unit, period)))
        if not done.rowcount:
            raise not_there("budget", f"{scope} {subject} {unit} per {period}")
        named = {"scope": scope, "unit": unit, "period": period}
        await changed(connection, actor, "budget.removed", subject, named)


async def list_budgets(
    database: Database, scope: Scope | None = None, subject: str | None = None
) -> list[Budget]:
    """Return budgets: all, of keys or teams only, or of one of them."""
    async with database.begin() as connection:
        return [budget_of(row) for row in await _rows(connection, scope, subject)]


async def _rows(connection: AsyncConnection, scope: str | None, subject: str | None) -> list[Row[Any]]:
    query = select(budgets).order_by(budgets.c.scope, budgets.c.subject, budgets.c.unit, budgets.c.period)
    query = query if scope is None else query.where(budgets.c.scope == scope)
    query = query if subject is None else query.where(budgets.c.subject == subject)
    return list(await connection.execute(query))


async def budget_states(
    database: Database, scope: Scope | None = None, subject: str | None = None, now: datetime | None = None
) -> list[BudgetState]:
    """Return budgets with what was used of them in the window that `now` lies in."""
    moment = now or datetime.now(UTC)
    async with database.begin() as connection:
        return [await _state(connection, row, moment) for row in await _rows(connection, scope, subject)]


async def _state(connection: AsyncConnection, row: Row[Any], now: datetime) -> BudgetState:
    start = window_start(row.period, now)
    used = await used_in_window(connection, row, start)
    return BudgetState(budget_of(row), start, window_end(row.period, start), shown(used, row.unit))


async def used_in_window(
    connection: AsyncConnection, row: Row[Any], start: date, before: datetime | None = None
) -> int:
    """Return what usage has for a budget's subject in a window, in the budget's whole units."""
    amounts = {
        "tokens": (usage.c.prompt_tokens, usage.c.completion_tokens),
        "requests": (),
        "money": (usage.c.cost_nano,),
    }[row.unit]
    sums = [half for column in amounts for half in halves(column, column.name)]
    whose = usage.c.key if row.scope == "key" else usage.c.team
    query = select(func.count().label("requests"), *sums).where(whose == row.subject)
    query = query.where(usage.c.day >= start, usage.c.day < window_end(row.period, start))
    query = query if before is None else query.where(usage.c.at < before)
    found = (await connection.execute(query)).mappings().one()
    return sum(summed(found, column.name) for column in amounts) if amounts else int(found["requests"])
