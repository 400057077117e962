"""The application in the site: keys, teams, usage, audit; of all else it says where that is answered."""

from __future__ import annotations

from starlette.types import ASGIApp

from aiplat.services.api.accounts_context import InSite
from aiplat.services.api.assembly import bare_app, wrapped
from aiplat.services.api.routes import audit, elsewhere, health, keys, me, teams, usage
from aiplat.services.store.database import Database

_MODULES = (health, me, keys, teams, usage, audit, elsewhere)
_DESCRIPTION = """Keys, teams, budgets, usage and the audit trail of a site, from inside of it.

Every request but `/health` and this description needs an API key (`Authorization: Bearer …`). Its role
decides: a **member** sees what its own team has and uses, an **operator** what all teams do, an **admin**
also makes keys and teams and reads the audit trail. What is about hosts and the site file (`/site`, `/plans`,
`/runs`, …) is answered where the SSH keys are, by `aiplat serve api`. Errors are problem documents
(RFC 9457).
"""


def create_in_site_app(database: Database) -> ASGIApp:
    """Return the API over a site's database as an ASGI application."""
    return wrapped(bare_app(InSite(database), (module.router for module in _MODULES), _DESCRIPTION))
