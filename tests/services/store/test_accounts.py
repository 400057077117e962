"""Teams and budgets, usage and audit: what is written is what comes back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from aiplat.errors import BadInput
from aiplat.services.store.audit import AuditEntry, append_audit, list_audit
from aiplat.services.store.budgets import Budget, budget_states, list_budgets, remove_budget, set_budget
from aiplat.services.store.database import Database
from aiplat.services.store.faults import AlreadyThere, NotThere
from aiplat.services.store.keys import NewKey, create_key, get_key, revoke_key
from aiplat.services.store.teams import NewTeam, change_team, create_team, delete_team, get_team, list_teams
from aiplat.services.store.usage import UsageQuery, UsageRow, insert_usage, list_usage, sum_usage

pytestmark = pytest.mark.anyio

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


def used(name: str, at: datetime = NOON, **values: Any) -> UsageRow:
    """Return a request of key `k` in team `red`: 10 tokens in, 5 out, for 2 billionths."""
    fixed: dict[str, Any] = {"key": "k", "team": "red", "model": "m", "endpoint": "/v1", "status": 200}
    fixed |= {"outcome": "done", "prompt_tokens": 10, "completion_tokens": 5, "cost_nano": 2}
    return UsageRow(name, at, **{**fixed, **values})


async def test_a_team_lives_and_ends(database: Database) -> None:
    """Made once, changed, and removed only when no key of it is good any more."""
    made = await create_team(database, NewTeam("red", models=("m",)), "root")
    with pytest.raises(AlreadyThere):
        await create_team(database, NewTeam("red"), "root")
    changed = await change_team(database, "red", "root", description="The red ones", tokens_per_minute=5)
    assert await get_team(database, "red") == changed != made
    issued = await create_key(database, NewKey("a", "red"), "root")
    with pytest.raises(BadInput, match="1 keys that are not revoked"):
        await delete_team(database, "red", "root")
    await revoke_key(database, issued.record.id, "root")
    await set_budget(database, Budget("team", "red", "requests", "day", Decimal(5)), "root")
    await delete_team(database, "red", "root")
    assert await list_teams(database) == []
    assert await list_budgets(database) == []
    assert (await get_key(database, issued.record.id)).team == ""
    with pytest.raises(NotThere):
        await get_team(database, "red")


async def test_a_budget_is_set_replaced_and_removed(database: Database) -> None:
    """One per subject, unit and period."""
    await create_team(database, NewTeam("red"), "root")
    await set_budget(database, Budget("team", "red", "money", "month", Decimal("12.5")), "root")
    await set_budget(database, Budget("team", "red", "money", "month", Decimal("0.000000001")), "root")
    await set_budget(database, Budget("team", "red", "tokens", "month", Decimal(10**12)), "root")
    found = await list_budgets(database, "team", "red")
    assert [(b.unit, b.limit) for b in found] == [
        ("money", Decimal("0.000000001")),
        ("tokens", Decimal(10**12)),
    ]
    which: dict[str, Any] = {"scope": "team", "subject": "red", "unit": "tokens", "period": "month"}
    await remove_budget(database, **which, actor="root")
    assert len(await list_budgets(database)) == 1
    with pytest.raises(NotThere):
        await remove_budget(database, **which, actor="root")


@pytest.mark.parametrize(
    ("budget", "where"),
    [
        (Budget("team", "red", "tokens", "day", Decimal("0.5")), "limit"),
        (Budget("team", "red", "tokens", "day", Decimal(-1)), "limit"),
        (Budget("team", "red", "money", "day", Decimal("NaN")), "limit"),
        (Budget("team", "blue", "tokens", "day", Decimal(1)), "subject"),
        (Budget("team", "red", "words", "week", Decimal(1)), "unit"),  # type: ignore[arg-type]
    ],
)
async def test_a_budget_that_means_nothing_is_refused(database: Database, budget: Budget, where: str) -> None:
    """With the field that is wrong."""
    await create_team(database, NewTeam("red"), "root")
    with pytest.raises(BadInput) as refused:
        await set_budget(database, budget, "root")
    assert refused.value.findings[0].where == where


async def test_what_a_budget_has_left_follows_from_usage(database: Database) -> None:
    """Per unit, in UTC days and months; what lies outside of the window does not count."""
    await create_team(database, NewTeam("red"), "root")
    for unit in ("tokens", "requests", "money"):
        for period in ("day", "month"):
            await set_budget(database, Budget("team", "red", unit, period, Decimal(100)), "root")  # type: ignore[arg-type]
    morning = datetime(2030, 1, 1, tzinfo=UTC)
    rows = [used("a"), used("b", morning), used("c", morning - timedelta(seconds=1)), used("d", team="blue")]
    await insert_usage(database, rows)
    states = await budget_states(database, "team", "red", NOON)
    amounts = {(s.budget.unit, s.budget.period): s.used for s in states}
    assert amounts == {
        ("tokens", "day"): 15,
        ("tokens", "month"): 30,
        ("requests", "day"): 1,
        ("requests", "month"): 2,
        ("money", "day"): Decimal("0.000000002"),
        ("money", "month"): Decimal("0.000000004"),
    }
    assert {(s.window_start, s.window_end) for s in states} == {
        (date(2030, 1, 31), date(2030, 2, 1)),
        (date(2030, 1, 1), date(2030, 2, 1)),
    }


async def test_usage_that_is_sent_again_counts_once(database: Database) -> None:
    """By the request's id, within one batch and across batches of thousands."""
    rows = [used(f"r{number}") for number in range(2500)]
    assert await insert_usage(database, rows) == 2500
    assert await insert_usage(database, [*rows[:10], used("new"), used("new", status=500)]) == 1
    assert await insert_usage(database, []) == 0
    [total] = await sum_usage(database, UsageQuery())
    assert (total.requests, total.prompt_tokens, total.completion_tokens) == (2501, 25010, 12505)
    assert total.cost == Decimal("0.000005002")


