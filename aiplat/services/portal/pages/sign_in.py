"""Signing in with an API key, and out again, also of the site's sign-in."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from aiplat.errors import AiplatError
from aiplat.services.oidc.code_flow import farewell
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gates import form_of, set_session
from aiplat.services.portal.pages.forms import Here, Sent, Signed
from aiplat.services.portal.paths import READ
from aiplat.services.portal.render import page, page_of
from aiplat.services.portal.visitors import Session, Visitor, leave
from aiplat.services.store.audit import AuditEntry, append_audit
from aiplat.services.store.keys import find_key

router = APIRouter()


@router.get("/sign-in")
async def ask(request: Request, then: str = "/") -> Response:
    """Show where somebody signs in."""
    return page(request, "sign-in.html", then=known_page(then), problem="")


@router.post("/sign-in")
async def sign_in(request: Request, here: Here) -> Response:
    """Begin a session where the key is known; say no more than that it is not where it is not."""
    form = await form_of(request)
    then = known_page(form.get("then", "/"))
    key = await find_key(here.database, form.get("key", "").strip())
    if key is None or key.old_secret:
        problem = "This key is not known, was revoked or replaced, or is past its time."
        return page(request, "sign-in.html", HTTPStatus.FORBIDDEN, then=then, problem=problem)
    await append_audit(here.database, AuditEntry(key.id, "portal.signed-in", key.id, origin="portal"))
    answer = RedirectResponse(then, HTTPStatus.SEE_OTHER)
    set_session(answer, here, Session.begin(form["key"].strip()))
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:  # noqa: ARG001
    """End the session, in copies of the cookie too, and the one at the site's sign-in."""
    await leave(here.database, visitor.session)
    await append_audit(
        here.database, AuditEntry(visitor.id, "portal.signed-out", visitor.id, origin="portal")
    )
    onward = await _onward(here, visitor)
    answer: Response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    if onward:
        # Not a redirect: what a form leads to must be this host, says the policy of the pages.
        answer = page_of(here, None, request.url.path, "signed-out.html", onward=onward)
        answer.headers["Refresh"] = f"0; url={onward}"
    set_session(answer, here, None)
    return answer


async def _onward(here: Portal, visitor: Visitor) -> str:
    if visitor.person is None or here.entry is None:
        return ""
    try:
        return await farewell(here.entry, visitor.session.hint, f"{here.entry.sign_in.url}/sign-in")
    except AiplatError:
        # The session here ends whatever the issuer does.
        return ""


def known_page(then: str) -> str:
    """Return a page of the portal to go to: never an address that somebody else put into a link."""
    return then if then in READ else "/"
