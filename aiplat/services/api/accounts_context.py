"""What the routes of keys, teams and usage stand on: the database alone, so that they run in the site too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from aiplat.services.oidc.entry import Entry
from aiplat.services.people.desk import Desk, desk_of
from aiplat.services.people.placing import Placing
from aiplat.services.store.database import Database


class AccountsContext(Protocol):
    """An API process as these routes see it."""

    @property
    def database(self) -> Database:
        """Where keys, teams, usage and the audit trail are."""

    @property
    def makes_runs(self) -> bool:
        """Whether runs on hosts are made here."""

    def desk(self) -> Desk:
        """Return where people are managed.

        Raises:
            BadInput: not here, and where.
        """

    def placing(self) -> Placing:
        """Return where people are put into teams."""


@dataclass(frozen=True)
class InSite:
    """An API process in the site: it has the database, and neither the site file nor SSH keys."""

    database: Database
    makes_runs: bool = False
    entry: Entry | None = None

    def desk(self) -> Desk:
        """Return where the people of the site's own sign-in are managed.

        Raises:
            BadInput: the company's sign-in has them, or there is none.
        """
        return desk_of(self.entry, self.database)

    def placing(self) -> Placing:
        """Return where people are put into teams, also those who will sign in."""
        return Placing.of(self.entry, self.database)


# Not in a thread, as a function that is not `async` would be: /health needs none.
async def _context(request: Request) -> AccountsContext:
    context: AccountsContext = request.app.state.context
    return context


Here = Annotated[AccountsContext, Depends(_context)]
"""The parameter of a route that needs the database alone."""
