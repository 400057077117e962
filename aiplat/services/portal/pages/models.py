"""What can be used: the models that the key may use, and how each Model of the cluster stands."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiplat.services.portal.asking import secret_for
from aiplat.services.portal.gateway import GatewayRefusalError
from aiplat.services.portal.pages.forms import Here, Signed
from aiplat.services.portal.render import page

router = APIRouter()


@router.get("/models")
async def models(request: Request, here: Here, visitor: Signed) -> Response:
    """Show what the gateway offers to the key, with what the cluster says of it."""
    fault = ""
    try:
        offered = await here.gateway.models(await secret_for(here, visitor))
    except GatewayRefusalError as error:
        offered, fault = [], str(error)
    seen = await to_thread.run_sync(here.look)
    by_name = {model.served_as: model for model in seen.models if model.served_as}
    others = [m for m in seen.models if m.served_as not in offered] if visitor.has("operator") else []
    return page(
        request, "models.html", offered=offered, by_name=by_name, others=others, fault=fault, seen=seen
    )
