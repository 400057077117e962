"""Signing in with an API key, and out again."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from aiplat.services.portal.gates import form_of, set_session
from aiplat.services.portal.pages.forms import Here, Sent
from aiplat.services.portal.paths import READ
from aiplat.services.portal.render import page
from aiplat.services.portal.visitors import Session
from aiplat.services.store.audit import AuditEntry, append_audit
from aiplat.services.store.keys import find_key

router = APIRouter()


@router.get("/sign-in")
async def ask(request: Request, then: str = "/") -> Response:
    """Show where a key is entered."""
    return page(request, "sign-in.html", then=_known(then), problem="")


@router.post("/sign-in")
async def sign_in(request: Request, here: Here) -> Response:
    """Begin a session where the key is known; say no more than that it is not where it is not."""
    form = await form_of(request)
    then = _known(form.get("then", "/"))
    key = await find_key(here.database, form.get("key", "").strip())
    if key is None or key.old_secret:
        problem = "This key is not known, was revoked or replaced, or is past its time."
        return page(request, "sign-in.html", HTTPStatus.FORBIDDEN, then=then, problem=problem)
    await append_audit(here.database, AuditEntry(key.id, "portal.signed-in", key.id, origin="portal"))
    answer = RedirectResponse(then, HTTPStatus.SEE_OTHER)
    set_session(answer, here, Session.begin(form["key"].strip()))
    return answer


@router.post("/sign-out")
async def sign_out(here: Here, form: Sent) -> Response:  # noqa: ARG001 - the token is what matters
    """End the session."""
    answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    set_session(answer, here, None)
    return answer


def _known(then: str) -> str:
    """Return a page of the portal to go to: never an address that somebody else put into a link."""
    return then if then in READ else "/"
