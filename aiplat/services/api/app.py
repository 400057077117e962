"""The application: routers, errors, keys, description, put together; it decides nothing itself."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from aiplat.services.api.callers import PREFIX, KeyFirst
from aiplat.services.api.dependencies import ApiContext
from aiplat.services.api.envelope import Envelope
from aiplat.services.api.problems import MEDIA_TYPE, add_handlers, problems
from aiplat.services.api.routes import (
    audit,
    catalog,
    checks,
    health,
    keys,
    me,
    models,
    plans,
    runs,
    site,
    teams,
    usage,
)
from aiplat.services.bounds import API_BODY_BYTES
from aiplat.services.small_bodies import SmallBodies

_DESCRIPTION = """What `aiplat` does on the command line, over HTTP: the same actions and documents.

Every request but `/health` and this description needs an API key (`Authorization: Bearer …`). Its role
decides: a **member** sees the platform and what its own team has and uses, an **operator** also the site,
plans and runs, an **admin** also makes keys and teams and reads the audit trail. Errors are problem documents
(RFC 9457).
"""
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key of aiplat: `sk-aiplat-…`."}
}


def create_app(context: ApiContext) -> ASGIApp:
    """Return the API of one site as an ASGI application."""
    app = FastAPI(
        title="aiplat control API",
        version="v1",
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        # Their pages come from a public content network, which an air-gapped site does not reach.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    api = APIRouter(prefix=PREFIX)
    for module in (health, site, models, checks, plans, runs, catalog, me, keys, teams, usage, audit):
        api.include_router(module.router)
    app.include_router(api)
    add_handlers(app)
    app.add_middleware(SmallBodies, most=API_BODY_BYTES)
    app.add_middleware(KeyFirst, database=context.database)
    app.openapi = cache(lambda: _described(app))  # type: ignore[method-assign] # FastAPI's own way to change it
    return Envelope(app)


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
