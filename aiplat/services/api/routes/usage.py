"""/usage, /costs: what was used and what it cost; counting it is the gateway's, keeping it the store's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from aiplat.services.api.accounts import KEY_ID, MODEL, TEAM, Span
from aiplat.services.api.accounts_context import AccountsContext, Here
from aiplat.services.api.callers import Asking, Caller, needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import problems
from aiplat.services.bounds import API_ANSWER_PARTS
from aiplat.services.store.money import amount
from aiplat.services.store.usage import Group, UsageQuery, UsageRow, UsageSum, list_usage, sum_usage

router = APIRouter(tags=["usage"], responses=problems(401, 403, 422, 503))

REQUEST_ID = r"^[A-Za-z0-9._-]{1,64}$"
CURSOR = r"^[0-9]{1,16}-[0-9a-f]{32}$"
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Wanted(Span):
    """Which requests are meant, and how they are grouped."""

    team: str | None = Field(default=None, pattern=TEAM, description="A member: its own, or left out.")
    key: str | None = Field(default=None, pattern=KEY_ID, description="A key's id.")
    model: str | None = Field(default=None, pattern=MODEL)

    def query(self, team: str | None, group_by: tuple[Group, ...] = ()) -> UsageQuery:
        """Return the question to the store, about `team` alone where that is given."""
        return UsageQuery(
            since=self.since, until=self.until, team=team, key=self.key, model=self.model, group_by=group_by
        )


class Grouped(Wanted):
    """Which requests are meant, and what they are added up by."""

    group_by: tuple[Group, ...] = Field(default=(), max_length=4, description="Left out: one sum over all.")


class Page(Wanted):
    """Which requests are meant, and how many of them are listed."""

    request_id: str | None = Field(
        default=None, pattern=REQUEST_ID, description="What the gateway called a request, or its client did."
    )
    limit: int = Field(default=100, ge=1, le=API_ANSWER_PARTS)
    before: str | None = Field(
        default=None, pattern=CURSOR, description="The `cursor` of the last one of a page: those behind it."
    )


class UsageLine(Document):
    """A sum. What was not grouped by is null; `estimated` counts requests whose tokens are an estimate."""

    team: str | None
    key: str | None
    model: str | None
    day: date | None
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    estimated: int


class Usage(Document):
    """What was used."""

    lines: tuple[UsageLine, ...]


class CostLine(Document):
    """What it cost, in the money of the site's prices, as a decimal number."""

    team: str | None
    key: str | None
    model: str | None
    day: date | None
    requests: int
    cost: str


class Costs(Document):
    """What was used, in money."""

    total: str
    lines: tuple[CostLine, ...]


class UsedRequest(Document):
    """One request as it was counted; what was asked and answered is kept nowhere.

    `request_id` is what the gateway answered as x-aiplat-request-id, `client_request_id` the x-request-id
    that the client had sent.
    """

    cursor: str
    request_id: str
    client_request_id: str | None
    at: datetime
    team: str
    key: str
    model: str
    status: int
    outcome: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    cost: str
    seconds: float


class UsedRequests(Document):
    """Requests, newest first."""

    requests: tuple[UsedRequest, ...]


@router.get("/usage", operation_id="getUsage", **needs("member"))
async def get_usage(here: Here, caller: Asking, wanted: Annotated[Grouped, Query()]) -> Usage:
    """Return requests and tokens, added up; a member sees its own team's."""
    return Usage(lines=tuple(map(_usage_line, await _sums(here, caller, wanted))))


@router.get("/usage/requests", operation_id="listUsedRequests", **needs("member"))
async def list_requests(here: Here, caller: Asking, wanted: Annotated[Page, Query()]) -> UsedRequests:
    """Return single requests as they were counted; a member sees its own team's."""
    query = wanted.query(caller.team_asked(wanted.team))
    before = _row_before(wanted.before) if wanted.before else None
    query = replace(query, request_id=wanted.request_id)
    rows = await list_usage(here.database, query, limit=wanted.limit, before=before)
    return UsedRequests(requests=tuple(map(_request, rows)))


@router.get("/costs", operation_id="getCosts", **needs("member"))
async def get_costs(here: Here, caller: Asking, wanted: Annotated[Grouped, Query()]) -> Costs:
    """Return what it cost, added up; a member sees its own team's."""
    sums = await _sums(here, caller, wanted)
    total = amount(sum((s.cost for s in sums), start=Decimal(0)))
    return Costs(total=total, lines=tuple(map(_cost_line, sums)))


async def _sums(here: AccountsContext, caller: Caller, wanted: Grouped) -> list[UsageSum]:
    query = wanted.query(caller.team_asked(wanted.team), wanted.group_by)
    return await sum_usage(here.database, query)


def counted(total: UsageSum) -> dict[str, Any]:
    """Return what every line of usage says of a sum, by field: model, day, requests and tokens."""
    same = ("model", "day", "requests", "failed", "prompt_tokens", "completion_tokens")
    return {name: getattr(total, name) for name in same} | {"estimated": total.estimated_requests}


def _usage_line(total: UsageSum) -> UsageLine:
    return UsageLine(team=total.team, key=total.key, **counted(total))


def _cost_line(total: UsageSum) -> CostLine:
    return CostLine(
        team=total.team,
        key=total.key,
        model=total.model,
        day=total.day,
        requests=total.requests,
        cost=amount(total.cost),
    )


def _request(row: UsageRow) -> UsedRequest:
    same = set(UsedRequest.model_fields) - {"cursor", "cost"}
    cursor = f"{(row.at - _EPOCH) // _MICROSECOND}-{row.request_id}"
    return UsedRequest(cursor=cursor, cost=amount(row.cost), **{name: getattr(row, name) for name in same})


def _row_before(cursor: str) -> UsageRow:
    """Return the place of a request in the list; nothing else of it matters there."""
    microseconds, _, request = cursor.partition("-")
    at = _EPOCH + int(microseconds) * _MICROSECOND
    return UsageRow(request, at, key="", team="", model="", endpoint="", status=0, outcome="")
