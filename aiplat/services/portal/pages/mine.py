"""What is the visitor's own: the key, another secret for it, what it used and what is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiplat.services.portal.context import Portal
from aiplat.services.portal.gates import set_session
from aiplat.services.portal.pages.attention import binding
from aiplat.services.portal.pages.forms import Here, Sent, Signed
from aiplat.services.portal.render import page
from aiplat.services.portal.visitors import Session, Visitor
from aiplat.services.store.keys import list_keys, rotate_key
from aiplat.services.store.usage import UsageQuery, sum_usage

router = APIRouter()

_DAYS = 30


@router.get("/mine")
async def mine(request: Request, here: Here, visitor: Signed) -> Response:
    """Show the key, its team's keys, budgets and usage."""
    return await _page(request, here, visitor)


@router.post("/mine/rotate")
async def rotate(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:  # noqa: ARG001
    """Give the visitor's key another secret, show it this once, and go on with it."""
    issued = await rotate_key(here.database, visitor.key.id, visitor.key.id, timedelta(0))
    session = Session(issued.secret, visitor.session.began, visitor.session.used, visitor.session.token)
    answer = await _page(request, here, visitor, secret=issued.secret)
    set_session(answer, here, session)
    return answer


async def _page(request: Request, here: Portal, visitor: Visitor, secret: str = "") -> Response:
    since = datetime.now(UTC) - timedelta(days=_DAYS)
    query = UsageQuery(since=since, key=visitor.key.id, group_by=("model",))
    team = await list_keys(here.database, team=visitor.key.team) if visitor.key.team else []
    return page(
        request,
        "mine.html",
        secret=secret,
        days=_DAYS,
        budgets=await binding(here, visitor),
        used=await sum_usage(here.database, query),
        team_keys=[key for key in team if key.id != visitor.key.id],
    )
