"""What happened: the audit trail, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from aiplat.services.portal.pages.forms import Here
from aiplat.services.portal.render import page
from aiplat.services.store.audit import list_audit

router = APIRouter()

_LINES = 100


@router.get("/activity")
async def activity(
    request: Request, here: Here, before: Annotated[int | None, Query(ge=1)] = None
) -> Response:
    """Show who did what to which key, team or budget."""
    entries = await list_audit(here.database, before_id=before, limit=_LINES)
    older = entries[-1].id if len(entries) == _LINES else None
    return page(request, "activity.html", entries=entries, older=older)
