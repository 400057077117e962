"""Puts routers, errors, keys and description together to an application; which routers is its caller's."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from aiplat.services.api.accounts_context import AccountsContext
from aiplat.services.api.callers import PREFIX, KeyFirst
from aiplat.services.api.problems import MEDIA_TYPE, add_handlers, problems
from aiplat.services.bounds import API_BODY_BYTES
from aiplat.services.envelope import Envelope
from aiplat.services.oidc.entry import Entry
from aiplat.services.small_bodies import SmallBodies

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SECURITY = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key of aiplat (`sk-aiplat-…`), or in the site an ID token of its sign-in.",
    }
}


def bare_app(context: AccountsContext, routers: Iterable[APIRouter], description: str) -> FastAPI:
    """Return an application of some routers, answering errors by problems; `wrapped` makes it whole."""
    app = FastAPI(
        title="aiplat control API",
        version="v1",
        description=description,
        openapi_url=f"{PREFIX}/openapi.json",
        # Their pages come from a public content network, which an air-gapped site does not reach.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    api = APIRouter(prefix=PREFIX)
    for router in routers:
        api.include_router(router)
    app.include_router(api)
    add_handlers(app)
    app.openapi = cache(lambda: _described(app))  # type: ignore[method-assign] # FastAPI's own way to change it
    return app


def wrapped(app: FastAPI, entry: Entry | None = None) -> ASGIApp:
    """Return an application with what stands around it: keys and people, a limit of size, headers."""
    app.add_middleware(SmallBodies, most=API_BODY_BYTES)
    app.add_middleware(KeyFirst, database=app.state.context.database, entry=entry)
    return Envelope(app, HEADERS)


def _described(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    document["security"] = [{"key": []}]
    document["components"]["securitySchemes"] = _SECURITY
    for path in document["paths"].values():
        for operation in path.values():
            more = problems(400, 413) if "requestBody" in operation else {}
            for status, response in more.items():
                operation["responses"][str(status)] = {"description": response["description"]}
            _describe_problems(operation["responses"])
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document


def _describe_problems(responses: dict[str, Any]) -> None:
    """Give every error the media type of problem documents."""
    for status, response in responses.items():
        if int(status) >= 400:
            schema = {"$ref": "#/components/schemas/Problem"}
            response["content"] = {MEDIA_TYPE: {"schema": schema}}
