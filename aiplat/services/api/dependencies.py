"""What the routers stand on: site, database, and whether runs are made here; what they do is theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from aiplat.errors import BadInput, Finding
from aiplat.services.api.callers import Caller
from aiplat.services.api.launch import Launcher
from aiplat.services.api.problems import runs_elsewhere
from aiplat.services.api.reports import Reports
from aiplat.services.bounds import API_LOOKS
from aiplat.services.people.desk import Desk
from aiplat.services.people.placing import Placing
from aiplat.services.store.audit import AuditEntry, append_audit
from aiplat.services.store.database import Database
from aiplat.site.load import load_site
from aiplat.site.models import Site

T = TypeVar("T")


@dataclass(frozen=True)
class ApiContext:
    """One API process. `launcher` is None where it only reads."""

    site_file: Path
    database: Database
    launcher: Launcher | None
    reports: Reports
    _looks: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(API_LOOKS))

    @property
    def makes_runs(self) -> bool:
        """Whether runs on hosts are made here."""
        return self.launcher is not None

    def desk(self) -> Desk:
        """Return where people are managed: never here, where the sign-in is out of reach.

        Raises:
            BadInput: always, and where.
        """
        fix = "ask there, at /api/v1/people of the portal, or use `aiplat users`"
        raise BadInput(Finding("people", "are managed in the site, not by this API", fix))

    def placing(self) -> Placing:
        """Return where people are put into teams: who signed in alone, where the sign-in is out of reach."""
        return Placing(self.database)

    def site(self) -> Site:
        """Return the site as its file is now.

        Raises:
            BadInput: the file cannot be worked with.
        """
        return load_site(self.site_file)

    async def look(self, work: Callable[[], T]) -> T:
        """Do what asks hosts or a cluster, in threads of its own: what is quick never waits for it."""
        return await to_thread.run_sync(work, limiter=self._looks)

    async def note(self, caller: Caller, action: str, subject: str, detail: dict[str, Any]) -> None:
        """Write into the audit trail that a caller did something; `detail` must hold no secrets."""
        await append_audit(self.database, AuditEntry(caller.id, action, subject, detail=detail))


async def _context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


async def _launcher(request: Request) -> Launcher:
    launcher = (await _context(request)).launcher
    if launcher is None:
        raise runs_elsewhere()
    return launcher


Here = Annotated[ApiContext, Depends(_context)]
"""The parameter of a route that needs site or database."""
WithKeys = Annotated[Launcher, Depends(_launcher)]
"""The parameter of a route that only works where the SSH keys are."""
