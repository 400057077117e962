"""The fields of a form that a signed-in visitor sent, once it is known to be the portal's own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from aiplat.services.portal.context import Portal, portal_of, visitor_at
from aiplat.services.portal.gates import form_of, refused_token
from aiplat.services.portal.visitors import Visitor


async def _portal(request: Request) -> Portal:
    return portal_of(request)


async def _visitor(request: Request) -> Visitor:
    return visitor_at(request)


async def _sent(request: Request) -> dict[str, str]:
    form = await form_of(request)
    if refused_token(visitor_at(request), form):
        raise HTTPException(HTTPStatus.FORBIDDEN, "This form is out of date: load the page again")
    return form


Here = Annotated[Portal, Depends(_portal)]
"""The parameter of a page that needs database, cluster or gateway."""
Signed = Annotated[Visitor, Depends(_visitor)]
"""The parameter of a page that wants to know who is signed in."""
Sent = Annotated[dict[str, str], Depends(_sent)]
"""The parameter of a form: its fields; refused without the visitor's token."""
