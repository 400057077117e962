"""The application: pages, forms, files, and what stands around all of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.services.api.callers import PREFIX
from aiplat.services.api.in_site import create_in_site_app
from aiplat.services.bounds import API_BODY_BYTES
from aiplat.services.envelope import Envelope
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gates import HEADERS, SignedIn
from aiplat.services.portal.pages import (
    activity,
    attention,
    by_name,
    components,
    invited,
    logs,
    mine,
    models,
    people,
    playground,
    runs,
    sign_in,
    usage,
)
from aiplat.services.portal.render import page
from aiplat.services.small_bodies import SmallBodies
from aiplat.services.store.faults import NotThere, Unreachable

log = logging.getLogger("aiplat.portal")

_STATIC = Path(__file__).parent / "static"
_TYPES = {"portal.css": "text/css; charset=utf-8", "portal.js": "text/javascript; charset=utf-8"}


def create_app(portal: Portal) -> ASGIApp:
    """Return the portal of one site, with the control API beside its pages, as an ASGI application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.portal = portal
    for module in (
        attention,
        models,
        playground,
        mine,
        usage,
        components,
        runs,
        logs,
        activity,
        people,
        invited,
        sign_in,
        by_name,
    ):
        app.include_router(module.router)
    for name in _TYPES:
        app.add_api_route(f"/static/{name}", _file(name), methods=["GET"])
    _add_handlers(app)
    app.add_middleware(SmallBodies, most=API_BODY_BYTES)
    pages = Envelope(SignedIn(app, portal), HEADERS, secure=portal.secure)
    return _BesideApi(pages, create_in_site_app(portal.database, portal.entry))


class _BesideApi:
    """Gives what is below the API's path to the API, which knows no cookies; all else to the pages."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self._app, self._api = app, api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_api = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PREFIX}/")
        await (self._api if is_api else self._app)(scope, receive, send)


def _file(name: str) -> Callable[[], Awaitable[Response]]:
    content = (_STATIC / name).read_bytes()

    async def answer() -> Response:
        return Response(content, media_type=_TYPES[name], headers={"Cache-Control": "no-cache"})

    return answer


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(BadInput)
    async def _bad(request: Request, error: BadInput) -> Response:
        return page(request, "wrong.html", 422, title="That is not possible", findings=error.findings)

    @app.exception_handler(Unreachable)
    async def _away(request: Request, error: Unreachable) -> Response:  # noqa: ARG001 - says where it is
        return page(request, "wrong.html", 503, title="The database does not answer", findings=())

    @app.exception_handler(NotThere)
    async def _not_there(request: Request, error: NotThere) -> Response:
        return page(request, "wrong.html", 404, title="That is not there", findings=error.findings)

    @app.exception_handler(AiplatError)
    async def _failed(request: Request, error: AiplatError) -> Response:
        return page(request, "wrong.html", 502, title="That did not work", findings=error.findings)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        # What was sent is not repeated: it may be a secret in the wrong place.
        findings = [Finding(str(detail["loc"][-1]), str(detail["msg"])) for detail in error.errors()]
        return page(request, "wrong.html", 422, title="That is not possible", findings=findings)

    @app.exception_handler(Exception)
    async def _broke(request: Request, error: Exception) -> Response:
        log.error("%s %s broke", request.method, request.url.path, exc_info=error)
        return page(request, "wrong.html", 500, title="The portal met an error of its own", findings=())

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return page(request, "wrong.html", error.status_code, title=str(error.detail), findings=())
