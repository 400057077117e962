"""Signing in by name: to the site's sign-in, and back from it."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from aiplat.errors import AiplatError
from aiplat.services.oidc.code_flow import Begun, address, finished
from aiplat.services.oidc.entry import Entry, noted
from aiplat.services.oidc.issuer import IssuerRefusalError
from aiplat.services.oidc.verify import TokenRefusedError
from aiplat.services.portal.asking import secret_for
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gates import begun_at, set_begun, set_session
from aiplat.services.portal.gateway import GatewayRefusalError
from aiplat.services.portal.pages.forms import Here
from aiplat.services.portal.pages.sign_in import known_page
from aiplat.services.portal.render import page
from aiplat.services.portal.visitors import Session, visitor_of
from aiplat.services.store.audit import AuditEntry, append_audit
from aiplat.services.store.people import KnownPerson

router = APIRouter()


@router.get("/sign-in/by-name")
async def begin(request: Request, here: Here, then: str = "/") -> Response:
    """Send the browser to the site's sign-in."""
    entry, begun = _entry(here), Begun.new(known_page(then))
    try:
        answer = RedirectResponse(await address(entry, begun, _redirect(entry)), HTTPStatus.SEE_OTHER)
    except AiplatError as error:
        return _refused(request, str(error), HTTPStatus.BAD_GATEWAY)
    set_begun(answer, here, begun)
    return answer


@router.get("/signed-in")
async def end(request: Request, here: Here) -> Response:
    """Begin a session for who comes back from the site's sign-in."""
    entry, begun = _entry(here), begun_at(request, here)
    if begun is None:
        return _refused(request, "This sign-in is over, or was begun in another browser: begin it again.")
    try:
        who, token = await finished(entry, begun, request.query_params, _redirect(entry))
    except (TokenRefusedError, IssuerRefusalError) as error:
        answer = _refused(request, str(error))
    except AiplatError as error:
        answer = _refused(request, str(error), HTTPStatus.BAD_GATEWAY)
    else:
        person = await noted(here.database, who)
        answer = await _entered(request, here, person, begun, token)
    set_begun(answer, here, None)
    return answer


async def _entered(request: Request, here: Portal, person: KnownPerson, begun: Begun, token: str) -> Response:
    if person.role is None:
        return _refused(request, f"{person.name} is in none of the groups that may use this site.")
    await append_audit(here.database, AuditEntry(person.id, "portal.signed-in", person.id, origin="portal"))
    session = Session.of_person(person.id, token)
    visitor = await visitor_of(here.database, session)
    if visitor is not None:
        # Made now, so that the gateway knows it by the time that somebody asks.
        with suppress(GatewayRefusalError):
            await secret_for(here, visitor)
    answer = RedirectResponse(begun.then, HTTPStatus.SEE_OTHER)
    set_session(answer, here, session)
    return answer


def _entry(here: Portal) -> Entry:
    if here.entry is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "This site has no sign-in by name")
    return here.entry


def _redirect(entry: Entry) -> str:
    return f"{entry.sign_in.url}/signed-in"


def _refused(request: Request, problem: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> Response:
    return page(request, "sign-in.html", status, then="/", problem=problem)
