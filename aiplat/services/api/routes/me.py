"""/me: what the key of the request may do, has left and used; needs no admin, and shows nobody else."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from aiplat.services.api.accounts import MODEL, BudgetView, KeyView, Moment, TeamView
from aiplat.services.api.accounts_context import AccountsContext, Here
from aiplat.services.api.callers import Asking, Caller, needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import problems
from aiplat.services.api.routes.usage import counted
from aiplat.services.store.budgets import BudgetState, budget_states
from aiplat.services.store.keys import get_key
from aiplat.services.store.money import amount
from aiplat.services.store.teams import get_team
from aiplat.services.store.usage import UsageQuery, UsageSum, sum_usage

router = APIRouter(prefix="/me", tags=["me"], responses=problems(401, 403, 503))


class BudgetLeft(BudgetView):
    """A budget that binds the key: its own, or its team's; `left` is never below 0."""

    scope: Literal["key", "team"]
    left: str


class Me(Document):
    """The key of the request. `old_secret`: it has another secret by now, and this one is in its grace."""

    key: KeyView
    old_secret: bool
    team: TeamView | None
    budgets: tuple[BudgetLeft, ...]


class MyGroups(Document):
    """Which of the key's requests are meant, and what they are added up by."""

    since: Moment | None = Field(default=None, description="Those from here on.")
    until: Moment | None = Field(default=None, description="Those before this.")
    model: str | None = Field(default=None, pattern=MODEL)
    group_by: tuple[Literal["model", "day"], ...] = Field(
        default=(), max_length=2, description="Left out: one sum over all."
    )


class MyUsageLine(Document):
    """A sum. What was not grouped by is null; `estimated` counts requests whose tokens are an estimate."""

    model: str | None
    day: date | None
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    estimated: int
    cost: str


class MyUsage(Document):
    """What the key used, and what that cost in the money of the site's prices."""

    lines: tuple[MyUsageLine, ...]


@router.get("", operation_id="getMe", **needs("member"))
async def get_me(here: Here, caller: Asking) -> Me:
    """Return the key of the request, its team, and what is left of the budgets that bind it."""
    return Me(
        key=KeyView.of(await get_key(here.database, caller.key)),
        old_secret=caller.old_secret,
        team=TeamView.of(await get_team(here.database, caller.team)) if caller.team else None,
        budgets=tuple(map(_left, await _binding(here, caller))),
    )


@router.get("/usage", operation_id="getMyUsage", responses=problems(422), **needs("member"))
async def get_my_usage(here: Here, caller: Asking, wanted: Annotated[MyGroups, Query()]) -> MyUsage:
    """Return what the key of the request used, added up."""
    query = UsageQuery(
        since=wanted.since, until=wanted.until, key=caller.key, model=wanted.model, group_by=wanted.group_by
    )
    return MyUsage(lines=tuple(map(_line, await sum_usage(here.database, query))))


async def _binding(here: AccountsContext, caller: Caller) -> list[BudgetState]:
    own = await budget_states(here.database, "key", caller.key)
    return own + (await budget_states(here.database, "team", caller.team) if caller.team else [])


def _left(state: BudgetState) -> BudgetLeft:
    left = max(Decimal(0), state.budget.limit - state.used)
    return BudgetLeft(**dict(BudgetView.of(state)), scope=state.budget.scope, left=amount(left))


def _line(total: UsageSum) -> MyUsageLine:
    return MyUsageLine(**counted(total), cost=amount(total.cost))
