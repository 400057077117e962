"""/me: what the key or person that asks may do, has left and used; needs no admin, and shows nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from aiplat.services.api.accounts import MODEL, BudgetView, KeyView, Span, TeamView
from aiplat.services.api.accounts_context import AccountsContext, Here
from aiplat.services.api.callers import Asking, Caller, needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import problems
from aiplat.services.api.routes.usage import counted
from aiplat.services.store.budgets import BudgetState, budget_states
from aiplat.services.store.keys import Role, get_key, list_keys
from aiplat.services.store.money import amount
from aiplat.services.store.teams import get_team
from aiplat.services.store.usage import UsageQuery, UsageSum, sum_usage

router = APIRouter(prefix="/me", tags=["me"], responses=problems(401, 403, 503))


class BudgetLeft(BudgetView):
    """A budget that binds the key: its own, or its team's; `left` is never below 0."""

    scope: Literal["key", "team"]
    left: str


class WhoAsks(Document):
    """Who asks: a key, or a person that signed in by name."""

    id: str
    name: str
    role: Role
    source: Literal["key", "person"]


class OwnKey(Document):
    """One of a person's keys, and what its own budgets have left."""

    key: KeyView
    budgets: tuple[BudgetLeft, ...]


class Me(Document):
    """Who asks. `key` where that is a key, `keys` where it is a person.

    `old_secret`: the key has another secret by now, and this one is in its grace.
    """

    who: WhoAsks
    key: KeyView | None
    old_secret: bool
    keys: tuple[OwnKey, ...]
    team: TeamView | None
    budgets: tuple[BudgetLeft, ...]


class MyGroups(Span):
    """Which of the requests are meant, and what they are added up by."""

    model: str | None = Field(default=None, pattern=MODEL)
    group_by: tuple[Literal["model", "day"], ...] = Field(
        default=(), max_length=2, description="Left out: one sum over all."
    )


class MyUsageLine(Document):
    """A sum. What was not grouped by is null; `estimated` counts requests whose tokens are an estimate.

    A person's are always grouped by key.
    """

    key: str | None
    model: str | None
    day: date | None
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    estimated: int
    cost: str


class MyUsage(Document):
    """What the key or the person's keys used, and what that cost in the money of the site's prices."""

    lines: tuple[MyUsageLine, ...]


@router.get("", operation_id="getMe", **needs("member"))
async def get_me(here: Here, caller: Asking) -> Me:
    """Return who asks, its team, and what is left of the budgets that bind it."""
    team = await budget_states(here.database, "team", caller.team) if caller.team else []
    own = await budget_states(here.database, "key", caller.id)
    return Me(
        who=WhoAsks(id=caller.id, name=caller.name, role=caller.role, source=caller.source),
        key=None if caller.owner else KeyView.of(await get_key(here.database, caller.id)),
        old_secret=caller.old_secret,
        keys=await _own_keys(here, caller),
        team=TeamView.of(await get_team(here.database, caller.team)) if caller.team else None,
        budgets=tuple(map(_left, own + team)),
    )


@router.get("/usage", operation_id="getMyUsage", responses=problems(422), **needs("member"))
async def get_my_usage(here: Here, caller: Asking, wanted: Annotated[MyGroups, Query()]) -> MyUsage:
    """Return what the key of the request used, or each of the person's, added up."""
    query = UsageQuery(since=wanted.since, until=wanted.until, model=wanted.model, group_by=wanted.group_by)
    if caller.owner:
        keys = await list_keys(here.database, owner=caller.owner, revoked=True)
        query = replace(query, keys=tuple(key.id for key in keys), group_by=("key", *wanted.group_by))
    else:
        query = replace(query, key=caller.id)
    return MyUsage(lines=tuple(map(_line, await sum_usage(here.database, query))))


async def _own_keys(here: AccountsContext, caller: Caller) -> tuple[OwnKey, ...]:
    if not caller.owner:
        return ()
    keys = await list_keys(here.database, owner=caller.owner)
    states = [await budget_states(here.database, "key", key.id) for key in keys]
    return tuple(
        OwnKey(key=KeyView.of(key), budgets=tuple(map(_left, of_key)))
        for key, of_key in zip(keys, states, strict=True)
    )


def _left(state: BudgetState) -> BudgetLeft:
    left = max(Decimal(0), state.budget.limit - state.used)
    return BudgetLeft(**dict(BudgetView.of(state)), scope=state.budget.scope, left=amount(left))


def _line(total: UsageSum) -> MyUsageLine:
    return MyUsageLine(key=total.key, **counted(total), cost=amount(total.cost))
