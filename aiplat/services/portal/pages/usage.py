"""Who used what: by team, key, model or day, as a table or as CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from aiplat.services.portal.context import Portal
from aiplat.services.portal.pages.forms import Here, Signed
from aiplat.services.portal.render import page
from aiplat.services.portal.visitors import Visitor
from aiplat.services.store.keys import list_keys
from aiplat.services.store.money import amount
from aiplat.services.store.usage import Group, UsageQuery, UsageSum, sum_usage

router = APIRouter()

By = Literal["team", "key", "model", "day"]
Days = Annotated[int, Query(ge=1, le=366)]
_COLUMNS = ("requests", "failed", "prompt_tokens", "completion_tokens", "cost")
# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@router.get("/usage")
async def usage(request: Request, here: Here, visitor: Signed, by: By = "model", days: Days = 30) -> Response:
    """Show the sums; a member sees its own team's, or its own where it belongs to none."""
    sums = await _sums(here, visitor, by, days)
    most = max((s.prompt_tokens + s.completion_tokens for s in sums), default=0)
    names, kinds = await _names(here, visitor, by), By.__args__  # type: ignore[attr-defined]
    return page(request, "usage.html", sums=sums, by=by, days=days, most=most, names=names, kinds=kinds)


@router.get("/usage.csv")
async def exported(here: Here, visitor: Signed, by: By = "model", days: Days = 30) -> Response:
    """Return the same sums as CSV."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow([by, *_COLUMNS])
    for total in await _sums(here, visitor, by, days):
        rows.writerow([_cell(str(getattr(total, by) or "")), *_numbers(total)])
    headers = {"Content-Disposition": f'attachment; filename="usage-by-{by}.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


async def _names(here: Portal, visitor: Visitor, by: Group) -> dict[str, str]:
    """Return what keys are called, also those that are revoked: they were used."""
    if by != "key":
        return {}
    return {key.id: key.name for key in await list_keys(here.database, visitor.team_seen, revoked=True)}


async def _sums(here: Portal, visitor: Visitor, by: Group, days: int) -> list[UsageSum]:
    since = datetime.now(UTC) - timedelta(days=days)
    team = visitor.team_seen
    # Who has no team sees itself alone.
    keys = await _own(here, visitor) if team == "" else None
    query = UsageQuery(since=since, team=team or None, keys=keys, group_by=(by,))
    return await sum_usage(here.database, query)


async def _own(here: Portal, visitor: Visitor) -> tuple[str, ...]:
    if visitor.person is None:
        return (visitor.id,)
    return tuple(key.id for key in await list_keys(here.database, owner=visitor.id, revoked=True))


def _numbers(total: UsageSum) -> list[str]:
    return [*(str(getattr(total, name)) for name in _COLUMNS[:-1]), amount(total.cost)]


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
