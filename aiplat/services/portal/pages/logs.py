"""What a component wrote: its newest lines with time and level, then those that follow, live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, Field
from sse_starlette import ServerSentEvent

from aiplat.cluster.log_line import LEVELS, Level, LogLine
from aiplat.frozen import Frozen
from aiplat.moments import reached
from aiplat.services.portal.pages.forms import Here, Signed
from aiplat.services.portal.render import fragment, page
from aiplat.services.portal.streams import streamed

router = APIRouter()

Since = Literal["5 minutes", "1 hour", "6 hours", "1 day"]
_SPANS: dict[Since, timedelta] = {
    "5 minutes": timedelta(minutes=5),
    "1 hour": timedelta(hours=1),
    "6 hours": timedelta(hours=6),
    "1 day": timedelta(days=1),
}
# Who was away for longer reads the page again.
_MOST_BEHIND = timedelta(minutes=10)
Name = Annotated[str, Field(max_length=63)]


@router.get("/logs")
async def logs(
    request: Request, here: Here, component: Name = "", level: Level = "info", since: Since = "1 hour"
) -> Response:
    """Show the newest lines of a component."""
    lines = await here.logs.newest(component, _SPANS[since], level) if here.logs and component else []
    last = lines[-1].time if lines else datetime.now(UTC)
    asked = urlencode({"component": component, "level": level, "after": last.isoformat()})
    chosen: dict[str, Any] = {"component": component, "level": level, "since": since}
    chosen |= {"names": here.logs.names if here.logs else [], "levels": LEVELS, "spans": tuple(_SPANS)}
    return page(request, "logs.html", lines=lines, asked=asked, **chosen)


Reached = Annotated[datetime, AfterValidator(reached)]


class Followed(Frozen):
    """What a page that is open asks for."""

    component: Name
    level: Level = "info"
    after: Reached


@router.get("/logs/stream")
async def stream(
    here: Here,
    visitor: Signed,
    wanted: Annotated[Followed, Query()],
    seen: Annotated[Reached | None, Header(alias="last-event-id")] = None,
) -> Response:
    """Send the lines that follow, as they are written."""
    last = max(_zoned(seen or wanted.after), datetime.now(UTC) - _MOST_BEHIND)
    tail = here.logs.follow(wanted.component, wanted.level, last) if here.logs else None

    async def look() -> ServerSentEvent | None:
        lines: list[LogLine] = await tail.read() if tail else []
        if not lines:
            return None
        told = fragment("_lines.html", lines=lines)
        return ServerSentEvent(told, event="more", id=lines[-1].time.isoformat(), sep="\n")

    return streamed(here.streams, visitor.id, look)


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
