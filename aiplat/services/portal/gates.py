"""What every request passes: who is signed in, whether a form is our own; headers of every answer."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiplat.errors import BadInput, Finding
from aiplat.services.bounds import API_BODY_BYTES
from aiplat.services.oidc.code_flow import Begun
from aiplat.services.portal.context import Portal
from aiplat.services.portal.paths import OPEN, READ, STREAMED, role_for
from aiplat.services.portal.render import page_of
from aiplat.services.portal.visitors import BEGUN_SECONDS, SESSION_SECONDS, Session, Visitor, visitor_of
from aiplat.services.request_id import REQUEST
from aiplat.services.store.faults import Unreachable

COOKIE = "aiplat-portal"
TOKEN = "token"  # noqa: S105 - the name of a field
_READS = {"GET", "HEAD"}
_FIELDS = 64
_NO = {HTTPStatus.FORBIDDEN: "That is not for you", HTTPStatus.NOT_FOUND: "That is not there"}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def cookie_name(*, secure: bool) -> str:
    """Return the cookie's name; with the prefix browsers take it from this host alone, and over TLS."""
    return f"__Host-{COOKIE}" if secure else COOKIE


def set_session(answer: Response, portal: Portal, session: Session | None) -> None:
    """Have an answer keep a session in the browser, or end it."""
    closed = portal.seal.closed(session) if session else ""
    _keep(answer, portal, cookie_name(secure=portal.secure), closed, SESSION_SECONDS)


def set_begun(answer: Response, portal: Portal, begun: Begun | None) -> None:
    """Have the browser keep a sign-in that it began, or forget it."""
    aside = portal.seal.set_aside(begun) if begun else ""
    _keep(answer, portal, f"{cookie_name(secure=portal.secure)}-begun", aside, BEGUN_SECONDS)


def _keep(answer: Response, portal: Portal, name: str, value: str, seconds: int) -> None:
    """Have the browser keep a cookie that no script reads and no other page sends; an empty one goes away."""
    answer.set_cookie(
        name,
        value,
        max_age=seconds if value else 0,
        path="/",
        secure=portal.secure,
        httponly=True,
        samesite="lax",
    )


def begun_at(request: Request, portal: Portal) -> Begun | None:
    """Return the sign-in that a browser began, or None where it began none or too long ago."""
    cookie = request.cookies.get(f"{cookie_name(secure=portal.secure)}-begun")
    return portal.seal.taken_up(cookie) if cookie else None


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form; of a field that is there twice the last."""
    body = (await request.body())[:API_BODY_BYTES]
    text = body.decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError as error:
        raise BadInput(Finding("form", "has too many fields")) from error


class SignedIn:
    """Lets in who is signed in and has the role; without a session not even which pages exist is told."""

    def __init__(self, app: ASGIApp, portal: Portal) -> None:
        self._app, self._portal = app, portal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if request.method not in _READS and not _of_this_host(request):
            refusal = self._refused(request, HTTPStatus.FORBIDDEN, "This form was not sent from the portal.")
            await refusal(scope, receive, send)
        elif request.url.path in OPEN:
            await self._app(scope, receive, send)
        else:
            await self._with_visitor(request, scope, receive, send)

    async def _with_visitor(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            visitor = await self._visitor(request)
        except Unreachable:
            away = "The database does not answer. Try again in a moment."
            await self._refused(request, HTTPStatus.SERVICE_UNAVAILABLE, away)(scope, receive, send)
            return
        refusal = self._refusal(request, visitor) if visitor else self._to_sign_in(request)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["visitor"] = visitor
        goes_on = visitor and request.url.path not in STREAMED
        await self._app(scope, receive, self._going_on(visitor, send) if visitor and goes_on else send)

    def _going_on(self, visitor: Visitor, send: Send) -> Send:
        """Return a `send` that writes down in the cookie that the session was used."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "set-cookie" not in headers:
                    kept = Response()
                    set_session(kept, self._portal, visitor.session)
                    headers["set-cookie"] = kept.headers["set-cookie"]
            await send(message)

        return sending

    def _to_sign_in(self, request: Request) -> Response:
        path = request.url.path
        if request.method not in _READS:
            return self._refused(request, HTTPStatus.UNAUTHORIZED, "Your session is over: sign in again.")
        then = f"?then={path}" if path in READ and path != "/" else ""
        answer = RedirectResponse(f"/sign-in{then}", HTTPStatus.SEE_OTHER)
        set_session(answer, self._portal, None)
        return answer

    def _refusal(self, request: Request, visitor: Visitor) -> Response | None:
        """Return what a visitor is told who asks for what is not there, or for another role."""
        role = role_for("GET" if request.method in _READS else request.method, request.url.path)
        if role is None:
            return self._refused(request, HTTPStatus.NOT_FOUND, "There is no such page.", visitor)
        if not visitor.has(role):
            text = f"This needs the role {role}; your key has the role {visitor.role}."
            return self._refused(request, HTTPStatus.FORBIDDEN, text, visitor)
        return None

    def _refused(
        self, request: Request, status: HTTPStatus, text: str, visitor: Visitor | None = None
    ) -> Response:
        """Say no: to people with a page that leads on, to scripts with the sentence alone."""
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{text} (request {REQUEST.get()})\n", status)
        shown = {"title": _NO.get(status, status.phrase), "findings": [text]}
        return page_of(self._portal, visitor, request.url.path, "wrong.html", status, **shown)

    async def _visitor(self, request: Request) -> Visitor | None:
        cookie = request.cookies.get(cookie_name(secure=self._portal.secure))
        session = self._portal.seal.opened(cookie) if cookie else None
        return await visitor_of(self._portal.database, session) if session else None


def refused_token(visitor: Visitor, form: dict[str, str]) -> bool:
    """Whether a form lacks the token that the visitor's own pages have: another site may have had it sent."""
    return not secrets.compare_digest(form.get(TOKEN, "").encode(), visitor.session.token.encode())


def _of_this_host(request: Request) -> bool:
    """Whether a browser says that a form came from this host; other clients say nothing."""
    headers = Headers(scope=request.scope)
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")