async def test_usage_is_summed_by_what_was_asked_for(database: Database) -> None:
    """Any of team, key, model and day; filters cut exactly at their moment."""
    later = NOON + timedelta(days=1)
    rows = [used("a"), used("b", later, model="n", estimated=True), used("c", team="blue", outcome="failed")]
    await insert_usage(database, rows)
    by_team = await sum_usage(database, UsageQuery(group_by=("team",)))
    assert [(s.team, s.requests, s.failed, s.estimated_requests) for s in by_team] == [
        ("blue", 1, 1, 0),
        ("red", 2, 0, 1),
    ]
    by_day = await sum_usage(database, UsageQuery(team="red", group_by=("day", "model")))
    assert [(s.day, s.model, s.team) for s in by_day] == [
        (date(2030, 1, 31), "m", None),
        (date(2030, 2, 1), "n", None),
    ]
    [until] = await sum_usage(database, UsageQuery(since=NOON, until=later))
    assert until.requests == 2
    [nothing] = await sum_usage(database, UsageQuery(key="nobody"))
    assert (nothing.requests, nothing.cost) == (0, 0)


async def test_usage_is_listed_page_by_page(database: Database) -> None:
    """Newest first, none twice, every field as it was written."""
    rows = [used(f"r{n}", NOON + timedelta(seconds=n // 2), first_byte_seconds=0.5) for n in range(5)]
    await insert_usage(database, rows)
    first = await list_usage(database, UsageQuery(), limit=3)
    rest = await list_usage(database, UsageQuery(), limit=3, before=first[-1])
    assert sorted(first + rest, key=lambda row: row.request_id) == rows


async def test_the_audit_is_listed_newest_first_by_filters(database: Database) -> None:
    """Actor, action, subject, time, and pages."""
    lines = [AuditEntry(f"a{n % 2}", "act", f"s{n}", "gateway", {"n": n}, NOON) for n in range(5)]
    await append_audit(database, *lines)
    found = await list_audit(database, actor="a0", limit=2)
    assert [line.subject for line in found] == ["s4", "s2"]
    assert [line.detail for line in await list_audit(database, actor="a0", before_id=found[-1].id)] == [
        {"n": 0}
    ]
    assert await list_audit(database, since=NOON + timedelta(seconds=1)) == []
    assert len(await list_audit(database, until=NOON + timedelta(seconds=1), action="act")) == 5
