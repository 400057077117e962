"""What runs here: the components of the site with their versions and licences, and the nodes."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiplat.services.portal.pages.forms import Here
from aiplat.services.portal.render import page

router = APIRouter()


@router.get("/components")
async def components(request: Request, here: Here) -> Response:
    """Show what the site's lock names."""
    seen = await to_thread.run_sync(here.look)
    return page(request, "components.html", components=here.components, seen=seen)
