"""The application in the site: keys, teams, usage, audit; of all else it says where that is answered."""

from __future__ import annotations

from starlette.types import ASGIApp

from aiplat.services.api.accounts_context import InSite
from aiplat.services.api.assembly import bare_app, wrapped
from aiplat.services.api.routes import audit, elsewhere, health, keys, me, people, teams, usage
from aiplat.services.oidc.entry import Entry
from aiplat.services.store.database import Database

_MODULES = (health, me, keys, people, teams, usage, audit, elsewhere)
_DESCRIPTION = """Keys, teams, people, budgets, usage and the audit trail of a site, from inside of it.

Every request but `/health` and this description needs an API key, or an ID token of the site's sign-in
(`Authorization: Bearer …`; `aiplat login --token-only` prints one). The role decides: a **member** sees what
its own team has and uses, an **operator** what all teams do, an **admin** also makes keys and teams, adds,
groups, locks and removes people, and reads the audit trail. Who signed in by name also makes and ends keys
of its own. What is about hosts and the site file (`/site`, `/plans`, `/runs`, …) is answered where the SSH
keys are, by `aiplat serve api`. Errors are problem documents (RFC 9457).
"""


def create_in_site_app(database: Database, entry: Entry | None = None) -> ASGIApp:
    """Return the API over a site's database as an ASGI application; `entry` is the site's sign-in."""
    here = InSite(database, entry=entry)
    return wrapped(bare_app(here, (module.router for module in _MODULES), _DESCRIPTION), entry)
