"""The application where the SSH keys are: every router there is; it decides nothing itself."""

from __future__ import annotations

from starlette.types import ASGIApp

from aiplat.services.api.assembly import bare_app, wrapped
from aiplat.services.api.dependencies import ApiContext
from aiplat.services.api.plan_problems import add_plan_handlers
from aiplat.services.api.routes import (
    audit,
    catalog,
    checks,
    health,
    keys,
    me,
    models,
    people,
    plans,
    runs,
    site,
    teams,
    usage,
)

_MODULES = (health, site, models, checks, plans, runs, catalog, me, keys, people, teams, usage, audit)
_DESCRIPTION = """What `aiplat` does on the command line, over HTTP: the same actions and documents.

Every request but `/health` and this description needs an API key (`Authorization: Bearer …`). Its role
decides: a **member** sees the platform and what its own team has and uses, an **operator** also the site,
plans and runs, an **admin** also makes keys and teams and reads the audit trail. Errors are problem documents
(RFC 9457).
"""


def create_app(context: ApiContext) -> ASGIApp:
    """Return the API of one site as an ASGI application."""
    app = bare_app(context, (module.router for module in _MODULES), _DESCRIPTION)
    add_plan_handlers(app)
    return wrapped(app)
