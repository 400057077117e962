"""Budgets lent in slices: together the replicas are never granted more than the limit."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from aiplat.services.bounds import MOST_STORED
from aiplat.services.store.budgets import Budget, remove_budget, set_budget
from aiplat.services.store.database import Database
from aiplat.services.store.leases import Demand, forget_old_windows, lease
from aiplat.services.store.snapshot import read_snapshot
from aiplat.services.store.tables import budget_leases, budgets
from aiplat.services.store.teams import NewTeam, create_team
from aiplat.services.store.usage import insert_usage
from tests.services.store.test_accounts import NOON, used

pytestmark = pytest.mark.anyio

DAY = date(2030, 1, 31)


async def make_budget(database: Database, limit: int) -> int:
    """Give team red a budget of tokens per day; returns its number."""
    await create_team(database, NewTeam("red"), "root")
    await set_budget(database, Budget("team", "red", "tokens", "day", Decimal(limit)), "root")
    return next(iter((await read_snapshot(database)).budgets))


async def ask(database: Database, replica: str, number: int, used: int, wanted: int) -> int:
    """Return what a replica is granted."""
    window = (number, DAY)
    return (await lease(database, replica, [Demand(window, used, wanted)]))[window].granted


async def test_slices_end_where_the_limit_does(database: Database) -> None:
    """What one holds another does not get; what one gives back another gets."""
    number = await make_budget(database, 100)
    assert await ask(database, "a", number, 0, 60) == 60
    assert await ask(database, "b", number, 0, 60) == 40
    assert await ask(database, "c", number, 0, 1) == 0
    assert await ask(database, "a", number, 10, 10) == 10
    assert await ask(database, "b", number, 40, 95) == 90
    grant = (await lease(database, "c", [Demand((number, DAY), 0, 5)]))[number, DAY]
    assert (grant.granted, grant.others_used, grant.limit) == (0, 50, 100)


async def test_what_no_column_holds_is_kept_as_the_most_it_holds(database: Database) -> None:
    """Such a count ends nobody's work: the budget is used up for everybody."""
    number = await make_budget(database, 100)
    await ask(database, "a", number, 10 * MOST_STORED, 10 * MOST_STORED)
    grant = (await lease(database, "b", [Demand((number, DAY), 0, 5)]))[number, DAY]
    assert (grant.granted, grant.others_used) == (0, MOST_STORED)


async def test_many_replicas_at_once_are_granted_the_limit_and_no_more(database: Database) -> None:
    """Whatever the order in which their transactions come."""
    number = await make_budget(database, 1000)
    wanted = [random.Random(seed).randint(1, 120) for seed in range(40)]  # noqa: S311
    grants = await asyncio.gather(*(ask(database, f"r{n}", number, 0, w) for n, w in enumerate(wanted)))
    assert sum(wanted) > 1000
    assert sum(grants) == 1000


async def test_what_was_used_before_the_budget_was_set_counts(database: Database) -> None:
    """A budget set at noon knows the morning, and a second replica does not count it twice."""
    number = await make_budget(database, 100)
    async with database.begin(writes=True) as connection:
        await connection.execute(update(budgets).values(since=NOON + timedelta(seconds=1)))
    await insert_usage(database, [used("a"), used("b"), used("c", NOON - timedelta(days=1))])
    assert await ask(database, "a", number, 0, 1000) == 70
    await insert_usage(database, [used("d", NOON + timedelta(seconds=2))])
    assert await ask(database, "a", number, 15, 15) == 15
    assert await ask(database, "b", number, 0, 1000) == 55


async def test_a_replica_that_went_silent_keeps_only_what_it_used(database: Database) -> None:
    """A slice is not lost with the process that held it."""
    number = await make_budget(database, 100)
    assert await ask(database, "a", number, 30, 100) == 100
    assert await ask(database, "b", number, 0, 100) == 0
    async with database.begin(writes=True) as connection:
        await connection.execute(update(budget_leases).values(expires_at=datetime.now(UTC)))
    assert await ask(database, "b", number, 0, 100) == 70


async def test_more_used_than_granted_is_taken_from_the_others(database: Database) -> None:
    """An overshoot is known to all, and a lowered limit holds at once."""
    number = await make_budget(database, 100)
    await ask(database, "a", number, 0, 50)
    assert await ask(database, "a", number, 80, 80) == 80
    assert await ask(database, "b", number, 0, 50) == 20
    await set_budget(database, Budget("team", "red", "tokens", "day", Decimal(90)), "root")
    assert await ask(database, "b", number, 5, 50) == 10


async def test_a_budget_that_is_gone_is_not_in_the_answer(database: Database) -> None:
    """Its leases went with it."""
    number = await make_budget(database, 100)
    await ask(database, "a", number, 0, 50)
    await remove_budget(database, scope="team", subject="red", unit="tokens", period="day", actor="root")
    assert await lease(database, "a", [Demand((number, DAY), 0, 50)]) == {}


async def test_old_windows_are_forgotten(database: Database) -> None:
    """What ended months ago takes no room."""
    number = await make_budget(database, 100)
    await ask(database, "a", number, 100, 100)
    await forget_old_windows(database, NOON + timedelta(days=61))
    assert await ask(database, "b", number, 0, 100) == 0
    await forget_old_windows(database, NOON + timedelta(days=63))
    assert await ask(database, "b", number, 0, 100) == 100
