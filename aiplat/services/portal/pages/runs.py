"""What is happening: the newest run, live, with plan and reasons; earlier runs; events of the cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from sse_starlette import ServerSentEvent

from aiplat.cluster.run_reports import KeptReport
from aiplat.errors import Finding
from aiplat.services.portal.pages.forms import Here, Signed
from aiplat.services.portal.render import fragment, page
from aiplat.services.portal.runs import Happening, is_silent
from aiplat.services.portal.streams import streamed
from aiplat.services.store.faults import NotThere

router = APIRouter()

Version = Annotated[str, Header(alias="last-event-id", max_length=200)]


@router.get("/runs")
async def runs(request: Request, here: Here, run: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Show a run, the newest one where none is named, and what else happened."""
    seen = await here.runs.happening() if here.runs else Happening(fault="there is no cluster here")
    kept = seen.run(run)
    if run and kept is None and not seen.fault:
        raise NotThere([Finding(f"run {run}", "is not known here", "choose one of the list")])
    live = not seen.fault and kept == seen.run("")
    return page(request, "runs.html", **_shown(kept), seen=seen, live=live, version=_version(kept))


@router.get("/runs/stream")
async def stream(
    here: Here, visitor: Signed, seen: Version = "", version: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Send the newest run again whenever something of it is new."""
    sent = seen or version

    async def look() -> ServerSentEvent | None:
        nonlocal sent
        kept = await here.runs.newest() if here.runs else None
        if kept is None or _version(kept) == sent:
            return None
        sent = _version(kept)
        return ServerSentEvent(fragment("_run.html", **_shown(kept)), event="whole", id=sent, sep="\n")

    return streamed(here.streams, visitor.id, look)


def _shown(kept: KeptReport | None) -> dict[str, Any]:
    silent = kept is not None and is_silent(kept)
    return {"run": kept.report if kept else None, "silent": silent, "arrived": kept.arrived if kept else None}


def _version(kept: KeptReport | None) -> str:
    return f"{kept.version}{'-silent' if is_silent(kept, datetime.now(UTC)) else ''}" if kept else ""
